/**
 * N2, N9, N10 over QUIC: an allowed flow is a pair of ports, and a client may open any number of connections on it. Each is
 * judged; of one that is refused no datagram leaves, and those that were let go live on.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildHello, bytes, filler, serverNames } from "../../test/wire/hello.ts";
import { cryptoFrame, datagram as joined, firstId, padded, sealInitial } from "../../test/wire/initial.ts";
import type { InitialParts } from "../../test/wire/initial.ts";
import { limits } from "./limits.ts";
import { enforced, monitored } from "./testing/policies.ts";
import { datagram, policy, Scene } from "./testing/scene.ts";

const hello = (name: string, ...more: (readonly [number, Uint8Array])[]) =>
  buildHello({ extensions: [serverNames(name), ...more] });
const secondId = Uint8Array.from([2, 2, 2, 2, 2, 2, 2, 2]);
const serverId = Uint8Array.from([9, 9, 9]);

/** One datagram with one Initial that carries `message` from `from` to `to`. */
function initial(message: Uint8Array, parts: InitialParts = {}, from = 0, to = message.length): Uint8Array {
  return joined(sealInitial(padded(cryptoFrame(from, message.subarray(from, to)), 1150), parts));
}

/** A long header without anything that could be opened; types by version 1. */
const long = (first: number, id: Uint8Array, version = [0, 0, 0, 1]) =>
  bytes(first, version, id.length, id, 0, 0x40, 30, new Uint8Array(30));
const handshake = (id: Uint8Array) => long(0xe0, id);
const zeroRtt = (id: Uint8Array) => long(0xd0, id);
const short = (size = 60) => new Uint8Array(size).fill(0x41);

const good = hello("quic.example");
const evil = hello("evil.example");

/** A flow whose first connection was let go. */
function live(text = enforced): Scene {
  const on = new Scene(text).bind("quic.example").bind("other.example");
  assert.equal(datagram(on, initial(good)), "quic");
  return on;
}

const told = ({ reports }: Scene) =>
  reports.slice(1).map(({ decision, name }) => [decision.verdict, decision.reason, name].join(" "));

