/** What crosses between the main thread and the data path's threads. Plain data only, and ports. */
import type { MessagePort } from "node:worker_threads";
import type { Address } from "../address/ip.ts";
import type { Bodies } from "../audit/body.ts";
import type { EventBody, EventProcess } from "../audit/event.ts";
import type { Progress } from "../audit/progress.ts";
import type { TallySums } from "../audit/tally.ts";
import type { JudgedName } from "../detect/names.ts";
import type { Binding } from "../flow/book.ts";
import type { OverdrawnEntry } from "../flow/overdrawn.ts";
import type { HistogramCounts } from "../metrics/histogram.ts";
import type { Application, ProcessFacts, Transport } from "../policy/decision.ts";
import type { Policy } from "../policy/model.ts";
import type { PolicyPart } from "../policy/parts.ts";
import type { TableBeginning } from "../process/table.ts";
import type { AttributionOptions, Noticed } from "./attribution.ts";

/** How a queue worker is set up. */
/** What a thread may be told before its {@link QueueWorkerData}, which has the same then. */
export interface QueueWorkerPreparation extends AttributionOptions {
  /** What another thread's table has read. */
  beginning?: TableBeginning;
}

export interface QueueWorkerData {
  queue: number;
  /** Queues in all, which share the bounds on undecided flows. */
  queues: number;
  /** Network namespace (name or path) the queue lives in; null for the process's own. */
  namespace: string | null;
  policy: PolicyAt;
  bindings: Binding[];
  /** See `AddressBook`. */
  oneSource: boolean;
  overdrawn: readonly OverdrawnEntry[];
  /** Tell whose each flow is; null: nobody can, as on a gateway. */
  who: AttributionOptions | null;
  /** How many `settled` messages the main thread has taken and been through: see {@link mostUntaken}. */
  taken: Int32Array<SharedArrayBuffer>;
  /** How far the record is behind: nothing is told while it is too far. */
  recorded: Progress;
  /** Counted up as long as the thread goes on: see `Pulse`. */
  beats: Int32Array<SharedArrayBuffer>;
  /** From whoever binds names: {@link ToBook}; its sequence number goes back when the bindings are in force here. */
  names: MessagePort;
}

/** Bindings that must be in force before the answer leaves that made them. */
export interface ToBook {
  sequence: number;
  bindings: Binding[];
}

/**
 * Most `settled` messages of one thread that the main thread has not been through. Node hands a thread a thousand waiting messages
 * in one turn of its event loop, and meanwhile nothing else has its turn: the rest waits where it was made. Each takes some tenths of a
 * millisecond; with fewer of them on the way a busy machine's scheduler, not our work, would say how many events a second there are.
 */
export const mostUntaken = 8;

/**
 * A loaded policy, as plain data: the file is read and checked once, each thread only compiles. All compile for the same
 * moment, so that none of them thinks a rule has expired and another not.
 */
export interface PolicyAt {
  policy: Policy;
  /** Milliseconds since the epoch. */
  at: number;
}

export type ToWorker =
  /** A new policy, in parts: in force when the last one is confirmed. */
  | { kind: "policy"; sequence: number; part: PolicyPart }
  | { kind: "bind"; sequence: number; bindings: Binding[] }
  /** Everybody who has used up a rule's `upload_limit`. */
  | { kind: "overdrawn"; sequence: number; overdrawn: readonly OverdrawnEntry[] }
  | { kind: "stop"; sequence: number };

export type FromWorker =
  /** `queue` is the descriptor of its queue's socket, for whoever sees to it that it is closed when the thread dies. */
  | { kind: "ready"; wake: number; queue: number }
  | { kind: "done"; sequence: number }
  | { kind: "noticed"; noticed: Noticed[] }
  /** A packet made our own code fail and was dropped. */
  | { kind: "failure"; message: string }
  | {
      kind: "settled";
      told: Told;
      statistics: WorkerStatistics;
      /** In the buckets of {@link verdictBounds}. */
      verdictTimes: HistogramCounts;
    };

/**
 * What a thread settled, for the main thread: as text, which nobody there needs to read, and what is to be known of it besides. A copy
 * of each event as an object would cost more than judging it did.
 */
export interface Told {
  /** For the record. */
  bodies: Bodies;
  /** The events counted. */
  tally: TallySums;
  /** Of the events those that may be a sign of something, whole. */
  signs: EventBody[];
  flows: PackedFlows;
  names: ShownName[];
}

/** Flows that go on. Of each its `flowKey`, which of the kinds it is of, and when it was let through, ms since the epoch. */
export interface PackedFlows {
  keys: string[];
  kindOf: number[];
  since: number[];
  /** As `FlowKindWriter` writes them. */
  kinds: string[];
}

/** Buckets of the time a packet spends with us, seconds. */
export const verdictBounds: readonly number[] = [
  10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1,
];

/** A name that a connection showed, and whose it was. */
export interface ShownName extends JudgedName {
  process: EventProcess | null;
}

/** The ends of a flow. */
export interface FlowTuple {
  source: Address;
  sourcePort: number;
  destination: Address;
  destinationPort: number;
  /** IP protocol number. */
  protocol: number;
}

/** A flow that was let through: what is needed to show it, to judge it again and to end it. */
export interface LiveFlow extends FlowTuple {
  transport: Transport;
  local: boolean;
  /** What was known of its process when it began. */
  process: ProcessFacts | null;
  /** The same for its later events; null after a restart, too. */
  who: EventProcess | null;
  application: Application | null;
  name: string | null;
  /** QUIC: the names of further connections on the same ports. */
  also?: readonly string[];
  names: readonly string[];
  /** Its hello carried Encrypted Client Hello. */
  ech: boolean;
  /** Its source was enforced when it began: its names are from resolvers of ours, its requests are followed. */
  begunEnforced: boolean;
  verdict: "allow" | "would_deny";
  rule: string | null;
  /** Rules in monitor mode that matched before. */
  monitored: readonly string[];
  tier: 1 | 2 | 3;
  /** When it was let through, ms since the epoch. */
  since: number;
}

export interface WorkerStatistics {
  /** Packets judged. */
  packets: number;
  /** Undecided flows, and bytes kept for them. */
  pending: number;
  pendingBytes: number;
  allowed: number;
  denied: number;
  wouldDeny: number;
  lateVerdicts: number;
  /** Set when a packet made our own code fail; each was dropped. */
  failures: number;
}

/** Of a thread that has judged nothing. */
export function noStatistics(): WorkerStatistics {
  return {
    packets: 0,
    pending: 0,
    pendingBytes: 0,
    allowed: 0,
    denied: 0,
    wouldDeny: 0,
    lateVerdicts: 0,
    failures: 0,
  };
}

export interface ConntrackWorkerData {
  namespace: string | null;
}

/** What the kernel counted of a connection until it forgot it. */
export interface EndedCounts {
  bytesUp: number;
  bytesDown: number;
  packetsUp: number;
  packetsDown: number;
}

/** Connections that ended: of each its `flowKey`, and four numbers in the order of {@link EndedCounts}. */
export interface EndedFlows {
  keys: string[];
  counts: Float64Array<ArrayBuffer>;
}

export type FromConntrack = { kind: "ready"; wake: number } | { kind: "ended"; ended: EndedFlows; lost: boolean };
