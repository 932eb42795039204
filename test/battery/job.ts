/**
 * The job in one of the battery's places, over one family: its machine, its addresses, and what attempts are made of. An
 * attempt written with it does the same whether a gateway, a run or nobody stands in front.
 */
import type { Lab } from "../lab/lab.ts";
import type { ExecOptions, Machine } from "../lab/machine.ts";
import type { LabProcess, Outcome } from "../lab/process.ts";
import type { Family } from "./case.ts";
import { flags, ip, protocols, send, tcp } from "./tcp/raw.ts";
import type { Segment } from "./tcp/raw.ts";
import type { Stand } from "./stands/stand.ts";

/** One line after another on one connection, each when the server answered the one before. */
const dialogueScript = `
const [, address, port, ...lines] = process.argv;
const socket = require("net").connect({ host: address, port: Number(port) });
const next = () => { const line = lines.shift(); if (line) socket.write(line); return line; };
socket.on("connect", next).on("data", () => { if (lines.length === 0) socket.destroy(); else next(); });
socket.on("error", () => {}).setTimeout(1500, () => socket.destroy());`;

export class Job {
  readonly stand: Stand;
  readonly v: Family;

  constructor(stand: Stand, v: Family) {
    this.stand = stand;
    this.v = v;
  }

  get lab(): Lab {
    return this.stand.lab;
  }

  /** Where its programs run. */
  get machine(): Machine {
    return this.stand.machine;
  }

  /** Its own address, its next hop's (ours), and ours on the outside. */
  get source(): string {
    return this.stand.addresses[this.v].job;
  }
  get nextHop(): string {
    return this.stand.addresses[this.v].nextHop;
  }
  get outside(): string {
    return this.stand.addresses[this.v].outside;
  }

  /** An address of the lab's internet, by its last number. */
  dot(n: number): string {
    return this.v === 4 ? `203.0.113.${n}` : `2001:db8:200::${n}`;
  }

  /** The same as it stands in a URL. */
  at(n: number): string {
    return bracketed(this.dot(n));
  }

  /** The DNS type of this family's addresses. */
  get type(): "A" | "AAAA" {
    return this.v === 4 ? "A" : "AAAA";
  }

  /** The provider's resolver, which jobs are given, and another one. */
  get resolver(): string {
    return this.dot(53);
  }
  get otherResolver(): string {
    return this.dot(54);
  }

  exec(command: string, args: readonly string[] = [], options: ExecOptions = {}): Promise<Outcome> {
    return this.machine.exec(command, args, { timeoutMs: 8_000, ...options });
  }

  spawn(command: string, args: readonly string[] = []): LabProcess {
    return this.machine.spawn(command, args);
  }

  shell(script: string, options: ExecOptions = {}): Promise<Outcome> {
    return this.exec("sh", ["-c", script], options);
  }

  /** A program of ours in the job's place; arguments are in `process.argv` from 1. */
  node(script: string, args: readonly string[] = [], options: ExecOptions = {}): Promise<Outcome> {
    return this.exec(process.execPath, ["-e", script, ...args], options);
  }

  curl(...args: string[]): Promise<Outcome> {
    return this.exec("curl", ["-sSk", "--max-time", "6", ...args]);
  }

  dig(...args: string[]): Promise<Outcome> {
    return this.exec("dig", ["+tries=1", "+time=3", "+short", ...args]);
  }

  /** Has the name's address handed out, as any client that may use it does. */
  resolve(name: string): Promise<Outcome> {
    return this.dig(`@${this.resolver}`, name, this.type);
  }

  /** OpenSSL's client, which writes one line once the connection stands. */
  tls(target: string, args: readonly string[], line: string): Promise<Outcome> {
    const all = ["s_client", "-quiet", "-connect", target, ...args];
    return this.exec("openssl", all, { input: `${line}\r\n\r\n`, timeoutMs: 3_000 });
  }

  datagram(address: string, port: number, text: string): Promise<Outcome> {
    return this.exec("ncat", ["-u", "--send-only", "-w", "1", address, String(port)], { input: text });
  }

  stream(address: string, port: number, text: string): Promise<Outcome> {
    return this.exec("ncat", ["-w", "1", address, String(port)], { input: text });
  }

  dialogue(address: string, port: number, lines: readonly string[]): Promise<Outcome> {
    return this.node(dialogueScript, [address, String(port), ...lines]);
  }

  /** An IP packet of this protocol, through a raw socket. */
  packet(destination: string, protocol: number, payload: Uint8Array): void {
    send(this.machine, destination, ip(this.source, destination, protocol, payload));
  }

  /** One TCP segment of no socket's; returns the source port. */
  segment(destination: string, parts: Partial<Segment> & { destinationPort: number; flags: number }): number {
    const sourcePort = parts.sourcePort ?? randomPort();
    const bytes = tcp({ ack: 7, ...parts, source: this.source, destination, sourcePort });
    send(this.machine, destination, ip(this.source, destination, protocols.tcp, bytes));
    return sourcePort;
  }

  readonly flags = flags;
}

/** Outside the range that sockets take ports from. */
export function randomPort(): number {
  return 20_000 + Math.floor(Math.random() * 10_000);
}

export function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