describe("N2: a second connection on the ports of an allowed one", () => {
  test("to another name never leaves, and is recorded; the first one goes on", () => {
    const on = live();
    const before = on.payloadLeft;
    assert.equal(datagram(on, initial(evil, { dcid: secondId })), "refuse");
    assert.equal(datagram(on, initial(evil, { dcid: secondId }, 0, 40)), "held");
    assert.equal(datagram(on, initial(evil, { dcid: secondId, number: 1 }, 40)), "refuse");
    assert.deepEqual(on.held, []);
    assert.equal(on.payloadLeft, before);
    assert.deepEqual(told(on), ["deny default evil.example", "deny default evil.example"]);
    assert.equal(datagram(on, short()), "allow", "the kernel's own");
    assert.equal(datagram(on, handshake(serverId)), "quic");
  });

  test("to the same name goes on, also after a Retry; to another allowed one too, and each name is recorded once", () => {
    const on = live(enforced.replace("to: quic.example", "to: [quic.example, other.example]"));
    assert.equal(datagram(on, initial(good, { dcid: serverId, token: new Uint8Array(20), number: 1 })), "quic");
    assert.equal(datagram(on, initial(good, { dcid: secondId, version: 2 }, 0, 30)), "held");
    assert.equal(datagram(on, initial(good, { dcid: secondId, version: 2, number: 1 }, 30)), "quic");
    assert.deepEqual(told(on), []);
    assert.equal(datagram(on, initial(hello("other.example"), { dcid: firstId.toReversed() })), "quic");
    assert.deepEqual(told(on), ["allow rule other.example"]);
  });

  test("back to back in the queue, before the kernel knows of the first one's verdict", () => {
    const on = live();
    on.marks.clear();
    assert.equal(datagram(on, initial(evil, { dcid: secondId })), "refuse");
  });

  test("long after the first one, or after a restart: judged all the same", () => {
    const late = live();
    late.pass(limits.quicMs + 1_000);
    assert.equal(late.flows.load.flows, 0);
    const anew = new Scene(enforced).bind("quic.example");
    for (const [key, mark] of late.marks) anew.marks.set(key, mark);
    for (const on of [late, anew]) {
      assert.equal(datagram(on, initial(evil, { dcid: secondId })), "refuse");
      assert.equal(datagram(on, initial(good, { dcid: secondId, keysOf: firstId })), "drop", "of nobody's");
      assert.equal(datagram(on, handshake(serverId)), "quic");
      assert.equal(datagram(on, short()), "allow");
      assert.equal(datagram(on, initial(good)), "quic");
    }
  });

  test("hidden behind other packets, or where the sender's kernel will cut one piece into several datagrams", () => {
    const second = initial(evil, { dcid: secondId });
    for (const bytesBefore of [
      short(1300),
      joined(handshake(serverId)),
      joined(initial(good, { number: 5 }), short(700)),
    ]) {
      const on = live();
      const before = on.payloadLeft;
      const verdict = datagram(on, bytes(bytesBefore, second));
      assert.ok(["refuse", "drop"].includes(verdict), verdict);
      assert.equal(on.payloadLeft, before);
    }
    const large = live();
    assert.equal(datagram(large, bytes(short(1300), short(1300))), "quic", "which is all right without one");
  });

  test("of another version of QUIC is refused", () => {
    for (const version of [
      [0, 0, 0, 0],
      [0xff, 0, 0, 29],
      [0x51, 0x30, 0x35, 0x30],
    ]) {
      const on = live();
      assert.equal(datagram(on, joined(long(0xc0, secondId, version))), "refuse");
      assert.deepEqual(told(on), ["deny not_protocol "]);
    }
  });

  test("early data without the Initial it belongs to is refused; with it, it shares its fate", () => {
    const on = live();
    assert.equal(datagram(on, joined(zeroRtt(secondId))), "drop");
    assert.equal(datagram(on, joined(zeroRtt(firstId))), "quic", "of the first connection");
    const before = on.payloadLeft;
    assert.equal(datagram(on, initial(evil, { dcid: secondId }, 0, 40)), "held");
    assert.equal(datagram(on, joined(zeroRtt(secondId))), "held");
    assert.equal(datagram(on, initial(evil, { dcid: secondId, number: 1 }, 40)), "refuse");
    assert.equal(on.payloadLeft, before);
  });

  test("never whole: its datagrams wait, are refused in time, and the flow goes on", () => {
    const on = live();
    assert.equal(datagram(on, initial(evil, { dcid: secondId }, 0, 40)), "held");
    on.pass(limits.helloMs + 500);
    assert.deepEqual(on.held, []);
    assert.deepEqual(told(on), ["deny timeout "]);
    assert.equal(datagram(on, handshake(serverId)), "quic");
  });

  test("in a packet whose time to live ends on the way shows nothing", () => {
    const on = live();
    assert.equal(datagram(on, initial(good, { dcid: secondId }), undefined, { ttl: 3 }), "drop");
  });
});

