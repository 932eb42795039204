/**
 * N4: on a plain-HTTP connection every request is judged, not only the first. And T12: no tunnel hides behind an allowed one.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ACK, FIN, PSH } from "../wire/ip/packet.ts";
import { limits } from "./limits.ts";
import { ascii, joined } from "./testing/packets.ts";
import { enforced, monitored } from "./testing/policies.ts";
import { Client, policy, Scene } from "./testing/scene.ts";

const get = (host: string, path = "/", more = "") => ascii(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`);
const good = get("web.example");
const evil = get("evil.example");
const post = (size: number, more = "") =>
  ascii(`POST /p HTTP/1.1\r\nHost: web.example\r\nContent-Length: ${size}\r\n${more}\r\n`);

function open(text = enforced): { on: Scene; client: Client } {
  const on = new Scene(text).bind("web.example");
  return { on, client: new Client(on, { destinationPort: 80 }).open() };
}

/** Refused; what the far end has read ends where the refused request began, and there is one event for each of the two. */
function assertEnded({ on, client }: ReturnType<typeof open>, read: Uint8Array, reason: string): void {
  on.pass(20_000);
  assert.deepEqual(on.held, []);
  assert.equal(client.read, Buffer.from(read).toString("latin1"));
  const events = on.reports.map(({ decision }) => `${decision.verdict} ${decision.reason}`);
  assert.deepEqual(events, read.length === 0 ? [`deny ${reason}`] : ["allow rule", `deny ${reason}`]);
  assert.equal(on.flows.load.bytes, 0);
}

