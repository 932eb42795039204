/**
 * Invariant 3: monitor mode changes nothing that a job can notice. Every packet goes on at once and in order, whatever it is; the
 * record says what enforce mode would have done, once a connection.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ACK, FIN, PSH, RST, SYN, URG } from "../wire/ip/packet.ts";
import { captureHello } from "./testing/hellos.ts";
import { ascii } from "./testing/packets.ts";
import { enforced, monitored } from "./testing/policies.ts";
import { address, client as source, Client, policy, Scene, server } from "./testing/scene.ts";

const hello = await captureHello("else.example");
const scene = () => new Scene(monitored);
const events = ({ reports }: Scene) =>
  reports.map(({ decision, name }) => `${decision.verdict} ${decision.reason} ${name}`);

function assertUntouched(on: Scene, packets: number): void {
  assert.equal(on.left.length, packets);
  assert.deepEqual(on.held, []);
  assert.deepEqual(on.resets, []);
}

test("a hello in pieces: each goes on at once, and the name is recorded when it is whole", () => {
  const on = scene();
  const client = new Client(on).open();
  for (let at = 0; at < hello.length; at += 400) client.segment(at, hello.subarray(at, at + 400));
  assertUntouched(on, 2 + Math.ceil(hello.length / 400));
  assert.deepEqual(events(on), ["would_deny default else.example"]);
  assert.equal(on.flows.load.flows, 0, "and the kernel forwards the rest");
});

describe("oddities that enforce mode refuses", () => {
  const cases: [string, (client: Client) => void][] = [
    ["overlap", (client) => [client.segment(0, hello.subarray(0, 90)), client.segment(10, new Uint8Array(99))]],
    ["a broken hello", (client) => client.segment(0, Uint8Array.from([22, 3, 1, 0, 0]))],
    ["urgent bytes", (client) => client.segment(0, hello, { flags: ACK | URG })],
    ["IP options", (client) => client.segment(0, hello, { between: Uint8Array.from([7, 4, 4, 0]) })],
    ["a low TTL", (client) => client.segment(0, hello, { ttl: 2 })],
    ["a FIN with half a hello", (client) => client.segment(0, hello.subarray(0, 9), { flags: FIN | ACK })],
    ["a RST with payload", (client) => client.segment(0, ascii("x"), { flags: RST | ACK })],
    ["a simultaneous open", (client) => client.bare({ flags: SYN | ACK, seq: client.initial })],
    ["a window probe", (client) => client.segment(-1, Uint8Array.of(0))],
    ["a packet the kernel calls invalid", (client) => client.segment(0, hello, {}, { invalid: true })],
    ["a SYN with data", (client) => client.syn({ payload: hello, seq: 7 })],
    ["a second SYN", (client) => client.syn({ seq: 7 })],
    ["a segment of nobody", (client) => new Client(client.scene, { sourcePort: 3 }).segment(0, ascii("x"))],
    ["a source route", (client) => client.segment(0, hello, { between: Uint8Array.from([0x83, 7, 4, 1, 2, 3, 4, 0]) })],
  ];
  for (const [what, send] of cases) {
    test(what, () => {
      const on = scene();
      const client = new Client(on).open();
      send(client);
      client.segment(hello.length, ascii("later"));
      on.pass(10_000);
      client.segment(hello.length + 5, ascii("later"));
      assertUntouched(on, [...on.verdicts.keys()].length + on.left.length - on.verdicts.size);
      assert.ok([...on.verdicts.values()].every((verdict) => verdict === "pending" || verdict === "allow"));
    });
  }
});

test("a client that is silent, or whose server speaks first, is recorded without a name and not watched for ever", () => {
  const on = scene();
  const client = new Client(on).open();
  on.pass(5_500);
  assert.deepEqual(events(on), ["would_deny no_name null"]);
  assert.equal(client.segment(0, ascii("\0user")), "allow");
  assert.equal(on.flows.load.flows, 0);
  const idle = new Client(on, { sourcePort: 6 }).open();
  on.pass(3_700_000);
  assert.equal(on.flows.load.flows, 0);
  assert.equal(idle.bare(), "pending");
});

test("closed before a byte: one event", () => {
  const on = scene();
  const client = new Client(on).open();
  client.bare({ flags: FIN | ACK });
  client.bare();
  client.bare({ flags: RST });
  assertUntouched(on, 5);
  assert.equal(on.reports.length, 1);
});

test("endless bytes that could still become a name are let go after a while", () => {
  const on = scene();
  const client = new Client(on).open();
  for (let at = 0; at < 100; at++) client.segment(at, ascii(at < 5 ? "GET /".charAt(at) : "a"));
  assertUntouched(on, 102);
  assert.deepEqual(events(on), ["would_deny too_large null"]);
});

test("with the table full, connections go on as if there were none", () => {
  const on = scene();
  for (let port = 1; port < 65_536; port++) new Client(on, { sourcePort: port, destination: server }).syn();
  for (let port = 1; port < 10; port++) {
    assert.equal(new Client(on, { sourcePort: port, destination: address("198.51.100.8") }).syn(), "allow");
  }
  assert.equal(on.reports.at(-1)!.decision.reason, "over_limit");
});

describe("T8: from monitor to enforce", () => {
  test("a flow that has not said a byte is judged when it does", () => {
    const on = scene();
    const client = new Client(on).open();
    const late = new Client(on, { sourcePort: 5 }).open();
    on.bind("allowed.example");
    on.flows.setPolicy(policy(enforced), on.now);
    assert.equal(client.segment(0, hello), "refuse");
    on.pass(31_000);
    assert.equal(late.segment(0, hello), "refuse");
    assert.equal(on.payloadLeft, 0);
  });

  test("one that was settled in silence too", () => {
    const on = scene();
    const client = new Client(on).open();
    on.pass(6_000);
    on.bind("allowed.example");
    on.flows.setPolicy(policy(enforced), on.now);
    assert.equal(client.segment(0, hello), "refuse");
    assert.equal(on.payloadLeft, 0);
  });

  test("one whose bytes left unread is ended", () => {
    const on = scene();
    on.bind("allowed.example");
    const client = new Client(on).open();
    client.segment(0, hello.subarray(0, 300));
    on.flows.setPolicy(policy(enforced), on.now);
    assert.equal(on.reports[0]!.decision.reason, "policy_changed");
    assert.equal(on.resets.length, 2);
    assert.equal(client.segment(300, hello.subarray(300), { flags: ACK | PSH }), "refuse");
  });

  test("what was refused before the two changes gives the first bytes no more time", () => {
    const on = new Scene(enforced).bind("allowed.example");
    const client = new Client(on).open();
    assert.equal(client.segment(-800, hello.subarray(0, 1)), "drop");
    on.flows.setPolicy(policy(monitored), on.now);
    on.flows.setPolicy(policy(enforced), on.now);
    client.segment(0, hello.subarray(0, 1));
    on.pass(11_000);
    assert.deepEqual(on.held, []);
    assert.equal(on.reports.at(-1)!.decision.reason, "timeout");
  });

  test("names of a resolver that the client chose itself count no more", () => {
    const on = scene().bind("allowed.example", server, 600_000, source);
    const client = new Client(on).open();
    on.flows.setPolicy(policy(enforced), on.now);
    assert.equal(client.segment(0, hello), "refuse");
    assert.equal(on.reports[0]!.decision.reason, "policy_changed");
  });
});

describe("from enforce to monitor", () => {
  test("what waits goes on at once, in order", () => {
    const on = new Scene(enforced).bind("allowed.example");
    const client = new Client(on).open();
    client.segment(0, hello.subarray(0, 300));
    client.segment(300, hello.subarray(300, 600));
    on.flows.setPolicy(policy(monitored), on.now);
    assertUntouched(on, 4);
    assert.equal(client.segment(600, hello.subarray(600)), "allow");
    assert.equal(client.read, Buffer.from(hello).toString("latin1"));
    assert.deepEqual(events(on), ["would_deny default else.example"]);
  });

  test("what was being delivered is handed to the kernel", async () => {
    const on = new Scene(enforced).bind("allowed.example");
    const client = new Client(on).open();
    const good = await captureHello("allowed.example");
    client.segment(0, good);
    on.flows.setPolicy(policy(monitored), on.now);
    assert.equal(client.segment(0, hello), "allow");
    assert.equal(on.reports.length, 1);
  });

  test("a policy that allows the address lets what waits go on, or the next packet", () => {
    for (const waits of [true, false]) {
      const on = new Scene(enforced).bind("allowed.example");
      const client = new Client(on).open();
      if (waits) client.segment(0, hello.subarray(0, 300));
      on.flows.setPolicy(policy("rules: [{ name: all, to: 198.51.100.0/24, protocol: tcp, ports: [443] }]"), on.now);
      assert.deepEqual(on.held, []);
      assert.equal(client.segment(waits ? 300 : 0, hello.subarray(waits ? 300 : 0)), "allow");
      assert.equal(client.read, Buffer.from(hello).toString("latin1"));
      assert.deepEqual(events(on), ["allow rule null"]);
    }
  });
});
