/**
 * N10: a server may ask for the ClientHello once more, and the second one is judged like the first: it must ask for the same
 * name, whatever stands before it and however it is cut. Honest clients are in nobody's way.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildHello, bytes, filler, records, serverNames, supportedVersions, vector } from "../../test/wire/hello.ts";
import { ACK, FIN, PSH } from "../wire/ip/packet.ts";
import { limits } from "./limits.ts";
import { ascii } from "./testing/packets.ts";
import { enforced } from "./testing/policies.ts";
import { Client, Scene } from "./testing/scene.ts";

const hello = (name: string | null, version = 0x0304, ...more: (readonly [number, Uint8Array])[]) =>
  records(
    buildHello({
      extensions: [...(name === null ? [] : [serverNames(name)]), supportedVersions(version), filler(51, 200), ...more],
    }),
  );
const record = (type: number, data: Uint8Array) => bytes(type, 3, 3, vector(2, data));
const ccs = record(20, bytes(1));
const data = (size = 200) => record(23, new Uint8Array(size).fill(0x99));
const earlyData = [42, bytes()] as const;

const first = hello("allowed.example");
const evil = hello("denied.example");
/** What a HelloRetryRequest and its change_cipher_spec amount to. */
const retry = 99;

function asked(sent = first): { on: Scene; client: Client; at: number } {
  const on = new Scene(enforced, { answersSeen: true }).bind("allowed.example").bind("web.example");
  const client = new Client(on);
  client.syn();
  client.answer();
  assert.equal(client.segment(0, sent), "pending");
  client.ack += retry;
  return { on, client, at: sent.length };
}

const text = (...parts: Uint8Array[]) => Buffer.from(bytes(...parts)).toString("latin1");
const reasons = ({ reports }: Scene) =>
  reports.slice(1).map(({ decision, name }) => `${decision.verdict} ${decision.reason} ${name}`);

describe("N10: a second hello", () => {
  test("for the same name goes on, and the kernel takes over once the server has said more than a retry request", () => {
    const { on, client, at } = asked();
    const second = bytes(ccs, first);
    assert.equal(client.bare(), "pending");
    assert.equal(client.segment(at, second), "pending");
    client.ack += 900;
    assert.equal(client.segment(at + second.length, data()), "pending", "all that could still be retry requests");
    client.ack += 100;
    assert.equal(client.segment(at + second.length + 205, data()), "allow");
    assert.deepEqual(on.flows.load, { flows: 0, bytes: 0 });
    assert.equal(on.reports.length, 1);
    assert.equal(client.read, text(first, second, data(), data()));
  });

  test("for another name, for none, or for a thing that is no name never leaves", () => {
    for (const [second, reason] of [
      [evil, "host_changed denied.example"],
      [hello("web.example"), "host_changed web.example"],
      [hello(null), "host_changed null"],
      [hello("192.0.2.1"), "invalid_name null"],
    ] as const) {
      for (const before of [bytes(), ccs, bytes(ccs, ccs), record(21, bytes(1, 90))]) {
        const { on, client, at } = asked();
        assert.equal(client.segment(at, bytes(before, second)), "refuse");
        assert.deepEqual(reasons(on), [`deny ${reason}`]);
        assert.equal(client.read, text(first));
        assert.deepEqual(
          on.resets.map(({ sequence }) => sequence),
          [client.initial + 1 + at],
          "the server is told, with the number that it expects",
        );
        assert.equal(client.segment(at, second), "refuse");
      }
    }
  });

  test("cut at any place, in either order, waits until it is whole", () => {
    for (const [name, verdict] of [
      ["allowed.example", "pending"],
      ["denied.example", "refuse"],
    ] as const) {
      const second = bytes(ccs, hello(name));
      for (let cut = 1; cut < second.length; cut += cut < 14 ? 1 : 31) {
        for (const order of ["forward", "backward"]) {
          const { on, client, at } = asked();
          const pieces = [
            [at, second.subarray(0, cut)],
            [at + cut, second.subarray(cut)],
          ] as [number, Uint8Array][];
          if (order === "backward") pieces.reverse();
          const isOpen = order === "forward" && cut <= ccs.length;
          assert.equal(client.segment(...pieces[0]!), isOpen ? "pending" : "held");
          assert.equal(client.segment(...pieces[1]!), verdict);
          assert.deepEqual(on.held, []);
          const passed = verdict === "pending" ? second : isOpen ? second.subarray(0, cut) : bytes();
          assert.equal(client.read, text(first, passed));
        }
      }
    }
  });

  test("behind early data is found where early data was offered", () => {
    const sent = hello("allowed.example", 0x0304, earlyData);
    const { on, client } = asked(bytes(sent, data(), data()));
    const at = sent.length + 410;
    assert.equal(client.segment(at, data(1000)), "pending");
    assert.equal(client.segment(at + 1005, bytes(ccs, evil)), "refuse");
    assert.deepEqual(reasons(on), ["deny host_changed denied.example"]);
  });

  test("in place of one that was judged, or of what showed that there is none, is refused", () => {
    for (const shown of [bytes(ccs, first), bytes(ccs, data())]) {
      const { on, client, at } = asked();
      assert.equal(client.segment(at, shown), "pending");
      assert.equal(client.segment(at, shown), "pending", "a faithful repeat");
      client.ack += 100;
      assert.equal(client.segment(at, bytes(ccs, evil)), "refuse");
      assert.deepEqual(reasons(on), ["deny overlap allowed.example"]);
      assert.equal(client.read, text(first, shown));
    }
  });

  test("together with the first one, or never whole, or broken off", () => {
    const joint = new Scene(enforced, { answersSeen: true }).bind("allowed.example");
    const client = new Client(joint);
    client.syn();
    client.answer();
    assert.equal(client.segment(0, bytes(first, evil)), "refuse");
    assert.equal(joint.payloadLeft, 0);
    const slow = asked();
    assert.equal(slow.client.segment(slow.at, first.subarray(0, 50)), "held");
    slow.on.pass(limits.helloMs + 500);
    assert.deepEqual(slow.on.held, []);
    assert.deepEqual(reasons(slow.on), ["deny timeout allowed.example"]);
    const closed = asked();
    assert.equal(closed.client.segment(closed.at, first.subarray(0, 50), { flags: FIN | ACK | PSH }), "refuse");
    assert.deepEqual(reasons(closed.on), ["deny closed allowed.example"]);
  });

  test("waiting behind the gap that the first one was read up to is not let go with it", () => {
    const on = new Scene(enforced, { answersSeen: true }).bind("allowed.example");
    const client = new Client(on);
    client.syn();
    client.answer();
    assert.equal(client.segment(first.length + 1, bytes(ccs, evil).subarray(1)), "held");
    assert.equal(client.segment(0, first), "pending");
    assert.deepEqual(on.held, []);
    assert.equal(on.payloadLeft, first.length);
    client.ack += retry;
    assert.equal(client.segment(first.length, bytes(ccs, evil)), "refuse");
  });
});

