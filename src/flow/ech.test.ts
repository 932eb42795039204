/**
 * N8: Encrypted Client Hello behind an allowed outer name. Whether it goes on is the rule's choice, and without one it does not
 * where the name is on a front that many tenants share; over TCP and QUIC alike, and in monitor mode it is only told.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildHello, filler, records, serverNames } from "../../test/wire/hello.ts";
import { cryptoFrame, datagram as quicDatagram, padded, sealInitial } from "../../test/wire/initial.ts";
import { Client, datagram, policy, Scene } from "./testing/scene.ts";

const encryptedHello = 0xfe0d;
const front = "d1.cloudfront.net";

const message = (name: string, sealed: boolean) =>
  buildHello({ extensions: [serverNames(name), ...(sealed ? [filler(encryptedHello, 250)] : [])] });

const rules = `
rules:
  - { name: strict, to: [shop.example], ech: deny }
  - { name: fronts, to: [${front}, other.example] }
  - { name: browsers, to: "*.azureedge.net", ech: allow }
  - { name: strict quic, to: [shop.example, ${front}], protocol: quic, ech: deny }
  - { name: quic, to: other.example, protocol: quic }
  - { name: anything, to: "**", reason: wider and later }
`;
const enforced = `${rules}default: { mode: enforce }\n`;
const monitored = `${rules}default: { mode: monitor }\n`;

/** What a hello to `name` came to: verdict, reason and rule of its one report; over TCP scored by what left. */
function overTcp(text: string, name: string, sealed: boolean, ...cuts: number[]): string {
  const on = new Scene(text).bind(name);
  const client = new Client(on).open();
  const bytes = records(message(name, sealed), ...cuts);
  for (const [i, from] of [0, ...cuts].entries()) client.segment(from, bytes.subarray(from, cuts[i] ?? bytes.length));
  return outcome(on, client.read.length > 0);
}

function overQuic(text: string, name: string, sealed: boolean): string {
  const on = new Scene(text).bind(name);
  datagram(on, quicDatagram(sealInitial(padded(cryptoFrame(0, message(name, sealed)), 1100), { number: 0 })));
  return outcome(on, on.payloadLeft > 0);
}

function outcome(on: Scene, left: boolean): string {
  assert.deepEqual(on.held, []);
  const [report, ...more] = on.reports;
  assert.deepEqual(more, []);
  const { decision } = report!;
  assert.equal(left, decision.passes, "what left is what was decided");
  assert.equal(decision.stage, "name");
  return `${decision.verdict} ${decision.reason} ${decision.rule?.name}`;
}

describe("N8: Encrypted Client Hello", () => {
  for (const [how, over] of [
    ["TCP", overTcp],
    ["QUIC", overQuic],
  ] as const) {
    const strict = how === "TCP" ? "strict" : "strict quic";
    const plain = how === "TCP" ? "fronts" : "quic";
    test(`over ${how} never leaves where its rule says deny, though a later rule would let it`, () => {
      assert.equal(over(enforced, "shop.example", true), `deny ech ${strict}`);
      assert.equal(over(enforced, "shop.example", false), `allow rule ${strict}`);
    });

    test(`over ${how} goes on by its outer name where nothing is said and the name is no front's`, () => {
      assert.equal(over(enforced, "other.example", true), `allow rule ${plain}`);
    });

    test(`over ${how} is told and passes in monitor mode`, () => {
      assert.equal(over(monitored, "shop.example", true), `would_deny ech ${strict}`);
    });
  }

  test("never leaves behind a front where nothing is said, however it is cut; allow is a choice", () => {
    assert.equal(overTcp(enforced, front, false), "allow rule fronts");
    assert.equal(overTcp(enforced, front, true), "deny ech fronts");
    assert.equal(overTcp(enforced, front, true, 60, 200), "deny ech fronts");
    assert.equal(overTcp(enforced, "a.azureedge.net", true), "allow rule browsers");
  });

  test("of a connection that lives is refused by a new policy that no longer lets it through", () => {
    const on = new Scene("rules: [{ name: a, to: shop.example }]").bind("shop.example");
    const client = new Client(on).open();
    assert.equal(client.segment(0, records(message("shop.example", true))), "pending");
    on.flows.setPolicy(policy("rules: [{ name: a, to: shop.example, ech: deny }]"), on.now);
    assert.equal(client.segment(5, new Uint8Array(4)), "refuse");
    assert.equal(on.resets.length > 0, true);
  });
});
