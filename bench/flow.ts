/**
 * What the flow engine costs, alone: no kernel, no queue, one thread. Run: `node --expose-gc bench/flow.ts [flows]`. New flows a
 * second for each kind, and bytes allocated per flow; and how fast the followed body of a plain-HTTP upload goes through.
 * Packets are built before the clock starts. Prints the machine's load first: numbers taken beside other work mean little.
 */
import { loadavg } from "node:os";
import type { Address } from "../src/address/ip.ts";
import { AddressBook } from "../src/flow/book.ts";
import type { Effects } from "../src/flow/effects.ts";
import { FlowEngine, type KernelFacts } from "../src/flow/engine.ts";
import { captureHello } from "../src/flow/testing/hellos.ts";
import { ascii, tcp, type TcpParts, type Tuple } from "../src/flow/testing/packets.ts";
import { address, policy } from "../src/flow/testing/scene.ts";
import { ACK, Packet, parsePacket, PSH, SYN } from "../src/wire/ip/packet.ts";

const count = Number(process.argv[2] ?? 20_000);
const rounds = 7;
const rules = Array.from({ length: 200 }, (_, i) => `  - { name: r${i}, to: "h${i}.example.com" }`).join("\n");
const engine = policy(`rules:
${rules}
  - { name: tls, to: allowed.example }
  - { name: web, to: "allowed.example:80" }
  - { name: opaque, to: 203.0.113.0/24, protocol: tcp, ports: [5432] }
default: { mode: enforce }`);
const hello = await captureHello("allowed.example");
const request = ascii("GET / HTTP/1.1\r\nHost: allowed.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n");
const server = address("198.51.100.7");
const none: KernelFacts = { state: "none", local: false, invalid: false, broadcast: false, back: false };
const pending: KernelFacts = { ...none, state: "pending" };

interface Sent {
  bytes: Uint8Array;
  kernel: KernelFacts;
}

/** Counts the verdicts, so that nothing is optimised away. */
class Counter implements Effects {
  allowed = 0;
  passed = 0;
  refused = 0;
  accept(_id: number, mark: "pending" | "allow"): void {
    if (mark === "allow") this.allowed++;
    else this.passed++;
  }
  refuse(): void {
    this.refused++;
  }
  drop(): void {
    this.refused++;
  }
  reset(): void {}
  report(): void {}
}

const syn: TcpParts = { seq: 999, flags: SYN };
const data = (payload: Uint8Array, at = 0, ack = 5001): TcpParts => ({
  seq: 1000 + at,
  ack,
  flags: ACK | PSH,
  payload,
});

/** The packets of one flow that user space sees. */
const kinds: Record<string, { port: number; to: Address; packets: (readonly [TcpParts, KernelFacts])[] }> = {
  "address decides (SYN)": { port: 5432, to: address("203.0.113.9"), packets: [[syn, none]] },
  "refused at the SYN": { port: 443, to: address("192.0.2.1"), packets: [[syn, none]] },
  "TLS (SYN, hello, first answer acknowledged)": {
    port: 443,
    to: server,
    packets: [
      [syn, none],
      [data(hello), pending],
      [data(ascii("finished"), hello.length, 9001), pending],
    ],
  },
  "TLS, hello in two segments": {
    port: 443,
    to: server,
    packets: [
      [syn, none],
      [data(hello.subarray(0, 1400)), pending],
      [data(hello.subarray(1400), 1400), pending],
      [data(ascii("finished"), hello.length, 9001), pending],
    ],
  },
  "plain HTTP (SYN, request, FIN)": {
    port: 80,
    to: server,
    packets: [
      [syn, none],
      [data(request), pending],
      [{ seq: 1000 + request.length, ack: 9001, flags: ACK | 1 }, pending],
    ],
  },
};

function measure(packets: readonly Sent[]): { seconds: number; allocated: number; counter: Counter } {
  const counter = new Counter();
  const book = new AddressBook();
  const now = Date.UTC(2030, 0, 1);
  for (let i = 0; i < 8; i++)
    book.bind({
      name: i === 0 ? "allowed.example" : `cdn${i}.example`,
      address: server,
      expires: now * 2,
      source: null,
    });
  const flows = new FlowEngine(engine, book, counter);
  const packet = new Packet();
  globalThis.gc?.();
  const before = process.memoryUsage();
  const start = performance.now();
  for (let id = 0; id < packets.length; id++) {
    const { bytes, kernel } = packets[id]!;
    parsePacket(bytes, 0, bytes.length, packet);
    flows.packet(id, bytes, 0, packet, kernel, now);
  }
  const seconds = (performance.now() - start) / 1000;
  const after = process.memoryUsage();
  return { seconds, allocated: after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers, counter };
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

console.log(
  `load average ${loadavg()
    .map((n) => n.toFixed(2))
    .join(" ")}, ${count} flows, node ${process.version}`,
);
for (const [name, { port, to, packets }] of Object.entries(kinds)) {
  const sent: Sent[] = [];
  for (let i = 0; i < count; i++) {
    const source = address(`10.0.${(i >> 13) & 255}.${(i >> 5) & 255 || 1}`);
    const tuple: Tuple = { source, destination: to, sourcePort: 1024 + i, destinationPort: port };
    for (const [parts, kernel] of packets) sent.push({ bytes: tcp(tuple, parts), kernel });
  }
  const results = Array.from({ length: rounds }, () => measure(sent)).slice(1);
  const times = results.map(({ seconds }) => seconds);
  const { counter } = results[0]!;
  const spread = (Math.max(...times) / Math.min(...times) - 1) * 100;
  console.log(
    `${name}: ${Math.round(count / median(times))} flows/s (spread ${spread.toFixed(0)} %), ` +
      `${((median(times) * 1e6) / count).toFixed(2)} µs and ${Math.round(median(results.map(({ allocated }) => allocated)) / count)} bytes a flow` +
      ` [${counter.allowed} allowed, ${counter.passed} passed, ${counter.refused} refused]`,
  );
}

/** A body of `size` bytes in segments as the kernel hands them up: of one packet, or joined by its offload. */
for (const segment of [1448, 60_000]) {
  const size = 256 * 1024 * 1024;
  const tuple: Tuple = { source: address("10.0.0.2"), destination: server, sourcePort: 40_000, destinationPort: 80 };
  const head = ascii(`POST / HTTP/1.1\r\nHost: allowed.example\r\nContent-Length: ${size}\r\n\r\n`);
  const times = Array.from({ length: 3 }, () => {
    const counter = new Counter();
    const book = new AddressBook();
    book.bind({ name: "allowed.example", address: server, expires: Infinity, source: null });
    const flows = new FlowEngine(engine, book, counter);
    const packet = new Packet();
    const send = (bytes: Uint8Array, kernel: KernelFacts) => {
      parsePacket(bytes, 0, bytes.length, packet);
      flows.packet(0, bytes, 0, packet, kernel, 1e12);
    };
    send(tcp(tuple, syn), none);
    send(tcp(tuple, data(head)), pending);
    const body = tcp(tuple, data(new Uint8Array(segment).fill(7)));
    const view = new DataView(body.buffer);
    const start = performance.now();
    for (let at = 0; at + segment <= size; at += segment) {
      view.setUint32(24, (1000 + head.length + at) >>> 0);
      send(body, pending);
    }
    if (counter.refused > 0) throw new RangeError(`${counter.refused} refused`);
    return (performance.now() - start) / 1000;
  });
  console.log(
    `upload over plain HTTP in ${segment}-byte segments: ${((size * 8) / 1e9 / median(times)).toFixed(1)} Gbit/s`,
  );
}