describe("ordinary clients", () => {
  test("that heard a whole flight are the kernel's with their next words", () => {
    const { on, client, at } = asked();
    client.ack += 2000;
    assert.equal(client.segment(at, bytes(ccs, data())), "allow");
    assert.equal(on.reports.length, 1);
  });

  test("of a short flight (a resumed session) are never held, in order or not, and close in peace", () => {
    const { on, client, at } = asked();
    client.ack += 150;
    assert.equal(client.segment(at, bytes(ccs, data(40))), "pending");
    assert.equal(client.segment(at + 51, data()), "pending");
    client.ack += 400;
    assert.equal(client.bare({ flags: FIN | ACK, seq: client.initial + 1 + at + 51 + 205 }), "pending");
    on.pass(limits.closingMs + 1_000);
    assert.equal(on.flows.load.flows, 0);
    const late = asked();
    assert.equal(late.client.segment(late.at + 51, data()), "held");
    assert.equal(late.client.segment(late.at + 256, new Uint8Array(0), { flags: FIN | ACK }), "held");
    assert.equal(late.client.segment(late.at, bytes(ccs, data(40))), "pending");
    assert.deepEqual(late.on.held, []);
    assert.equal(late.client.read, text(first, ccs, data(40), data()));
  });

  test("with early data: it goes on before the server has said a word", () => {
    const sent = hello("allowed.example", 0x0304, earlyData);
    const { client } = asked(sent);
    for (let i = 0; i < 80; i++) assert.equal(client.segment(sent.length + i * 1005, data(1000)), "pending");
  });

  test("that upload before the server says more are the kernel's once a window's worth has gone", () => {
    const { client, at } = asked();
    const piece = data();
    let next = at;
    const upTo = (end: number): void => {
      for (; next + piece.length <= end; next += piece.length) {
        assert.equal(client.segment(next, piece), "pending");
      }
    };
    upTo(at + 2_000);
    // A segment far ahead proves nothing about the bytes between: it may be all that was sent.
    assert.equal(client.segment(at + 2 ** 24 + 1, ascii("x")), "pending");
    assert.equal(client.segment(next, piece), "pending");
    next += piece.length;
    const large = new Uint8Array(60_000);
    for (; next - at <= 2 ** 24; next += large.length) assert.equal(client.segment(next, large), "pending");
    assert.equal(client.segment(next, ascii("x")), "allow");
  });

  test("of TLS 1.2 and before, which cannot be asked again, are handed over at the server's first word", () => {
    const { client, at } = asked(hello("allowed.example", 0x0303));
    assert.equal(client.segment(at, record(22, bytes(16, 0, 0, 1, 0))), "allow");
  });
});
