/**
 * What the flow engine tells the data path to do, and what it reports. The engine holds no socket: the data path hands it
 * packets and a clock, and carries these out. One implementation drives the kernel; tests use another that keeps a list.
 *
 * Every packet handed to the engine gets exactly one of `accept`, `refuse` and `drop`, at once or later.
 */
import type { Address } from "../address/ip.ts";
import type { Application, Decision, Transport } from "../policy/decision.ts";
import type { Owner } from "./owner.ts";

/** The state nibble a released packet carries into its conntrack entry. `quic`: allowed, but long headers are still read. */
export type FlowMark = "pending" | "allow" | "quic";

export interface Effects {
  /** Lets the packet go on; its connection gets the mark. */
  accept(packet: number, mark: FlowMark): void;
  /** Hands the packet to the kernel's REJECT: a RST or an ICMP administratively prohibited to its sender, at once. */
  refuse(packet: number): void;
  /** The packet vanishes without an answer. */
  drop(packet: number): void;
  /** Sends a TCP reset that looks as if it came from `source`. `sequence` must be what the receiver expects next. */
  reset(reset: Reset): void;
  report(report: FlowReport): void;
}

export interface Reset {
  source: Address;
  destination: Address;
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgement: number;
}

/** What the first bytes showed, for the record. */
export interface HelloFacts {
  version: string | null;
  alpn: readonly string[];
  ech: boolean;
  ja4: string;
  bytes: number;
  segments: number;
}

/** One settled flow (or refused packet). Becomes exactly one `connection` event. */
export interface FlowReport {
  decision: Decision;
  source: Address;
  sourcePort: number;
  destination: Address;
  destinationPort: number;
  local: boolean;
  transport: Transport;
  /** IP protocol number. */
  protocol: number;
  /** Whose it is; null where that is not known or nobody wanted to know. */
  owner: Owner | null;
  application: Application | null;
  /** SNI or Host as shown, canonical; null where none was shown. */
  name: string | null;
  /** Names our DNS handed the address out for, as the decision knew them. */
  names: readonly string[];
  hello: HelloFacts | null;
  /** A protocol that decides nothing, but says something of who speaks it. */
  speaks: "stratum" | null;
  /**
   * The flow goes on, in the kernel or through the engine (`http`, or until its hello has arrived): it belongs in the table of
   * live flows. Whoever keeps that table ends it, and reports that, when a new policy refuses it.
   */
  live: boolean;
}

/** What a flow's first bytes showed. */
export interface Shown {
  application: Application | null;
  name: string | null;
  hello: HelloFacts | null;
}

export const nothingShown: Shown = { application: null, name: null, hello: null };
