/**
 * T7: no SYN inherits a verdict, and none makes us read another stream than the server does.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ACK, FIN, RST, SYN } from "../wire/ip/packet.ts";
import { captureHello } from "./testing/hellos.ts";
import { enforced, monitored } from "./testing/policies.ts";
import { address, Client, Scene } from "./testing/scene.ts";

const allowed = await captureHello("allowed.example");
const denied = await captureHello("denied.example");
const nothing = new Uint8Array(0);
const scene = () => new Scene(enforced).bind("allowed.example");
const reasons = ({ reports }: Scene) => reports.map(({ decision }) => `${decision.verdict} ${decision.reason}`);
const database = { destination: address("203.0.113.5"), destinationPort: 5432 };

/** A flow that the kernel forwards. */
function forwarded(on: Scene): Client {
  const client = new Client(on).open();
  client.segment(0, allowed);
  client.ack += 2000;
  assert.equal(client.segment(allowed.length, Uint8Array.of(1)), "allow");
  return client;
}

describe("ports used again", () => {
  test("after an allowed flow: judged from the start", () => {
    const on = scene();
    forwarded(on);
    on.pass(20_000);
    const again = new Client(on, { initial: 777_000 }).open();
    assert.equal(again.segment(0, denied), "refuse");
    assert.equal(again.read, "");
  });

  test("with the sequence number of the allowed flow: not taken for its repeat", () => {
    const on = scene();
    const first = forwarded(on);
    assert.equal(first.syn(), "drop");
    on.pass(20_000);
    // The kernel has forgotten the first one.
    on.marks.clear();
    assert.equal(first.syn(), "pending");
    assert.equal(first.segment(0, denied), "refuse");
  });

  test("while bytes wait: dropped where the kernel knows the connection, another flow where it is new", () => {
    for (const [state, verdict] of [
      ["pending", "drop"],
      ["none", "pending"],
    ] as const) {
      const on = scene();
      const client = new Client(on).open();
      client.segment(0, allowed.subarray(0, 100));
      on.pass(100);
      assert.equal(client.syn({ seq: 9 }, { state }), verdict);
      on.pass(60_000);
      assert.deepEqual(on.held, []);
      assert.equal(on.payloadLeft, 0);
    }
  });

  test("after a refusal the kernel still knows: judged by the address alone, or refused", () => {
    const on = scene();
    const client = new Client(on).open();
    client.segment(0, denied);
    assert.equal(client.syn({ seq: 9 }), "refuse");
    assert.deepEqual(reasons(on), ["deny default", "deny mid_stream"]);
    const other = new Client(on, database);
    assert.equal(other.syn({}, { state: "deny" }), "allow");
  });
});

describe("two ideas of where the stream begins", () => {
  test("a second SYN with an earlier number: the server would discard what it lets us read", () => {
    for (const queuedTogether of [true, false]) {
      const on = scene();
      const client = new Client(on, { initial: 50_000 });
      client.syn();
      const second = { seq: client.initial - allowed.length };
      assert.equal(client.syn(second, queuedTogether ? { state: "none" } : {}), "drop");
      client.bare();
      // All of it before the stream's first byte.
      client.segment(-allowed.length, allowed);
      assert.equal(client.segment(0, denied), "refuse");
      assert.equal(client.read, "");
    }
  });

  test("nor one for a connection that the kernel knows and we have forgotten", () => {
    const on = scene();
    const client = new Client(on).open();
    client.bare({ flags: RST, seq: client.initial + 500 });
    assert.equal(client.syn({ seq: client.initial - allowed.length }), "refuse");
    assert.deepEqual(reasons(on), ["allow closed", "deny mid_stream"]);
  });
});

describe("data in a SYN", () => {
  test("never leaves where the name decides, and says so; the client's next attempt is decided normally", () => {
    for (const payload of [allowed, denied]) {
      const on = scene();
      const client = new Client(on);
      assert.equal(client.syn({ payload }), "drop");
      assert.deepEqual(reasons(on), ["deny syn_data"]);
      assert.equal(client.syn(), "pending");
      assert.equal(client.syn({ payload }), "drop", "nor on a flow that waits for its first bytes");
      assert.equal(client.segment(0, allowed), "pending");
      assert.equal(client.read, Buffer.from(allowed).toString("latin1"));
    }
  });

  test("goes on where the address decides, and in monitor mode", () => {
    assert.equal(new Client(scene(), database).syn({ payload: denied }), "allow");
    const on = new Scene(monitored);
    const client = new Client(on);
    assert.equal(client.syn({ payload: denied.subarray(0, 300) }), "pending");
    assert.equal(client.segment(300, denied.subarray(300)), "allow");
    assert.equal(on.reports[0]!.name, "denied.example");
  });
});

test("a repeated SYN of an allowed address is one attempt, another sequence number another", () => {
  const on = scene();
  const client = new Client(on, database);
  for (const pause of [0, 1_000, 2_000, 32_000, 64_000]) {
    on.pass(pause);
    on.marks.clear();
    assert.equal(client.syn(), "allow");
  }
  assert.deepEqual(reasons(on), ["allow rule"]);
  client.syn({ seq: 4 });
  assert.equal(on.reports.length, 2);
});

test("a repeated SYN before the handshake is part of it", () => {
  const on = scene();
  const client = new Client(on);
  assert.equal(client.syn(), "pending");
  assert.equal(client.syn({}, { state: "none" }), "pending", "queued before the first one's verdict");
  on.pass(1_000);
  assert.equal(client.syn(), "pending");
  client.bare();
  assert.equal(client.segment(0, allowed), "pending");
  assert.deepEqual(reasons(on), ["allow rule"]);
});

test("a simultaneous open and other flags beside SYN open nothing", () => {
  const on = scene();
  const client = new Client(on);
  client.syn();
  for (const flags of [SYN | ACK, SYN | FIN, SYN | FIN | ACK]) {
    assert.equal(client.segment(0, denied, { flags }), "drop");
    assert.equal(client.segment(0, nothing, { flags }), "drop");
  }
  assert.equal(client.segment(0, denied, { flags: SYN | RST }), "drop");
  assert.equal(on.payloadLeft, 0);
});

test("options of the network layer are no letter box of the handshake", () => {
  const on = scene();
  assert.equal(new Client(on).syn({ between: Uint8Array.from([7, 8, 4, 1, 2, 3, 4, 0]) }), "refuse");
  assert.deepEqual(reasons(on), ["deny malformed"]);
});

test("raw addresses, the gateway's own, and refused broadcasts", () => {
  const on = scene();
  assert.equal(new Client(on, { destination: address("192.0.2.9") }).syn(), "refuse");
  assert.equal(new Client(on).syn({}, { local: true }), "refuse");
  assert.equal(new Client(on, { destination: address("192.0.2.255") }).syn({}, { broadcast: true }), "drop");
});

test("the far end of a refused connection is told, and told off", () => {
  const on = scene();
  const back = on.judge(new Client(on).packet(0, denied), { back: true, state: "none" });
  assert.equal(back, "refuse");
  assert.equal(on.resets.length, 1);
  assert.equal(on.judge(new Client(on).packet(0, nothing, { flags: RST }), { back: true }), "drop");
});
