/**
 * The near end of new connections: keeps so many under way, each SYN, acknowledgement, hello, and at the answer (or the refusal) a
 * RST and the next one; from several source addresses, as a network of runners has, to several addresses of one name. Before the
 * clock starts each source asks DNS for the name, as a program would. Prints JSON (`Load` of outcome.ts).
 * `node connect.ts JSON` with {@link Order}.
 */
import { existsSync, readFileSync } from "node:fs";
import dnsPacket from "dns-packet";
import { Link } from "./packets.ts";
import { Histogram, type Load, type Order } from "./outcome.ts";
import { ACK, addressNumber, FIN, PSH, RST, Segment, SYN, Template } from "./segments.ts";

const order = JSON.parse(process.argv[2]!) as Order;
const { port } = order;
const link = new Link(order.device, order.neighbour, 20);
const hello = readFileSync(order.hello);
const sources = order.sources.map(addressNumber);
const destinations = order.destinations.map(addressNumber);
const largest = 1448;
const pieces = Array.from({ length: Math.ceil(hello.length / largest) }, (_, i) => {
  const at = i * largest;
  return { at, template: new Template(ACK | PSH, hello.subarray(at, at + largest)) };
});
const open = new Template(SYN);
const bare = new Template(ACK);
const finished = new Template(ACK | PSH, Buffer.from("f"));
const close = new Template(RST);
/** Ports from the first that is nobody's by convention; a pair of ends comes again after a million connections. */
const firstPort = 1024;
const ports = 64_000;
const alert = 0x15;
/** A connection that has waited so long is lost, ms. */
const patience = 3000;

/** By source port: which connection it is, or -1. */
const slots = new Int32Array(65_536).fill(-1);
const begun = new Float64Array(order.concurrency);
const number = new Uint32Array(order.concurrency);
const greeted = new Uint8Array(order.concurrency);
const first = 0x1000_0000;
const times = new Histogram();
const segment = new Segment();
let made = order.offset ?? 0;
let done = 0;
let failed = 0;
let wrong = 0;
let live = 0;
let wanted = Infinity;
let until = 0;

function endsOf(connection: number) {
  return {
    source: sources[(connection + Math.floor(connection / ports)) % sources.length]!,
    destination: destinations[(connection >> 4) % destinations.length]!,
    sourcePort: firstPort + (connection % ports),
    destinationPort: port,
  };
}

function send(template: Template, connection: number, sequence: number, acknowledged: number): void {
  const ends = endsOf(connection);
  link.send((into, at) => template.write(into, at, ends, sequence, acknowledged));
}

function begin(slot: number): void {
  const connection = made++;
  number[slot] = connection;
  greeted[slot] = 0;
  begun[slot] = performance.now();
  slots[firstPort + (connection % ports)] = slot;
  live++;
  send(open, connection, first, 0);
}

/** Ends the connection of a slot and begins the next one there. */
function over(slot: number, now: number): void {
  live--;
  slots[firstPort + (number[slot]! % ports)] = -1;
  if (now < until && made - (order.offset ?? 0) < wanted) begin(slot);
}

function settle(slot: number, answered: boolean): void {
  const now = performance.now();
  const connection = number[slot]!;
  if (answered === (order.expect !== "refused")) {
    times.add((now - begun[slot]!) * 1000);
    done++;
  } else wrong++;
  const { flags, length, sequence, acknowledged } = segment;
  // As a TLS client's Finished does, which acknowledges the answer: from here on a flow may be the kernel's alone.
  if (order.hold === true) send(finished, connection, acknowledged, sequence + length);
  else if ((flags & RST) === 0) send(close, connection, acknowledged, 0);
  over(slot, now);
}

function take(): void {
  const slot = slots[segment.destinationPort]!;
  if (slot < 0 || segment.sourcePort !== port) return;
  const connection = number[slot]!;
  if (endsOf(connection).source !== segment.destination) return;
  const { flags, sequence, length } = segment;
  if ((flags & SYN) !== 0) {
    if (greeted[slot] === 1) return;
    greeted[slot] = 1;
    send(bare, connection, first + 1, sequence + 1);
    for (const { at, template } of pieces) send(template, connection, first + 1 + at, sequence + 1);
  } else if (length > 0) settle(slot, link.received[segment.payload] !== alert);
  else if ((flags & (RST | FIN)) !== 0) settle(slot, false);
}