describe("the judged connection", () => {
  test("repeats its hello and acknowledges the server, under the server's id and in the other version", () => {
    const on = live();
    assert.equal(datagram(on, initial(good, { number: 1 })), "quic");
    const ack = padded(bytes(2, 0, 0, 0, 0), 1150);
    assert.equal(datagram(on, joined(sealInitial(ack, { dcid: serverId, keysOf: firstId, number: 2 }))), "quic");
    const v2 = sealInitial(ack, { dcid: serverId, keysOf: firstId, number: 3, version: 2 });
    assert.equal(datagram(on, joined(v2)), "quic");
    assert.equal(datagram(on, joined(zeroRtt(serverId))), "quic", "by now its id is known");
    assert.deepEqual(told(on), []);
  });

  test("says nothing else in place of the hello: the judged one may have been lost behind us", () => {
    for (const parts of [{ number: 1 }, { number: 0 }, { number: 1, dcid: serverId, keysOf: firstId }]) {
      const on = live();
      const before = on.payloadLeft;
      assert.equal(datagram(on, initial(evil, parts)), "drop");
      assert.equal(datagram(on, initial(evil, parts, 50)), "drop");
      assert.equal(on.payloadLeft, before);
      assert.deepEqual(told(on), ["deny overlap ", "deny overlap "]);
    }
  });

  test("N10: a second hello, after a HelloRetryRequest, must ask for the same name, and is the last one", () => {
    const again = (second: Uint8Array) => bytes(good, second);
    const at = (message: Uint8Array, number: number, from: number, to?: number) =>
      initial(message, { number, dcid: serverId, keysOf: firstId }, from, to);
    const on = live(enforced.replace("to: quic.example", "to: [quic.example, other.example]"));
    const same = again(hello("quic.example", filler(44, 40)));
    assert.equal(datagram(on, at(same, 1, good.length, good.length + 30)), "held");
    assert.equal(datagram(on, at(same, 2, good.length + 30)), "quic");
    assert.deepEqual(told(on), []);
    assert.equal(datagram(on, at(bytes(same, good), 3, same.length)), "drop");
    for (const name of ["evil.example", "other.example"]) {
      const other = live(enforced.replace("to: quic.example", "to: [quic.example, other.example]"));
      const before = other.payloadLeft;
      const message = again(hello(name));
      assert.equal(datagram(other, at(message, 1, good.length)), "refuse");
      assert.equal(datagram(other, at(message, 2, good.length)), "drop", "nothing more of it");
      assert.equal(other.payloadLeft, before);
      assert.equal(told(other)[0], `deny host_changed ${name}`);
    }
  });

  test("a number that a server could complete to another one opens nothing", () => {
    const on = live();
    const far = padded(cryptoFrame(0, good), 1150);
    assert.equal(datagram(on, joined(sealInitial(far, { number: 400 }))), "quic");
    assert.equal(datagram(on, joined(sealInitial(far, { number: 400 + 16, numberSize: 1 }))), "drop");
  });
});

describe("whose flows are followed", () => {
  test("in monitor mode nobody's", () => {
    const on = new Scene(monitored).bind("quic.example");
    assert.equal(datagram(on, initial(evil)), "allow");
    assert.equal(datagram(on, initial(good, { dcid: secondId })), "allow", "by the kernel");
    assert.equal(on.flows.load.flows, 0);
  });

  test("a rule for datagrams of any kind is not asked about their names", () => {
    const on = new Scene("rules: [{ name: all, to: 198.51.100.0/24, protocol: udp, ports: [443] }]");
    assert.equal(datagram(on, initial(evil)), "allow");
    assert.equal(on.reports[0]!.application, null);
  });

  test("a deny rule is not got around by a first datagram that is no QUIC", () => {
    const on = new Scene(`
rules:
  - { name: no, to: evil.example, action: deny, protocol: quic }
  - { name: all, to: 198.51.100.0/24, protocol: udp, ports: [443] }
default: { mode: enforce }`);
    assert.equal(datagram(on, short()), "quic");
    assert.equal(datagram(on, new Uint8Array(60).fill(0x90)), "quic", "another protocol with that bit");
    assert.equal(datagram(on, initial(evil)), "refuse");
    assert.equal(datagram(on, initial(good, { dcid: secondId })), "quic");
  });

  test("a new policy that does not ask for names hands the flow over; one that refuses lets nothing waiting go", () => {
    const [open, closed] = [live(), live()];
    for (const on of [open, closed]) assert.equal(datagram(on, initial(evil, { dcid: secondId }, 0, 40)), "held");
    open.flows.setPolicy(policy("rules: [{ name: all, to: 198.51.100.0/24, protocol: udp, ports: [443] }]"), open.now);
    assert.deepEqual(open.held, []);
    assert.equal(datagram(open, initial(evil, { dcid: secondId })), "allow");
    const before = closed.payloadLeft;
    closed.flows.setPolicy(policy("rules: []\ndefault: { mode: enforce }"), closed.now);
    assert.deepEqual(closed.held, []);
    assert.equal(datagram(closed, initial(good, { dcid: secondId })), "refuse");
    assert.equal(closed.payloadLeft, before);
  });
});
