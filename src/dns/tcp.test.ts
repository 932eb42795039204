/**
 * DNS over TCP from clients: framing in any segments, several messages at once, and no way to hold more than one's share.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { ask, dig, exchange, fixed, inside, policed, queryBytes, read, server, stand } from "../../test/dns/peers.ts";
import { until } from "../../test/support/until.ts";
import { formatName } from "../wire/dns/name.ts";
import { Rcode, Type } from "../wire/dns/types.ts";
import { FrameReader, frame } from "./frames.ts";

async function connect(port: number, source = policed): Promise<net.Socket> {
  const socket = net.connect({ host: "127.0.0.1", port, localAddress: source, noDelay: true });
  socket.on("error", () => {});
  await Promise.race([once(socket, "connect"), once(socket, "close")]);
  return socket;
}

/** Everything a connection answers until it closes. */
async function answersOf(socket: net.Socket) {
  const frames = new FrameReader();
  const out: Uint8Array[] = [];
  socket.on("data", (chunk: Uint8Array) => void out.push(...frames.push(chunk)));
  await once(socket, "close");
  return out.map(read);
}

test("framing does not depend on segments", () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
  fc.assert(
    fc.property(messages, fc.array(fc.nat(12), { minLength: 1 }), (list, cuts) => {
      const stream = Buffer.concat(list.map(frame));
      const reader = new FrameReader();
      const out: Uint8Array[] = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = Math.max(1, cuts[i % cuts.length]!);
        out.push(...reader.push(stream.subarray(at, at + size)));
        at += size;
      }
      assert.deepEqual(
        out.map((bytes) => [...bytes]),
        list.map((bytes) => [...bytes]),
      );
      assert.equal(reader.partial, false);
    }),
  );
});

test("D3: many messages in one segment, and one message in many, get the same parser and the same verdicts", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const { port, events } = await stand(t, [far.endpoint]);
  const names = Array.from({ length: 100 }, (_, i) => (i % 3 === 0 ? `n${i}.evil.example` : `n${i}.wild.example`));
  const stream = Buffer.concat(names.map((name, i) => frame(queryBytes(name, Type.A, null, i))));
  const whole = await connect(port);
  whole.end(stream);
  const answers = await answersOf(whole);
  assert.equal(answers.length, 100);
  for (const { header, questions } of answers) {
    assert.equal(formatName(questions[0]!.name), names[header.id]);
    assert.equal(header.rcode, header.id % 3 === 0 ? Rcode.NXDOMAIN : Rcode.NOERROR);
  }
  assert.ok(far.received.every(({ bytes }) => !formatName(read(bytes).questions[0]!.name).includes("evil")));
  assert.equal(events.length, 100);
  const dripping = await connect(port);
  for (const byte of frame(queryBytes("allowed.example"))) {
    dripping.write(Uint8Array.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  dripping.end();
  assert.equal((await answersOf(dripping)).length, 1);
});

test("answers larger than any datagram come whole over TCP, and dig takes several questions on one connection", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const { port } = await stand(t, [far.endpoint]);
  const said = await dig(port, "+tcp", "+keepopen", "allowed.example", "A", "evil.example", "A");
  assert.match(said, /status: NOERROR[^]*status: NXDOMAIN/);
});

test("D7: a frame too short for a header, and a 64 kB one, end or answer without harm", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const { port, firewall } = await stand(t, [far.endpoint]);
  const short = await connect(port);
  short.write(frame(new Uint8Array(5)));
  assert.deepEqual(await answersOf(short), []);
  const large = await connect(port);
  large.end(frame(Uint8Array.from([...queryBytes("allowed.example"), ...Array<number>(65_000).fill(0)])));
  assert.deepEqual(
    (await answersOf(large)).map(({ header }) => header.rcode),
    [Rcode.FORMERR],
  );
  assert.deepEqual(far.received, []);
  assert.equal(firewall.stats().connections, 0);
});

test("a connection that sends no whole message in time is closed, though it sends a byte now and then", async (t) => {
  const far = await server(t);
  const { port, firewall } = await stand(t, [far.endpoint], { limits: { idle: 300 } });
  const socket = await connect(port);
  const slow = frame(queryBytes("allowed.example")).values();
  const drip = setInterval(() => socket.write(Uint8Array.of(slow.next().value!)), 50);
  const closed = once(socket, "close").then(() => "closed");
  // The drip would keep a connection that each byte prolongs for as long as anybody waits.
  assert.equal(await Promise.race([closed, sleep(5_000, "still open", { ref: false })]), "closed");
  clearInterval(drip);
  assert.notEqual(slow.next().done, true, "closed for the time it took, not for what it said");
  assert.ok(await until(() => firewall.stats().connections === 0, 5_000));
  assert.deepEqual(far.received, []);
});

test("a source has its share of connections and no more; others are still served", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const { port, firewall } = await stand(t, [far.endpoint], { limits: { connectionsPerSource: 5 } });
  const held = await Promise.all(Array.from({ length: 5 }, () => connect(port)));
  const sixth = await connect(port);
  if (!sixth.destroyed) await once(sixth, "close");
  assert.equal(firewall.stats().overLimit, 1);
  const other = await connect(port, inside);
  other.end(frame(queryBytes("allowed.example")));
  assert.equal((await answersOf(other)).length, 1);
  for (const socket of held) socket.destroy();
  for (const socket of held) if (!socket.closed) await once(socket, "close");
});

test("a client that never reads is cut off; a pipeline over its limit waits its turn", async (t) => {
  const far = await server(t, fixed("192.0.2.7"));
  const { port, firewall } = await stand(t, [far.endpoint], { limits: { pipeline: 2, idle: 1000 } });
  const deaf = await connect(port);
  deaf.pause();
  const query = frame(queryBytes("evil.example", Type.A, { udpSize: 1232, version: 0, dnssecOk: false, options: [] }));
  const batch = Buffer.concat(Array.from({ length: 500 }, () => query));
  while (!deaf.destroyed && deaf.writableLength < 4_000_000) {
    deaf.write(batch);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const gone = async () => {
    while (firewall.stats().connections > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  await gone();
  deaf.destroy();
  assert.equal((await ask(port, "allowed.example")).header.rcode, Rcode.NOERROR);
});

test("closing ends connections and queries under way", async (t) => {
  const far = await server(t);
  const { port, firewall } = await stand(t, [far.endpoint]);
  const socket = await connect(port);
  socket.write(frame(queryBytes("allowed.example")));
  const pending = exchange(port, queryBytes("other.example"), policed, 1000);
  while (far.received.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  await firewall.close();
  assert.equal(firewall.stats().outstanding, 0);
  assert.equal(firewall.stats().connections, 0);
  if (!socket.closed) await once(socket, "close");
  await pending;
});