describe("N4: a later request for another host", () => {
  test("ends the connection before a byte of it leaves", () => {
    const flow = open();
    assert.equal(flow.client.segment(0, good), "pending");
    assert.equal(flow.client.segment(good.length, good), "pending");
    assert.equal(flow.client.segment(good.length * 2, evil), "refuse");
    assertEnded(flow, joined(good, good), "host_changed");
    assert.equal(flow.on.reports[1]!.name, "evil.example");
  });

  test("pipelined in the same segment as the first: neither leaves, and one event tells it", () => {
    const flow = open();
    assert.equal(flow.client.segment(0, joined(good, evil)), "refuse");
    assertEnded(flow, new Uint8Array(0), "default");
  });

  test("cut at every place, in both orders", () => {
    for (let cut = 1; cut < evil.length; cut++) {
      const forward = open();
      forward.client.segment(0, good);
      assert.equal(forward.client.segment(good.length, evil.subarray(0, cut)), "held");
      assert.equal(forward.client.segment(good.length + cut, evil.subarray(cut)), "refuse");
      assertEnded(forward, good, "host_changed");
      const backward = open();
      backward.client.segment(0, good);
      assert.equal(backward.client.segment(good.length + cut, evil.subarray(cut)), "held");
      assert.equal(backward.client.segment(good.length, evil.subarray(0, cut)), "refuse");
      assertEnded(backward, good, "host_changed");
    }
  });

  test("sent before the request that comes first", () => {
    const flow = open();
    const filler = get("web.example", "/2");
    assert.equal(flow.client.segment(good.length + filler.length, evil), "held");
    assert.equal(flow.client.segment(0, good), "pending");
    assert.deepEqual(flow.on.held, [], "what lies behind the gap is sent again by an honest client");
    assert.equal(flow.client.segment(good.length, filler), "pending");
    assert.equal(flow.client.read, Buffer.from(joined(good, filler)).toString("latin1"));
    assert.equal(flow.client.segment(good.length + filler.length, evil), "refuse");
  });

  test("behind a body, a chunked body, an Upgrade the server may ignore, with a body too", () => {
    const chunked = ascii(
      "POST / HTTP/1.1\r\nHost: web.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    );
    const upgrade = get("web.example", "/", "Connection: Upgrade\r\nUpgrade: h2c\r\n");
    const both = joined(post(5, "Connection: Upgrade\r\nUpgrade: h2c\r\n"), ascii("hello"));
    for (const before of [
      joined(post(5), ascii("GET /")),
      chunked,
      upgrade,
      both,
      joined(good, upgrade),
      joined(both, both),
    ]) {
      for (const isPipelined of [false, true]) {
        const flow = open();
        if (isPipelined) {
          assert.equal(flow.client.segment(0, joined(before, evil)), "refuse");
          assertEnded(flow, new Uint8Array(0), "default");
        } else {
          assert.equal(flow.client.segment(0, before), "pending");
          assert.equal(flow.client.segment(before.length, good), "pending");
          assert.equal(flow.client.segment(before.length + good.length, evil), "refuse");
          assertEnded(flow, joined(before, good), "host_changed");
        }
      }
    }
  });

  test("in the retransmission of an allowed one, or of a part of it", () => {
    const other = get("web.exampls");
    for (const at of [0, 10, 30]) {
      const flow = open();
      flow.client.segment(0, good);
      assert.equal(flow.client.segment(0, good), "pending", "a faithful repeat");
      assert.equal(flow.client.segment(at, joined(other.subarray(at), evil)), "refuse");
      assertEnded(flow, good, "overlap");
    }
  });

  test("a protocol that was really changed to is not followed", () => {
    const flow = open();
    const upgrade = get("web.example", "/", "Connection: Upgrade\r\nUpgrade: h2c\r\n");
    flow.client.segment(0, upgrade);
    assert.equal(flow.client.segment(upgrade.length, ascii("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), "refuse");
    assertEnded(flow, upgrade, "malformed");
  });

  test("after a request that two servers frame differently", () => {
    const flow = open();
    const smuggling = ascii(
      "POST / HTTP/1.1\r\nHost: web.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    assert.equal(flow.client.segment(0, smuggling), "refuse");
    assertEnded(flow, new Uint8Array(0), "malformed");
  });
});

test("T12: CONNECT is refused: who builds no tunnel reads on, and what goes through one is unread", () => {
  const flow = open();
  assert.equal(
    flow.client.segment(0, ascii("CONNECT web.example:80 HTTP/1.1\r\nHost: web.example:80\r\n\r\n")),
    "refuse",
  );
  assertEnded(flow, new Uint8Array(0), "not_protocol");
});

describe("an honest connection", () => {
  test("a head in many segments waits, goes on in order, and is one flow in the record", () => {
    const { on, client } = open();
    const pieces = [0, 9, 20, 33].map((from, i, all) => [from, good.subarray(from, all[i + 1])] as const);
    for (const [from, piece] of pieces.slice(0, -1)) assert.equal(client.segment(from, piece), "held");
    assert.equal(client.segment(...pieces[1]!), "drop", "it waits already");
    assert.equal(client.segment(...pieces.at(-1)!), "pending");
    assert.deepEqual(on.held, []);
    const second = good.length;
    for (const [from, piece] of pieces) client.segment(second + from, piece);
    assert.equal(client.segment(second + 9, pieces[1]![1]), "pending", "a repeat of what left");
    assert.equal(client.read, Buffer.from(joined(good, good)).toString("latin1"));
    assert.equal(on.reports.length, 1);
  });

  test("a lost segment stops nothing: what follows it waits, and goes on in order when it comes", () => {
    const { on, client } = open();
    const body = Uint8Array.from({ length: 14_000 }, (_, i) => i & 255);
    const head = post(body.length);
    client.segment(0, head);
    const before = on.left.length;
    for (const at of [1400, 2800, 5600]) {
      assert.equal(client.segment(head.length + at, body.subarray(at, at + 1400)), "held");
    }
    assert.equal(client.segment(head.length + 2800, body.subarray(2800, 4200)), "drop", "it waits already");
    assert.equal(client.segment(head.length, body.subarray(0, 1400)), "pending");
    assert.equal(on.left.length, before + 3);
    assert.equal(client.segment(head.length + 4200, body.subarray(4200, 5600)), "pending");
    assert.deepEqual(on.held, []);
    assert.equal(client.read.length, head.length + 7000);
    assert.equal(on.reports.length, 1);
  });

  test("a gap that is never filled is given up, the connection not", () => {
    const { on, client } = open();
    client.segment(0, good);
    client.segment(good.length + 5, good);
    on.pass(11_000);
    assert.deepEqual(on.held, []);
    assert.equal(client.segment(good.length, good), "pending");
    assert.equal(on.reports.length, 1);
  });

  test("a large upload goes on as it comes, within the memory it may take, and its repeats do", () => {
    const { on, client } = open();
    const size = 12 * 1024 * 1024;
    const head = post(size);
    client.segment(0, head);
    const piece = Uint8Array.from({ length: 60_000 }, (_, i) => (i * 7) & 255);
    let at = 0;
    for (; at + piece.length <= size; at += piece.length)
      assert.equal(client.segment(head.length + at, piece), "pending");
    assert.ok(on.flows.load.bytes <= limits.historyBytes + 16384, String(on.flows.load.bytes));
    assert.equal(client.segment(head.length + at - 10 * piece.length, piece), "pending", "a repeat from far back");
    assert.equal(client.segment(head.length + at - 10 * piece.length, piece.toReversed()), "refuse");
  });

  test("a keep-alive probe with a byte of garbage does not end it", () => {
    const { on, client } = open();
    client.segment(0, good);
    assert.equal(client.segment(good.length - 1, Uint8Array.of(0)), "drop");
    assert.equal(client.segment(good.length - 1, new Uint8Array(0)), "pending");
    assert.equal(client.segment(good.length, good), "pending");
    assert.equal(on.reports.length, 1);
  });

  test("a name whose binding ends is still the connection's", () => {
    const on = new Scene(enforced);
    on.bind("web.example", undefined, 1_000);
    const client = new Client(on, { destinationPort: 80 }).open();
    client.segment(0, good);
    on.pass(600_000);
    assert.equal(client.segment(good.length, good), "pending");
    assert.equal(client.segment(good.length * 2, evil), "refuse");
  });
});

describe("the end", () => {
  test("closing: repeats still pass; after a minute it is forgotten", () => {
    const { on, client } = open();
    client.segment(0, good, { flags: FIN | ACK | PSH });
    assert.equal(client.segment(0, good), "pending");
    on.pass(61_000);
    assert.equal(on.flows.load.flows, 0);
    assert.equal(on.flows.load.bytes, 0);
  });

  test("a FIN in the middle of a head, or before a gap is filled", () => {
    const alone = open();
    alone.client.segment(0, good);
    alone.client.segment(good.length, evil.subarray(0, 20));
    assert.equal(alone.client.segment(good.length + 20, new Uint8Array(0), { flags: FIN | ACK }), "refuse");
    assertEnded(alone, good, "closed");
    const joint = open();
    joint.client.segment(0, good);
    assert.equal(joint.client.segment(good.length, evil.subarray(0, 20), { flags: FIN | ACK }), "refuse");
    assertEnded(joint, good, "closed");
    const early = open();
    early.client.segment(0, good);
    assert.equal(early.client.segment(good.length + 9, new Uint8Array(0), { flags: FIN | ACK }), "drop");
  });

  test("a head that never ends is a time-out", () => {
    const flow = open();
    flow.client.segment(0, good);
    flow.client.segment(good.length, good.subarray(0, 20));
    flow.on.pass(5_000);
    flow.client.segment(good.length + 20, good.subarray(20, 21));
    assertEnded(flow, good, "timeout");
  });

  test("an hour of silence ends the watch; what comes then is refused", () => {
    const { on, client } = open();
    client.segment(0, good);
    on.pass(3_500_000);
    assert.equal(client.segment(good.length, good), "pending");
    on.pass(3_605_000);
    assert.equal(on.flows.load.flows, 0);
    assert.equal(client.segment(good.length * 2, good), "refuse");
  });

  test("a new policy that refuses the first host ends it without another event of ours, one that refuses the last with one", () => {
    const flow = open();
    flow.client.segment(0, good);
    flow.on.flows.setPolicy(policy("rules: []\ndefault: { mode: enforce }"), flow.on.now);
    assert.equal(flow.on.resets.length, 2);
    assert.equal(flow.on.flows.load.flows, 0);
    assert.equal(flow.on.reports.length, 1, "who keeps the live flows tells it");
    const two = `rules: [{ name: web, to: ["web.example:80", "web2.example:80"] }]\ndefault: { mode: enforce }`;
    const last = open(two);
    last.on.bind("web2.example");
    last.client.segment(0, good);
    last.client.segment(good.length, get("web2.example"));
    last.on.flows.setPolicy(policy(enforced), last.on.now);
    assert.equal(last.on.reports.at(-1)!.decision.reason, "policy_changed");
    assert.equal(last.on.reports.at(-1)!.name, "web2.example");
  });

  test("a policy that only monitors hands it to the kernel", () => {
    const { on, client } = open();
    client.segment(0, good);
    client.segment(good.length, good.subarray(0, 10));
    on.flows.setPolicy(policy(monitored), on.now);
    assert.deepEqual(on.held, []);
    assert.equal(client.segment(good.length + 10, good.subarray(10)), "allow");
    assert.equal(on.flows.load.flows, 0);
    assert.equal(on.flows.load.bytes, 0);
  });
});
