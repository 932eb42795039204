/**
 * The two ends of a record whose lines are good: whether what was before its first record, and after its last, is accounted for.
 * Used by `verify.ts`.
 */
import type { Beginning } from "./beginning.ts";
import type { Link } from "./chain.ts";
import type { KnownHeads } from "./known-heads.ts";
import { readLines } from "./lines.ts";
import { openSegment, readHead } from "./segment.ts";
import type { Head, Segment } from "./segment.ts";
import type { SealCheck } from "./verify-seals.ts";
import type { Break } from "./verify.ts";

/** Records that were gone before retention came to them. */
export function missingBefore(beginning: Beginning | null, segments: readonly Segment[]): Break | null {
  const [range] = beginning?.retention?.missing ?? [];
  if (range === undefined) return null;
  const { first, last } = range;
  const message = `Records ${first} to ${last} were gone before retention: record ${beginning!.retention!.seq} says so.`;
  return { segment: segments[0]!.name, line: 0, seq: first, kind: "removed", message };
}

/** The end of the record against its head. */
export async function verifyEnd(segments: Segment[], at: Link, head: Head | "damaged" | null): Promise<Break | null> {
  const segment = segments.at(-1);
  const name = segment?.name ?? "head.json";
  const broken = (message: string) => ({
    segment: name,
    line: 0,
    seq: at.seq + 1,
    kind: "truncated" as const,
    message,
  });
  if (head === null || head === "damaged") {
    if (segment === undefined && head === null) return null;
    const state = head === null ? "missing" : "damaged";
    return broken(`head.json is ${state}: whether records were cut from the end cannot be told.`);
  }
  if (!isBehind(at, head)) return null;
  const count = head.seq - at.seq;
  const lines = segment === undefined ? 0 : await countLines(segment);
  const missing = `${count} missing from the end`;
  const message = `The record ends at ${at.seq}, but head.json says that record ${head.seq} was on the disk: ${missing}.`;
  return { ...broken(message), line: lines + 1 };
}

export function isBehind(at: Link, head: Head | "damaged" | null): boolean {
  return head !== null && head !== "damaged" && at.seq < head.seq;
}

/** The record ends before a head that was kept elsewhere. */
export function endBefore(known: KnownHeads, segments: readonly Segment[], at: Link): Break | null {
  if (known.last <= at.seq) return null;
  const segment = segments.at(-1)?.name ?? "head.json";
  const message = `The record ends at ${at.seq}, but record ${known.last} was there when its hash was kept elsewhere.`;
  return { segment, line: 0, seq: at.seq + 1, kind: "truncated", message };
}

/** A seal after the end of the record: its segment was there. */
export async function lastSeal(segments: readonly Segment[], at: Link, seals: SealCheck): Promise<Break | null> {
  const seal = await seals.orphan(segments, at.seq + 1);
  if (seal === null) return null;
  const message = `Records ${seal.first} to ${seal.last.seq} are missing: ${seal.segment} is gone; its seal is not.`;
  return { segment: seal.segment, line: 0, seq: at.seq + 1, kind: "removed", message };
}

/** With a key: the head must be signed, and so must be what says that retention deleted the beginning. */
export async function signedEnd(
  directory: string,
  segments: readonly Segment[],
  beginning: Beginning | null,
  seals: SealCheck,
): Promise<Break | null> {
  if (!seals.summary.checked) return null;
  // Anew: retention synchronises the record, head and all, before it deletes.
  const head = await readHead(directory);
  const broken = head === "damaged" ? null : seals.head(head);
  if (broken !== null) return broken;
  const by = beginning?.retention?.seq ?? 0;
  if (by <= seals.vouched) return null;
  const message = `Only record ${by} says that retention deleted what was before, and no signature vouches for it.`;
  return { segment: segments[0]!.name, line: 0, seq: 1, kind: "removed", message };
}

async function countLines(segment: Segment): Promise<number> {
  const handle = await openSegment(segment);
  let count = 0;
  try {
    for await (const lines of readLines(handle)) count += lines.filter((line) => line.whole).length;
  } finally {
    await handle.close();
  }
  return count;
}
