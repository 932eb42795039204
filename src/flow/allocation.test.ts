/**
 * A budget: what judging one flow may allocate. Memory that each packet takes comes back as pauses of the collector, under load and
 * for everybody. V8 counts what was ever allocated, so that neither the collector nor a busy machine changes the figure; what is
 * compared is its lowest of several rounds, when the code is compiled.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { getHeapStatistics } from "node:v8";
import { parsePacket, Packet, ACK, PSH, SYN } from "../wire/ip/packet.ts";
import { AddressBook } from "./book.ts";
import type { Effects } from "./effects.ts";
import { FlowEngine, type KernelFacts } from "./engine.ts";
import { captureHello } from "./testing/hellos.ts";
import { ascii, tcp, type TcpParts, type Tuple } from "./testing/packets.ts";
import { address, policy, server, start } from "./testing/scene.ts";

const none: KernelFacts = { state: "none", local: false, invalid: false, broadcast: false, back: false };
const pending: KernelFacts = { ...none, state: "pending" };
const syn: TcpParts = { seq: 999, flags: SYN };
const data = (payload: Uint8Array, at = 0, ack = 5001): TcpParts => ({
  seq: 1000 + at,
  ack,
  flags: ACK | PSH,
  payload,
});

/** What V8 has allocated since the process began. */
function allocated(): number {
  const { total_allocated_bytes: bytes } = getHeapStatistics() as { total_allocated_bytes?: number };
  assert.ok(bytes !== undefined, "this Node does not count allocations");
  return bytes;
}

/** Bytes that one of so many flows of these packets takes. */
function perFlow(port: number, to: string, packets: readonly (readonly [TcpParts, KernelFacts])[]): number {
  const engine = policy("rules:\n  - { name: tls, to: allowed.example }\ndefault: { mode: enforce }");
  const count = 1000;
  const sent = Array.from({ length: count }, (_, i) => {
    const tuple: Tuple = {
      source: address("10.0.0.2"),
      destination: address(to),
      sourcePort: 1024 + i,
      destinationPort: port,
    };
    return packets.map(([parts, kernel]) => ({ bytes: tcp(tuple, parts), kernel }));
  });
  let verdicts = 0;
  const effects: Effects = {
    accept: () => void verdicts++,
    refuse: () => void verdicts++,
    drop: () => void verdicts++,
    reset() {},
    report() {},
  };
  let least = Infinity;
  for (let round = 0; round < 8; round++) {
    const book = new AddressBook();
    book.bind({ name: "allowed.example", address: server, expires: start * 2, source: null });
    const flows = new FlowEngine(engine, book, effects);
    const packet = new Packet();
    const before = allocated();
    let id = 0;
    for (const flow of sent) {
      for (const { bytes, kernel } of flow) {
        parsePacket(bytes, 0, bytes.length, packet);
        flows.packet(id++, bytes, 0, packet, kernel, start);
      }
    }
    least = Math.min(least, (allocated() - before) / count);
  }
  assert.ok(verdicts >= count * packets.length, "every packet has a verdict");
  return least;
}

test("a flow refused at its SYN", () => {
  const bytes = perFlow(443, "192.0.2.1", [[syn, none]]);
  assert.ok(bytes < 1_700, `${bytes} bytes`);
});

test("an allowed TLS flow: SYN, hello, the answer acknowledged", async () => {
  const hello = await captureHello("allowed.example");
  const bytes = perFlow(443, "198.51.100.7", [
    [syn, none],
    [data(hello), pending],
    [data(ascii("finished"), hello.length, 9001), pending],
  ]);
  assert.ok(bytes < 14_000, `${bytes} bytes`);
});
