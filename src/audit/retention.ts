/**
 * Retention: closed segments that are too old, or too much, are deleted, oldest first, and never without a record of it. First
 * the live chain names what will go, with last hashes, and that record is made durable; then files are unlinked. A crash in
 * between leaves more than was named, never less.
 *
 * It deletes only what is sealed and continues into the next segment. Where that is not so it stops and says why: a segment
 * that was tampered with is evidence. What a sink has not taken yet waits for it, up to {@link patience} times the limit; what
 * goes then is said to be gone before. Called by the enforcer's housekeeping and `sallyport logs prune`.
 */
import { stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { beginningOf, latestRetention, linkBefore } from "./beginning.ts";
import type { Range, Retention } from "./beginning.ts";
import { genesis } from "./chain.ts";
import { forgetCopies } from "./copies.ts";
import type { Link } from "./chain.ts";
import type { EventBody } from "./event.ts";
import { readSeal, sealName } from "./seal.ts";
import { eventsDirectory, listSegments, segmentAt, syncDirectory, unreadable } from "./segment.ts";
import type { Segment } from "./segment.ts";
import type { Spool } from "./spool.ts";
import { SallyportError } from "../errors.ts";

/** What is kept; null: no bound. */
export interface RetentionLimits {
  /** Segments that were closed longer ago than this go, milliseconds. */
  keepMs: number | null;
  /** The oldest segments go while all of them have more bytes than this. */
  keepBytes: number | null;
}

/** Somebody who takes the record elsewhere, and the last record that is known to be there. */
export interface Reader {
  name: string;
  seq: number;
}

/** A segment that goes. */
export interface Doomed {
  segment: Segment;
  /** Its last record. */
  end: Link;
  bytes: number;
  /** RFC 3339: when it was closed. */
  sealed: string;
  reason: "age" | "size";
  /** Readers that have not taken all of it. */
  unread: string[];
}

export interface RetentionPlan {
  doomed: Doomed[];
  /** What is recorded; null where nothing goes. */
  retention: Retention | null;
  /** Why an old segment that should go does not, in words; null where none is. */
  blocked: string | null;
  /** Readers that the oldest segment which should go waits for; empty where none does. */
  waiting: string[];
  /** Segments and bytes that stay. */
  left: { segments: number; bytes: number };
}

/** A line of the record holds the ends of so many, and fits a datagram of syslog; the rest goes the next time. */
const mostAtOnce = 500;

/** How many times older or larger than its limit the record grows for a reader that is behind: a disk must not fill up for it. */
export const patience = 2;

/**
 * What should go now (`now` in milliseconds), and what of it waits for `readers`. Reads and changes nothing.
 * RECORD_UNREADABLE.
 */
export async function planRetention(
  directory: string,
  limits: RetentionLimits,
  now: number,
  readers: readonly Reader[] = [],
): Promise<RetentionPlan> {
  try {
    return await plan(directory, limits, now, readers);
  } catch (error) {
    throw error instanceof SallyportError ? error : unreadable(directory, error);
  }
}

async function plan(
  directory: string,
  limits: RetentionLimits,
  now: number,
  readers: readonly Reader[],
): Promise<RetentionPlan> {
  const { segments } = await listSegments(directory);
  const sizes = await Promise.all(segments.map(async ({ path }) => (await stat(path)).size));
  const left = { segments: segments.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
  const doomed: Doomed[] = [];
  let blocked: string | null = null;
  let waiting: string[] = [];
  for (const [index, segment] of segments.slice(0, -1).entries()) {
    if (doomed.length === mostAtOnce) break;
    const isOver = isBeyond(left.bytes, limits.keepBytes, 1);
    if (!isOver && limits.keepMs === null) break;
    const found = await endOf(directory, segment, segments[index + 1]!);
    if (typeof found === "string") {
      blocked = found;
      break;
    }
    const age = now - Date.parse(found.sealed);
    const isOld = isBeyond(age, limits.keepMs, 1);
    if (!isOld && !isOver) break;
    const unread = readers.filter(({ seq }) => seq < found.end.seq).map(({ name }) => name);
    const isLate = isBeyond(age, limits.keepMs, patience) || isBeyond(left.bytes, limits.keepBytes, patience);
    if (unread.length > 0 && !isLate) {
      waiting = unread;
      break;
    }
    doomed.push({ ...found, segment, bytes: sizes[index]!, reason: isOld ? "age" : "size", unread });
    left.segments--;
    left.bytes -= sizes[index]!;
  }
  if (doomed.length === 0) return { doomed, retention: null, blocked, waiting, left };
  const start = await startOf(segments);
  if (typeof start === "string") return { doomed: [], retention: null, blocked: start, waiting, left };
  return { doomed, retention: { ...start, ends: doomed.map(({ end }) => end) }, blocked, waiting, left };
}

function isBeyond(value: number, limit: number | null, times: number): boolean {
  return limit !== null && value > limit * times;
}

/** The readers that will never get what a plan deletes. */
export function unreadOf({ doomed }: Pick<RetentionPlan, "doomed">): string[] {
  return [...new Set(doomed.flatMap(({ unread }) => unread))];
}

/** Where a closed segment ends, as its seal and the segment after it agree; or why that is unknown. */
async function endOf(
  directory: string,
  segment: Segment,
  next: Segment,
): Promise<Pick<Doomed, "end" | "sealed"> | string> {
  const seal = await readSeal(directory, segment);
  if (seal === null) return `${segment.name} has no seal`;
  if (seal === "damaged") return `${sealName(segment)} is no seal`;
  const after = await linkBefore(next);
  const fits = seal.first === segment.first && seal.last.seq === after?.seq && seal.last.hash === after.hash;
  if (!fits) return `${sealName(segment)} does not fit the segment after it, ${next.name}`;
  if (Number.isNaN(Date.parse(seal.sealed))) return `${sealName(segment)} does not say when it was written`;
  return { end: seal.last, sealed: seal.sealed };
}

/** What came before the first segment, and what of that is accounted for by nothing; or why it is unknown. */
async function startOf(segments: readonly Segment[]): Promise<Omit<Retention, "ends"> | string> {
  const [first] = segments;
  if (first?.first === 1) return { after: genesis, missing: [] };
  const beginning = await beginningOf(segments);
  if (beginning === null) return `${first?.name ?? "the first segment"} does not begin with a record of ours`;
  const { link, retention } = beginning;
  if (retention !== null) return { after: link, missing: retention.missing };
  const latest = await latestRetention(segments);
  const known = latest?.ends.at(-1)?.seq ?? 0;
  if (known >= link.seq) return `${first!.name} is not what the last retention, record ${latest!.seq}, left`;
  const missing: Range[] = [...(latest?.missing ?? []), { first: known + 1, last: link.seq }];
  return { after: link, missing };
}

/** The event that names what goes. */
export function retentionEvent({ doomed, retention }: RetentionPlan): EventBody {
  const unread = unreadOf({ doomed });
  const first = retention!.after.seq + 1;
  const last = retention!.ends.at(-1)!.seq;
  const bytes = doomed.reduce((sum, each) => sum + each.bytes, 0);
  const count = (reason: Doomed["reason"]) => doomed.filter((each) => each.reason === reason).length;
  return {
    kind: "lifecycle",
    message:
      `Retention deletes ${doomed.length} segments, records ${first} to ${last}` +
      (unread.length === 0 ? "." : `, before all of it was sent to ${unread.join(", ")}.`),
    data: {
      retention,
      segments: doomed.length,
      records: last - first + 1,
      bytes,
      age: count("age"),
      size: count("size"),
      ...(unread.length === 0 ? {} : { unread }),
    },
  };
}

/** Who writes the record, as far as retention needs it: a spool, or the end of one in another thread. */
export type RecordWriter = Pick<Spool, "status" | "confirm" | "forget">;

/**
 * Records a plan and carries it out. Resolves false, with nothing deleted, where the record could not be written. Rejects with the
 * file system's error; the next time goes on where this one stopped.
 */
export async function applyRetention(directory: string, spool: RecordWriter, plan: RetentionPlan): Promise<boolean> {
  const [oldest] = await sweepSeals(directory);
  // A query may have made copies of what was deleted while it ran.
  if (oldest !== undefined) await forgetCopies(directory, oldest.first);
  if (plan.doomed.length === 0) return true;
  if (spool.status().degraded || !(await spool.confirm(retentionEvent(plan)))) return false;
  for (const { segment, bytes } of plan.doomed) {
    await unlink(segment.path);
    spool.forget(bytes);
    await unlink(sealPath(directory, segment));
  }
  await syncDirectory(directory);
  const last = plan.doomed.at(-1)!.segment;
  await forgetCopies(directory, last.first + 1);
  return true;
}

/** Takes away seals that a crash between the two deletions left. Resolves with the segments. */
async function sweepSeals(directory: string): Promise<Segment[]> {
  const { segments, seals } = await listSegments(directory);
  const [first] = segments;
  const left = [...seals].filter((seal) => first !== undefined && seal < first.first);
  if (left.length === 0) return segments;
  const named = (await beginningOf(segments))?.retention ?? null;
  if (named === null) return segments;
  // One whose segment went missing is evidence.
  const isMissing = (seq: number) => named.missing.some((range) => range.first <= seq && seq <= range.last);
  for (const seal of left) if (!isMissing(seal)) await unlink(sealPath(directory, segmentAt(directory, seal)));
  return segments;
}

function sealPath(directory: string, segment: Segment): string {
  return join(eventsDirectory(directory), sealName(segment));
}
