/**
 * N2, N6: bytes that we would read and the server would not, or would read otherwise, are refused; what real clients send is not
 * among them.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ACK, PSH, URG } from "../wire/ip/packet.ts";
import { captureHello } from "./testing/hellos.ts";
import { joined } from "./testing/packets.ts";
import { enforced } from "./testing/policies.ts";
import { address, Client, Scene } from "./testing/scene.ts";

const allowed = await captureHello("allowed.example");
const scene = () => new Scene(enforced).bind("allowed.example");

/** Nothing was let out, nothing waits, and one event says why. */
function assertRefused(on: Scene): void {
  on.pass(60_000);
  assert.deepEqual(on.held, []);
  assert.equal(on.payloadLeft, 0);
  assert.deepEqual(
    on.reports.map(({ decision }) => `${decision.verdict} ${decision.reason}`),
    ["deny malformed"],
  );
}

describe("insertion: bytes that we would read and the server would not", () => {
  const signed = joined(Uint8Array.of(19, 18), new Uint8Array(16).fill(7), Uint8Array.of(1, 1));
  const refused: [string, Parameters<Client["segment"]>[2]][] = [
    ["a TTL that does not arrive", { ttl: 9 }],
    ["IPv4 options", { between: Uint8Array.from([7, 4, 4, 0]) }],
    ["urgent bytes", { flags: ACK | PSH | URG }],
    ["no ACK", { flags: PSH }],
    ["a signature", { options: signed }],
    ["broken options", { options: Uint8Array.from([8, 1, 0, 0]) }],
  ];
  for (const [what, parts] of refused) {
    test(what, () => {
      const on = scene();
      assert.equal(new Client(on).open().segment(0, allowed, parts), "refuse");
      assertRefused(on);
    });
  }

  test("an IPv6 extension header", () => {
    const destination = address("2001:db8::7");
    const on = new Scene(enforced).bind("allowed.example", destination);
    const client = new Client(on, { source: address("2001:db8:1::2"), destination }).open();
    const extension = Uint8Array.from([6, 0, 0x80, 4, 0, 0, 0, 0]);
    assert.equal(client.bare({ between: extension }), "drop", "nothing to judge, and a letter all the same");
    assert.equal(client.segment(0, allowed, { between: extension }), "refuse");
    assertRefused(on);
  });

  test("what real clients send is none of it: timestamps or not, SACK, a container's TTL, options unknown to us", () => {
    const timestamps = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0];
    const sack = [1, 1, 5, 10, 0, 0, 20, 0, 0, 0, 30, 0];
    const fastOpen = [34, 4, 1, 2];
    for (const options of [[], timestamps, [...timestamps, ...sack], fastOpen, [254, 4, 0xf9, 0x89], [1, 0, 0, 0]]) {
      const on = scene();
      const client = new Client(on).open();
      assert.equal(client.segment(0, allowed, { options: Uint8Array.from(options), ttl: 63 }), "pending");
    }
  });

  test("Multipath TCP: refused where it may be in use, ignored where the handshake has none", () => {
    const capable = Uint8Array.from([30, 4, 0x01, 0x81]);
    const mapping = Uint8Array.from([30, 8, 0x20, 0x04, 0, 0, 0, 0]);
    const on = scene();
    assert.equal(new Client(on).open().segment(0, allowed, { options: mapping }), "pending");
    const offered = scene();
    const client = new Client(offered).open({ options: capable });
    assert.equal(client.bare({ options: mapping }), "drop");
    assert.equal(client.segment(0, allowed, { options: mapping }), "refuse");
    assertRefused(offered);
    const unanswered = scene();
    assert.equal(
      new Client(unanswered).open({ options: capable }).segment(0, allowed),
      "pending",
      "the server has none",
    );
  });
});
