/**
 * A flow engine with a real policy and address book, the marks that its verdicts leave on connections, and the far end: what a
 * server that takes the first copy of each byte reads of what left. Tests score there, and by the list of verdicts. It is no
 * kernel: which packets are invalid or new the test says.
 */
import assert from "node:assert/strict";
import { parseAddress, type Address } from "../../address/ip.ts";
import { isPolicyProblems, loadPolicy } from "../../policy/load.ts";
import type { Engine } from "../../policy/decision.ts";
import { ACK, FIN, Packet, parsePacket, PSH, RST, SYN } from "../../wire/ip/packet.ts";
import { AddressBook } from "../book.ts";
import type { Effects, FlowMark, FlowReport, Reset } from "../effects.ts";
import { FlowEngine, type FlowEngineOptions, type KernelFacts } from "../engine.ts";
import { beginsNothing } from "../quic.ts";
import { tcp, udp, type IpParts, type TcpParts, type Tuple } from "./packets.ts";

export type Verdict = FlowMark | "refuse" | "drop";

export const address = (text: string): Address => parseAddress(text)!;
export const start = Date.UTC(2030, 0, 1);

export function policy(text: string): Engine {
  const loaded = loadPolicy(`version: 1\n${text}`, "test.yaml", new Date(start));
  assert.ok(!isPolicyProblems(loaded), JSON.stringify(loaded));
  return loaded.engine;
}

export const client = address("10.0.0.2");
export const server = address("198.51.100.7");
export const shared: Tuple = { source: client, destination: server, sourcePort: 40_000, destinationPort: 443 };

const plain: KernelFacts = { state: "none", local: false, invalid: false, broadcast: false, back: false };

export class Scene implements Effects {
  readonly book = new AddressBook();
  readonly flows: FlowEngine;
  readonly verdicts = new Map<number, Verdict>();
  /** Packets in the order in which they went on, by us or by the kernel alone. */
  readonly left: Uint8Array[] = [];
  readonly reports: FlowReport[] = [];
  readonly resets: Reset[] = [];
  /** States of connections, by tuple, as the ruleset would keep them. */
  readonly marks = new Map<string, FlowMark | "deny">();
  now = start;
  #packets: Uint8Array[] = [];
  /** Packets without a connection, which cannot mark one. */
  #unmarking = new Set<number>();
  readonly #packet = new Packet();

  constructor(engine: Engine | string, options?: FlowEngineOptions) {
    this.flows = new FlowEngine(typeof engine === "string" ? policy(engine) : engine, this.book, this, options);
  }

  bind(name: string, to: Address = server, ttlMs = 600_000, source: Address | null = null): this {
    assert.ok(this.book.bind({ name, address: to, expires: this.now + ttlMs, source }));
    return this;
  }

