/**
 * The first bytes decide (threats N1, N2, N5, N6, N7). Under an enforced policy the far end reads nothing before its flow is
 * allowed, however the bytes are cut, ordered, doubled or delayed; an honest client is never in the way of itself.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ACK, FIN, PSH, RST } from "../wire/ip/packet.ts";
import { captureHello } from "./testing/hellos.ts";
import { ascii, joined, tcp } from "./testing/packets.ts";
import { enforced } from "./testing/policies.ts";
import { address, Client, Scene, shared } from "./testing/scene.ts";

const allowed = await captureHello("allowed.example");
const denied = await captureHello("denied.example");
const nameless = await captureHello(null);

const scene = () => new Scene(enforced).bind("allowed.example").bind("git.example");
const reasons = ({ reports }: Scene) => reports.map(({ decision }) => `${decision.verdict} ${decision.reason}`);

/** No packet waits for ever, and nothing was let out. */
function assertRefused(on: Scene, reason: string): void {
  on.pass(60_000);
  assert.deepEqual(on.held, []);
  assert.equal(on.payloadLeft, 0);
  assert.deepEqual(reasons(on), [`deny ${reason}`]);
}

describe("N1, N2: the name and the address must belong together", () => {
  test("an allowed name at an address that never was its own is refused at the SYN", () => {
    const on = scene();
    assert.equal(new Client(on, { destination: address("198.51.100.9") }).syn(), "refuse");
    assert.deepEqual(reasons(on), ["deny no_name"]);
  });

  test("another name at an allowed name's address never leaves", () => {
    const on = scene();
    const client = new Client(on).open();
    assert.equal(client.segment(0, denied), "refuse");
    assertRefused(on, "default");
    assert.equal(on.reports[0]!.name, "denied.example");
    assert.equal(on.resets.length, 1, "the server is told; the kernel tells the client");
  });

  test("the allowed name goes on whole, and the record has what the hello said", () => {
    const on = scene();
    const client = new Client(on).open();
    assert.equal(client.segment(0, allowed), "pending");
    assert.equal(client.read, Buffer.from(allowed).toString("latin1"));
    const [report] = on.reports;
    assert.deepEqual([report!.name, report!.application, report!.live], ["allowed.example", "tls", true]);
    assert.equal(report!.hello!.segments, 1);
  });

  test("no name, or none that is a host name", () => {
    const on = scene();
    assert.equal(new Client(on).open().segment(0, nameless), "refuse");
    assertRefused(on, "missing_name");
  });
});

describe("N6: a hello in many pieces", () => {
  test("cut at every place, in both orders, it goes on whole and only then", () => {
    for (let cut = 1; cut < allowed.length; cut += 7) {
      for (const order of ["forward", "backward"]) {
        const on = scene();
        const client = new Client(on).open();
        const pieces: [number, Uint8Array][] = [
          [0, allowed.subarray(0, cut)],
          [cut, allowed.subarray(cut)],
        ];
        if (order === "backward") pieces.reverse();
        assert.equal(client.segment(...pieces[0]!), "held");
        assert.equal(on.payloadLeft, 0);
        assert.equal(client.segment(...pieces[1]!), "pending");
        assert.equal(client.read, Buffer.from(allowed).toString("latin1"));
        assert.deepEqual(on.held, []);
      }
    }
  });

  test("one byte a segment is over the bound of held packets", () => {
    const on = scene();
    const client = new Client(on).open();
    for (let at = 0; at < 60; at++) client.segment(at, allowed.subarray(at, at + 1));
    assertRefused(on, "over_limit");
  });

  test("overlap with other bytes is refused, whichever comes first; with the same bytes it is a repeat", () => {
    const other = Uint8Array.from(allowed);
    other[300]! ^= 1;
    for (const [first, second] of [
      [allowed, other],
      [other, allowed],
    ]) {
      const on = scene();
      const client = new Client(on).open();
      client.segment(0, first!.subarray(0, 400));
      assert.equal(client.segment(200, second!.subarray(200)), "refuse");
      assertRefused(on, "overlap");
    }
    const on = scene();
    const client = new Client(on).open();
    client.segment(0, allowed.subarray(0, 400));
    assert.equal(client.segment(0, allowed.subarray(0, 400)), "drop", "waits already");
    assert.equal(client.segment(200, allowed.subarray(200)), "pending");
    assert.equal(client.read, Buffer.from(allowed).toString("latin1"));
  });

  test("very slow: refused when the time is over, both ends told; then its late packets are refused too", () => {
    const on = scene();
    const client = new Client(on).open();
    client.segment(0, allowed.subarray(0, 100));
    on.pass(9_000);
    assert.equal(client.segment(100, allowed.subarray(100, 110)), "held");
    on.pass(2_000);
    assert.deepEqual(on.held, []);
    assert.equal(on.resets.length, 2);
    assert.deepEqual(reasons(on), ["deny timeout"]);
    assert.equal(client.segment(110, allowed.subarray(110)), "refuse");
    assert.equal(on.payloadLeft, 0);
  });

  test("padded past 64 kB, or a lie about lengths: refused, not waited for", () => {
    for (const [bytes, reason] of [
      [joined(ascii("GET /"), new Uint8Array(70_000).fill(0x61)), "too_large"],
      [Uint8Array.from([22, 3, 1, 0, 0]), "malformed"],
    ] as const) {
      const on = scene();
      const client = new Client(on).open();
      for (let at = 0; at < bytes.length; at += 1400) client.segment(at, bytes.subarray(at, at + 1400));
      assertRefused(on, reason);
    }
  });

  test("a FIN does not end the wait early, nor overtake what fills a gap", () => {
    const on = scene();
    const client = new Client(on).open();
    assert.equal(client.segment(0, allowed.subarray(0, 500)), "held");
    assert.equal(client.segment(allowed.length, new Uint8Array(0), { flags: FIN | ACK }), "held");
    assert.equal(client.segment(500, allowed.subarray(500)), "pending");
    assert.deepEqual(on.held, []);
    assert.equal(client.read, Buffer.from(allowed).toString("latin1"));
  });

  test("a FIN, alone or with the last bytes, of a hello that is not whole ends it", () => {
    const alone = scene();
    let client = new Client(alone).open();
    client.segment(0, allowed.subarray(0, 500));
    assert.equal(client.segment(500, new Uint8Array(0), { flags: FIN | ACK }), "refuse");
    assertRefused(alone, "closed");
    const joint = scene();
    client = new Client(joint).open();
    assert.equal(client.segment(0, allowed.subarray(0, 500), { flags: FIN | ACK | PSH }), "refuse");
    assertRefused(joint, "closed");
  });

  test("a RST while bytes wait lets none of them go, and its own payload neither", () => {
    const on = scene();
    const client = new Client(on).open();
    client.segment(0, allowed.subarray(0, 500));
    assert.equal(client.segment(500, ascii("smuggled"), { flags: RST | ACK }), "drop");
    assertRefused(on, "closed");
  });
});

