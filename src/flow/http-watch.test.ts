/**
 * N4 in monitor mode: the record foretells every request that enforcement would refuse, not only a connection's first, and
 * nothing waits for it (invariant 3). A policy that enforces takes a watched connection over where it stands.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ascii, joined } from "./testing/packets.ts";
import { enforced } from "./testing/policies.ts";
import { Client, policy, Scene } from "./testing/scene.ts";

const watched = enforced.replace("mode: enforce", "mode: monitor");
const get = (host: string, more = "") => ascii(`GET / HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`);
const good = get("web.example");
const evil = get("evil.example");
const worse = get("worse.example");

function open(text = watched): { on: Scene; client: Client; events: () => string[] } {
  const on = new Scene(text).bind("web.example");
  const client = new Client(on, { destinationPort: 80 }).open();
  const events = () => on.reports.map(({ decision, name }) => `${decision.verdict} ${decision.reason} ${name}`);
  return { on, client, events };
}

test("each other host is recorded once in a row, and every packet goes on at once", () => {
  const { on, client, events } = open();
  let at = 0;
  for (const request of [good, evil, evil, good, worse]) {
    assert.notEqual(client.segment(at, request), "held");
    at += request.length;
  }
  assert.equal(client.read, Buffer.from(joined(good, evil, evil, good, worse)).toString("latin1"));
  assert.deepEqual(events(), [
    "allow rule web.example",
    "would_deny host_changed evil.example",
    "would_deny host_changed worse.example",
  ]);
  assert.deepEqual(on.held, []);
});

test("requests in one segment, and a head cut at every place", () => {
  const both = open();
  both.client.segment(0, joined(good, evil));
  assert.deepEqual(both.events(), ["allow rule web.example", "would_deny host_changed evil.example"]);
  for (let cut = 1; cut < evil.length; cut++) {
    const { client, events } = open();
    client.segment(0, good);
    assert.equal(client.segment(good.length, evil.subarray(0, cut)), "pending");
    assert.equal(client.segment(good.length + cut, evil.subarray(cut)), "pending");
    assert.equal(events()[1], "would_deny host_changed evil.example");
  }
});

describe("what can be read no further is told, and the kernel forwards it", () => {
  const cases: [string, Uint8Array, string][] = [
    ["a tunnel", ascii("CONNECT web.example:443 HTTP/1.1\r\nHost: web.example:443\r\n\r\n"), "not_protocol"],
    ["no request", ascii("nonsense\r\n\r\n"), "malformed"],
  ];
  for (const [what, bytes, reason] of cases) {
    test(what, () => {
      const { client, events } = open();
      client.segment(0, good);
      assert.equal(client.segment(good.length, bytes), "allow");
      assert.match(events()[1]!, new RegExp(`^would_deny ${reason} `));
    });
  }

  test("a gap", () => {
    const { on, client } = open();
    client.segment(0, good);
    assert.equal(client.segment(good.length + 10, evil.subarray(10)), "allow");
    assert.equal(on.flows.load.flows, 0);
  });
});

describe("a policy that enforces", () => {
  test("judges the next request of a watched connection", () => {
    const { on, client, events } = open();
    client.segment(0, good);
    on.flows.setPolicy(policy(enforced), on.now);
    assert.equal(client.segment(good.length, good), "pending");
    assert.equal(client.segment(good.length * 2, evil), "refuse");
    assert.equal(events().at(-1), "deny host_changed evil.example");
  });

  test("ends one whose next request is under way already", () => {
    const { on, client, events } = open();
    client.segment(0, good);
    client.segment(good.length, evil.subarray(0, 9));
    on.flows.setPolicy(policy(enforced), on.now);
    assert.equal(events().at(-1), "deny policy_changed null");
    assert.equal(client.segment(good.length + 9, evil.subarray(9)), "refuse");
  });
});