function run(seconds: number): number {
  const start = performance.now();
  until = start + seconds * 1000;
  for (let slot = 0; slot < order.concurrency; slot++) begin(slot);
  let looked = start;
  while (live > 0) {
    link.flush();
    const count = link.receive();
    for (let i = 0; i < count; i++) if (segment.read(link.received, i * Link.slot)) take();
    const now = performance.now();
    if (now - looked < 100) continue;
    looked = now;
    if (order.stop !== undefined && existsSync(order.stop)) until = 0;
    for (let slot = 0; slot < order.concurrency; slot++) {
      if (slots[firstPort + (number[slot]! % ports)] !== slot || now - begun[slot]! < patience) continue;
      failed++;
      // What cannot be held will not be held later either.
      if (order.hold === true && failed > wanted / 100) until = 0;
      over(slot, now);
    }
  }
  link.flush();
  return (performance.now() - start) / 1000;
}

/** Has every source ask for the name, and waits until each was answered. */
function resolve(name: string, server: number): void {
  const waiting = new Set(sources);
  const question = dnsPacket.encode({ type: "query", id: 7, flags: 0x100, questions: [{ type: "A", name }] });
  const started = performance.now();
  for (let asked = -Infinity; waiting.size > 0;) {
    const now = performance.now();
    // A resolver may be busy with something else for a while, with a new policy for one.
    if (now - started > 30_000)
      throw new Error(`${waiting.size} of ${sources.length} sources got no answer for ${name}`);
    if (now - asked > 500) {
      asked = now;
      for (const source of waiting) link.send((into, at) => datagram(into, at, source, server, question));
      link.flush();
    }
    const count = link.receive();
    for (let i = 0; i < count; i++) {
      const at = i * Link.slot;
      if (link.received[at + 9] === 17) waiting.delete(link.received.readUInt32BE(at + 16));
    }
  }
}

/** A DNS question as a UDP datagram; 0 is IPv4's word for no UDP checksum (RFC 768). */
function datagram(into: Buffer, at: number, source: number, server: number, question: Buffer): number {
  const length = new Template(0).write(
    into,
    at,
    { source, destination: server, sourcePort: 0, destinationPort: 0 },
    0,
    0,
  );
  const total = 28 + question.length;
  into.fill(0, at + 20, at + length);
  into.writeUInt16BE(total, at + 2);
  into.writeUInt8(17, at + 9);
  into.writeUInt16BE(0, at + 10);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += into.readUInt16BE(at + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  into.writeUInt16BE(~sum & 0xffff, at + 10);
  into.writeUInt16BE(40_000, at + 20);
  into.writeUInt16BE(53, at + 22);
  into.writeUInt16BE(8 + question.length, at + 24);
  question.copy(into, at + 28);
  return total;
}

/** Ends what was left open: a RST with the number that comes next, which is past the hello and the byte after it. */
function release(from: number, to: number): void {
  for (let connection = from; connection < to; connection++) {
    send(close, connection, first + hello.length + 2, 0);
    if (connection % 64 === 0) link.flush();
  }
  link.flush();
}

resolve(order.name, addressNumber(order.resolver));
if (order.warmSeconds > 0) run(order.warmSeconds);
wanted = order.count ?? Infinity;
if (order.count !== undefined) wanted += made - (order.offset ?? 0);
times.clear();
const before = { made, failed, wrong };
done = 0;
const spent = process.cpuUsage();
const seconds = run(order.seconds);
const { user, system } = process.cpuUsage(spent);
console.log(
  JSON.stringify({
    seconds,
    done,
    failed: failed - before.failed,
    wrong: wrong - before.wrong,
    made: made - before.made,
    next: made,
    notSent: link.refused,
    times: times.counts(),
    processor: (user + system) / 1e6,
  } satisfies Load),
);
if (order.hold === true) {
  process.stdin.on("end", () => release(before.made, made)).resume();
}