describe("N7: what is not the protocol, or says nothing", () => {
  test("SSH, HTTP or noise where the rule says tls", () => {
    for (const bytes of [
      ascii("SSH-2.0-x\r\n"),
      ascii("GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n"),
      ascii("\0\0noise"),
    ]) {
      const on = scene();
      assert.equal(new Client(on).open().segment(0, bytes), "refuse");
      assertRefused(on, "not_protocol");
    }
  });

  test("a ssh rule is held to SSH", () => {
    const on = scene();
    const client = new Client(on, { destinationPort: 22 }).open();
    assert.equal(client.segment(0, ascii("SSH-2.0-OpenSSH_9.9\r\n")), "pending");
    assert.equal(new Client(on, { destinationPort: 22, sourcePort: 9 }).open().segment(0, allowed), "refuse");
  });

  test("a client that waits for the server to speak is ended when the time is over", () => {
    const on = scene();
    new Client(on).open();
    on.pass(29_000);
    assert.deepEqual(on.reports, []);
    on.pass(1_500);
    assertRefused(on, "timeout");
    assert.equal(on.resets.length, 2);
  });

  test("closed without a byte: nothing was attempted", () => {
    for (const flags of [FIN | ACK, RST]) {
      const on = scene();
      assert.equal(new Client(on).open().bare({ flags }), "pending");
      assert.deepEqual(reasons(on), ["allow closed"]);
    }
  });

  test("a server that never answers is no time-out of the client's, and its repeated SYNs are one attempt", () => {
    const on = scene();
    const client = new Client(on);
    for (const pause of [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000]) {
      on.pass(pause);
      assert.equal(client.syn(), "pending");
    }
    on.pass(80_000);
    assert.deepEqual(reasons(on), ["allow closed"]);
    assert.equal(on.flows.load.flows, 0);
  });
});

test("keep-alive and window probes before the first byte: those without bytes pass, the garbage byte does not", () => {
  const on = scene();
  const client = new Client(on).open();
  assert.equal(client.segment(-1, new Uint8Array(0), { flags: ACK }), "pending");
  assert.equal(client.segment(-1, Uint8Array.of(0), { flags: ACK }), "drop");
  assert.equal(client.segment(-300, new Uint8Array(301)), "drop", "bytes before the stream are for nobody");
  assert.equal(client.segment(0, allowed), "pending");
  assert.equal(client.read, Buffer.from(allowed).toString("latin1"));
});

test("a binding that ends between the SYN and the hello does not refuse its own connection", () => {
  const on = new Scene(enforced).bind("allowed.example", shared.destination, 500);
  const client = new Client(on).open();
  on.pass(1_000);
  assert.equal(client.segment(0, allowed), "pending");
  assert.equal(new Client(on, { sourcePort: 5 }).syn(), "refuse", "D8: the next one is");
});

test("a worker that starts anew refuses what it holds nothing about, and says so once a packet", () => {
  const on = scene();
  const packet = tcp(shared, { seq: 7, ack: 1, flags: ACK | PSH, payload: allowed });
  assert.equal(on.judge(packet, { state: "pending" }), "refuse");
  assert.equal(on.judge(packet), "refuse", "refused once, it is refused without another event");
  assertRefused(on, "mid_stream");
});
