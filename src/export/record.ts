/** What crosses from the record to a sink. */
import type { Event } from "../audit/event.ts";

/** Up to where a sink has the record. */
export interface Position {
  /** Number and hash of the last record delivered; 0 and "" before the first. */
  seq: number;
  hash: string;
  /** The segment it is in, by the number of its first record, and the byte after it. */
  segment: number;
  offset: number;
}

/** Before the first record. */
export const beginning: Position = { seq: 0, hash: "", segment: 0, offset: 0 };

/** One record on its way out. */
export interface Outgoing {
  event: Event;
  /** The line as it was recorded, without its newline: its hash can be checked from these bytes alone. */
  line: string;
  /** Where a sink is that has it. */
  at: Position;
}

export interface SinkStatus {
  name: string;
  /** Where to, without secrets: a path, a URL's host, an address. */
  to: string;
  /** `waiting`: it has all there is. `sending`. `failing`: the last attempt failed, another will follow. */
  state: "waiting" | "sending" | "failing";
  /** Number of the last record it has, and records on the disk that it has not. */
  seq: number;
  lag: number;
  /** Age of the oldest record it has not, seconds; 0 where it has all. */
  lag_seconds: number;
  /** Records it took since the start. */
  delivered: number;
  /** Attempts that failed since the start, and in a row. */
  failures: number;
  failing: number;
  /** Records that it never got: removed, or damaged, before they were read. */
  lost: number;
  /** Records that it refused for good, each by itself. */
  rejected: number;
  last_error: { at: string; message: string } | null;
  /** What has gone wrong for good, in words; null where nothing has. */
  problem: string | null;
}