  /** Hands the packet to the engine, unless its connection is allowed and it is no SYN; its id (-1: the kernel forwarded it). */
  send(bytes: Uint8Array, facts: Partial<KernelFacts> = {}): number {
    parsePacket(bytes, 0, bytes.length, this.#packet);
    const mark = this.marks.get(tupleOf(this.#packet));
    const isSyn = (this.#packet.flags & (SYN | ACK | RST | FIN)) === SYN;
    const { payloadOffset, payloadLength } = this.#packet;
    const isFast =
      mark === "allow" ||
      (mark === "quic" && beginsNothing(bytes.subarray(payloadOffset, payloadOffset + payloadLength)));
    if (isFast && !isSyn && facts.invalid !== true && this.#packet.defect === null) {
      this.left.push(bytes);
      return -1;
    }
    const id = this.#packets.length;
    this.#packets.push(bytes);
    if (facts.invalid === true || facts.back === true) this.#unmarking.add(id);
    const state = mark === undefined || mark === "allow" ? "none" : mark;
    // The queue's buffer is used again for the next packet; and a Buffer's `slice`, unlike an array's, copies nothing.
    const buffer = Buffer.alloc(bytes.length + 7);
    buffer.set(bytes, 7);
    parsePacket(buffer, 7, bytes.length, this.#packet);
    this.flows.packet(id, buffer, 7, this.#packet, { ...plain, state, ...facts }, this.now);
    buffer.fill(0xee);
    return id;
  }

  verdict(id: number): Verdict | "held" {
    return id === -1 ? "allow" : (this.verdicts.get(id) ?? "held");
  }

  /** Sends and says what became of the packet. */
  judge(bytes: Uint8Array, facts: Partial<KernelFacts> = {}): Verdict | "held" {
    return this.verdict(this.send(bytes, facts));
  }

  /** Lets time pass, with the data path's ticks. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 250) {
      this.now += Math.min(250, left);
      this.flows.tick(this.now);
    }
  }

  /** Packets that were handed in and have no verdict. */
  get held(): number[] {
    return this.#packets.flatMap((_, id) => (this.verdicts.has(id) ? [] : [id]));
  }

  /** What the connection's server reads, its first byte at `initial` + 1: the first copy of each byte, up to the first gap. */
  read(initial: number, tuple: Tuple = shared): Buffer {
    const stream = new Map<number, number>();
    const packet = new Packet();
    for (const bytes of this.left) {
      parsePacket(bytes, 0, bytes.length, packet);
      if (packet.transport !== "tcp" || tupleOf(packet) !== keyOf(tuple) + 6) continue;
      for (let i = 0; i < packet.payloadLength; i++) {
        const at = (packet.seq + i - initial - 1) | 0;
        if (at >= 0 && !stream.has(at)) stream.set(at, bytes[packet.payloadOffset + i]!);
      }
    }
    const read: number[] = [];
    while (stream.has(read.length)) read.push(stream.get(read.length)!);
    return Buffer.from(read);
  }

  /** Payload bytes that left, of any connection and at any place. */
  get payloadLeft(): number {
    const packet = new Packet();
    return this.left.reduce((sum, bytes) => {
      parsePacket(bytes, 0, bytes.length, packet);
      return sum + packet.payloadLength;
    }, 0);
  }

  accept(id: number, mark: FlowMark): void {
    this.#settle(id, mark);
    this.left.push(this.#packets[id]!);
  }

  refuse(id: number): void {
    this.#settle(id, "refuse");
  }

  drop(id: number): void {
    this.#settle(id, "drop");
  }

  reset(reset: Reset): void {
    this.resets.push(reset);
  }

  report(report: FlowReport): void {
    this.reports.push(report);
  }

  #settle(id: number, verdict: Verdict): void {
    assert.ok(!this.verdicts.has(id), `packet ${id} gets a second verdict, ${verdict} after ${this.verdicts.get(id)}`);
    this.verdicts.set(id, verdict);
    const packet = new Packet();
    const bytes = this.#packets[id]!;
    parsePacket(bytes, 0, bytes.length, packet);
    const key = tupleOf(packet);
    // A refused datagram of a flow that is followed is not the flow's end.
    const isKept = this.marks.get(key) === "quic" && (verdict === "refuse" || verdict === "pending");
    if (verdict !== "drop" && !isKept && !this.#unmarking.has(id))
      this.marks.set(key, verdict === "refuse" ? "deny" : verdict);
  }
}

/** A TCP client of one connection. */
export class Client {
  readonly scene: Scene;
  readonly tuple: Tuple;
  readonly initial: number;
  /** What it expects of the server next. */
  ack = 5001;

  constructor(scene: Scene, options: Partial<Tuple> & { initial?: number } = {}) {
    const { initial = 1000, ...tuple } = options;
    this.scene = scene;
    this.initial = initial;
    this.tuple = { ...shared, ...tuple };
  }

  syn(parts: Partial<TcpParts> = {}, facts: Partial<KernelFacts> = {}): Verdict | "held" {
    return this.scene.judge(tcp(this.tuple, { seq: this.initial, flags: SYN, ...parts }), facts);
  }

  /** The server's answer, as the data path shows it where it does. */
  answer(parts: Partial<TcpParts> = {}): Verdict | "held" {
    const { source, destination, sourcePort, destinationPort } = this.tuple;
    const back = { source: destination, destination: source, sourcePort: destinationPort, destinationPort: sourcePort };
    const answer = tcp(back, { seq: this.ack - 1, ack: this.initial + 1, flags: SYN | ACK, ...parts });
    return this.scene.judge(answer, { back: true, state: "pending" });
  }

  /** SYN and the handshake's last segment. */
  open(parts: Partial<TcpParts> = {}): this {
    this.syn(parts);
    this.bare();
    return this;
  }

  bare(parts: Partial<TcpParts> = {}, facts: Partial<KernelFacts> = {}): Verdict | "held" {
    return this.segment(0, new Uint8Array(0), { flags: ACK, ...parts }, facts);
  }

  /** A segment whose payload's first byte is the stream's byte `offset`. */
  segment(
    offset: number,
    payload: Uint8Array,
    parts: Partial<TcpParts> = {},
    facts: Partial<KernelFacts> = {},
  ): Verdict | "held" {
    return this.scene.judge(this.packet(offset, payload, parts), facts);
  }

  packet(offset: number, payload: Uint8Array, parts: Partial<TcpParts> = {}): Uint8Array {
    const seq = (this.initial + 1 + offset) >>> 0;
    return tcp(this.tuple, { seq, ack: this.ack, flags: ACK | PSH, payload, ...parts });
  }

  /** The far end of this connection. */
  get read(): string {
    return this.scene.read(this.initial, this.tuple).toString("latin1");
  }
}

export const datagram = (scene: Scene, payload: Uint8Array, tuple: Tuple = shared, parts: IpParts = {}) =>
  scene.judge(udp(tuple, payload, parts));

function tupleOf(packet: Packet): string {
  return keyOf(packet) + packet.protocol;
}

function keyOf({ source, destination, sourcePort, destinationPort }: Tuple): string {
  return [source, destination, sourcePort, destinationPort].join("|");
}
