/**
 * New connections on a bare link: keeps so many under way, each SYN, acknowledgement, hello, and at the answer (or the refusal) a RST
 * and the next one; from several source addresses, as a network of runners has, to several addresses of one name.
 */
import { existsSync } from "node:fs";
import { Link } from "./packets.ts";
import { Histogram, type Load, type Order } from "./outcome.ts";
import { ACK, addressNumber, type Ends, FIN, PSH, RST, Segment, SYN, Template } from "./segments.ts";

const largest = 1448;
const open = new Template(SYN);
const bare = new Template(ACK);
const finished = new Template(ACK | PSH, Buffer.from("f"));
const close = new Template(RST);
/** Ports from the first that is nobody's by convention; a pair of ends comes again after a million connections. */
const firstPort = 1024;
const ports = 64_000;
/** Of a connection's own sequence numbers. */
const first = 0x1000_0000;
const alert = 0x15;
/** A connection that has waited so long is lost, ms. */
const patience = 3000;
const lookMs = 100;

export class Generator {
  readonly #order: Order;
  readonly #link: Link;
  readonly #helloLength: number;
  readonly #pieces: readonly { at: number; template: Template }[];
  readonly #sources: readonly number[];
  readonly #destinations: readonly number[];
  /** By source port: which connection it is, or -1. */
  readonly #slots = new Int32Array(65_536).fill(-1);
  readonly #begun: Float64Array;
  readonly #number: Uint32Array;
  readonly #greeted: Uint8Array;
  readonly #times = new Histogram();
  readonly #segment = new Segment();
  readonly #ends: Ends = { source: 0, destination: 0, sourcePort: 0, destinationPort: 0 };
  #made: number;
  #measuredFrom: number;
  #done = 0;
  #inTime = 0;
  #failed = 0;
  #wrong = 0;
  #live = 0;
  #last = Infinity;
  #until = 0;

