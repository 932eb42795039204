/** What a spool says of itself, and what it says in the record after a time when it could not write. */
import { formatTime } from "./clock.ts";
import type { EventBody } from "./event.ts";
import { incident } from "./recover.ts";

export interface SpoolStatus {
  /** Number and hash of the last record, written or still in memory. */
  seq: number;
  head: string;
  /** Number of the last record known to be durable. */
  synced: number;
  /** File name of the segment being written; null before the first write. */
  segment: string | null;
  /** Id of the key that signs seals and heads; null: they are not signed. */
  key: string | null;
  /** True while writing fails, or events are being lost. */
  degraded: boolean;
  /** RFC 3339: since when; null where not degraded. */
  since: string | null;
  /** Why, in words; null where not degraded. */
  fault: string | null;
  /** Events lost since then; they will be recorded as a number. */
  losing: number;
  /** Events lost since open (an aggregated event counts for all it stands for). */
  lost: number;
  /** Bytes of the record on disk, and bytes waiting in memory. */
  bytes: number;
  buffered: number;
}

/** Events that found no room. Times in microseconds. */
export interface Gap {
  lost: number;
  first: number;
  last: number;
}

/** A time in which the disk fails. */
export interface Fault {
  since: number;
  text: string;
  attempts: number;
  /** The disk has no room or is read-only: the segment itself is not to blame. */
  full: boolean;
}

type Trouble = Pick<SpoolStatus, "degraded" | "since" | "fault" | "losing">;

export function trouble(fault: Fault | null, gap: Gap | null): Trouble {
  const since = fault?.since ?? gap?.first;
  return {
    degraded: since !== undefined,
    since: since === undefined ? null : formatTime(since),
    fault: fault?.text ?? (gap === null ? null : "the disk is slower than the events"),
    losing: gap?.lost ?? 0,
  };
}

/** How many events a record says were lost before it; 0 for every other record. */
export function lostBefore({ kind, data }: Pick<EventBody, "kind" | "data">): number {
  const lost = kind === "lifecycle" ? data?.["lost"] : 0;
  return Number.isSafeInteger(lost) && (lost as number) > 0 ? (lost as number) : 0;
}

/** The first record after trouble: how long, why, and how many events are missing. */
export function recovered(fault: Fault | null, gap: Gap | null): EventBody {
  const data: Record<string, unknown> = { lost: gap?.lost ?? 0 };
  if (gap !== null) Object.assign(data, { first: formatTime(gap.first), last: formatTime(gap.last) });
  if (fault !== null) Object.assign(data, { error: fault.text, since: formatTime(fault.since) });
  const what = gap === null ? "no event was lost" : `${gap.lost} events were lost`;
  return incident(`The record could not be written for a while: ${what}.`, data);
}