  constructor(order: Order, link: Link, hello: Buffer) {
    this.#order = order;
    this.#link = link;
    this.#helloLength = hello.length;
    this.#pieces = Array.from({ length: Math.ceil(hello.length / largest) }, (_, i) => {
      const at = i * largest;
      return { at, template: new Template(ACK | PSH, hello.subarray(at, at + largest)) };
    });
    this.#sources = order.sources.map(addressNumber);
    this.#destinations = order.destinations.map(addressNumber);
    this.#begun = new Float64Array(order.concurrency);
    this.#number = new Uint32Array(order.concurrency);
    this.#greeted = new Uint8Array(order.concurrency);
    this.#made = this.#measuredFrom = order.offset ?? 0;
  }

  /** Warms up, then measures; returns when the last connection is over. */
  carryOut(): Load {
    if (this.#order.warmSeconds > 0) this.#run(this.#order.warmSeconds);
    this.#times.clear();
    this.#done = this.#inTime = this.#failed = this.#wrong = 0;
    this.#measuredFrom = this.#made;
    this.#last = this.#made + (this.#order.count ?? Infinity);
    const refused = this.#link.refused;
    const spent = process.cpuUsage();
    const seconds = this.#run(this.#order.seconds);
    const { user, system } = process.cpuUsage(spent);
    return {
      seconds,
      rate: this.#inTime / this.#order.seconds,
      done: this.#done,
      failed: this.#failed,
      wrong: this.#wrong,
      made: this.#made - this.#measuredFrom,
      from: this.#order.offset ?? 0,
      next: this.#made,
      notSent: this.#link.refused - refused,
      times: this.#times.counts(),
      processor: (user + system) / 1e6,
    };
  }

  /** Ends what was left open: a RST with the number that comes next, which is past the hello and the byte after it. */
  release(): void {
    for (let connection = this.#measuredFrom; connection < this.#made; connection++) {
      this.#send(close, connection, first + this.#helloLength + 2, 0);
      if (connection % 64 === 0) this.#link.flush();
    }
    this.#link.flush();
  }

  #endsOf(connection: number): Ends {
    const ends = this.#ends;
    ends.source = this.#sources[(connection + Math.floor(connection / ports)) % this.#sources.length]!;
    ends.destination = this.#destinations[(connection >> 4) % this.#destinations.length]!;
    ends.sourcePort = firstPort + (connection % ports);
    ends.destinationPort = this.#order.port;
    return ends;
  }

  #send(template: Template, connection: number, sequence: number, acknowledged: number): void {
    const ends = this.#endsOf(connection);
    this.#link.send((into, at) => template.write(into, at, ends, sequence, acknowledged));
  }

  #begin(slot: number): void {
    const connection = this.#made++;
    this.#number[slot] = connection;
    this.#greeted[slot] = 0;
    this.#begun[slot] = performance.now();
    this.#slots[firstPort + (connection % ports)] = slot;
    this.#live++;
    this.#send(open, connection, first, 0);
  }

  /** Ends the connection of a slot and begins the next one there. */
  #over(slot: number, now: number): void {
    this.#live--;
    this.#slots[firstPort + (this.#number[slot]! % ports)] = -1;
    if (now < this.#until && this.#made < this.#last) this.#begin(slot);
  }

  #settle(slot: number, answered: boolean): void {
    const now = performance.now();
    const connection = this.#number[slot]!;
    if (answered === (this.#order.expect !== "refused")) {
      this.#times.add((now - this.#begun[slot]!) * 1000);
      this.#done++;
      if (now < this.#until) this.#inTime++;
    } else this.#wrong++;
    const { flags, length, sequence, acknowledged } = this.#segment;
    // As a TLS client's Finished does, which acknowledges the answer: from here on a flow may be the kernel's alone.
    if (this.#order.hold === true) this.#send(finished, connection, acknowledged, sequence + length);
    else if ((flags & RST) === 0) this.#send(close, connection, acknowledged, 0);
    this.#over(slot, now);
  }

  #take(): void {
    const segment = this.#segment;
    const slot = this.#slots[segment.destinationPort]!;
    if (slot < 0 || segment.sourcePort !== this.#order.port) return;
    const connection = this.#number[slot]!;
    if (this.#endsOf(connection).source !== segment.destination) return;
    const { flags, sequence, length } = segment;
    if ((flags & SYN) !== 0) {
      if (this.#greeted[slot] === 1) return;
      this.#greeted[slot] = 1;
      this.#send(bare, connection, first + 1, sequence + 1);
      for (const { at, template } of this.#pieces) this.#send(template, connection, first + 1 + at, sequence + 1);
    } else if (length > 0) this.#settle(slot, this.#link.received[segment.payload] !== alert);
    else if ((flags & (RST | FIN)) !== 0) this.#settle(slot, false);
  }

  /** Seconds it took. */
  #run(seconds: number): number {
    const link = this.#link;
    const start = performance.now();
    this.#until = start + seconds * 1000;
    for (let slot = 0; slot < this.#order.concurrency && this.#made < this.#last; slot++) this.#begin(slot);
    let looked = start;
    while (this.#live > 0) {
      link.flush();
      const count = link.receive();
      for (let i = 0; i < count; i++) if (this.#segment.read(link.received, i * Link.slot)) this.#take();
      const now = performance.now();
      if (now - looked < lookMs) continue;
      looked = now;
      this.#look(now);
    }
    link.flush();
    return (performance.now() - start) / 1000;
  }

  /** Gives up those that waited too long. */
  #look(now: number): void {
    const { stop, hold, count, concurrency } = this.#order;
    if (stop !== undefined && existsSync(stop)) this.#until = 0;
    for (let slot = 0; slot < concurrency; slot++) {
      if (this.#slots[firstPort + (this.#number[slot]! % ports)] !== slot) continue;
      if (now - this.#begun[slot]! < patience) continue;
      this.#failed++;
      // What cannot be held will not be held later either.
      if (hold === true && this.#failed > (count ?? Infinity) / 100) this.#until = 0;
      this.#over(slot, now);
    }
  }
}
