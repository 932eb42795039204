/**
 * Where a record begins, and what vouches for that. Retention deletes the oldest segments, and before it does, a record in the
 * live chain names them with their last hashes. So what remains is provable: its first record continues a hash that a later
 * record, inside the chain, says was retention's to delete. Read by verification and by the next retention.
 */
import { openLine } from "./chain.ts";
import type { Link } from "./chain.ts";
import { readLines } from "./lines.ts";
import { isHash, isSeq, openSegment } from "./segment.ts";
import type { Segment } from "./segment.ts";

/** Numbers of records, both ends included. */
export interface Range {
  first: number;
  last: number;
}

/** `data.retention` of the record that is written before segments are deleted. */
export interface Retention {
  /** The record before the first that is deleted. */
  after: Link;
  /** The last records of the deleted segments, oldest first; not empty. */
  ends: Link[];
  /** Records that were gone before retention came to them, now or at an earlier time; they are never forgotten. */
  missing: Range[];
}

/** A retention, and the number of the record that says so. */
export interface NamedRetention extends Retention {
  seq: number;
}

export interface Beginning {
  /** The link that the first record continues. */
  link: Link;
  /** What vouches for it; null where nothing does. */
  retention: NamedRetention | null;
}

/** Where the first segment says that it begins; null where it is the beginning of the chain, or says nothing of use. */
export async function beginningOf(segments: readonly Segment[]): Promise<Beginning | null> {
  const [segment] = segments;
  if (segment === undefined || segment.first === 1) return null;
  const link = await linkBefore(segment);
  if (link === null) return null;
  const latest = await latestRetention(segments);
  return { link, retention: latest !== null && names(latest, link) ? latest : null };
}

/** The link that a segment's first record says it continues; null where that is no whole record, or not the one of its name. */
export async function linkBefore(segment: Segment): Promise<Link | null> {
  const handle = await openSegment(segment);
  try {
    for await (const [line] of readLines(handle)) {
      const opened = line?.whole === true ? openLine(line.bytes) : null;
      return opened?.seq === segment.first ? { seq: opened.seq - 1, hash: opened.prev } : null;
    }
    return null;
  } finally {
    await handle.close();
  }
}

/** The last retention of a record: the one that counts. Found from the end, where it is as a rule. */
export async function latestRetention(segments: readonly Segment[]): Promise<NamedRetention | null> {
  for (const segment of segments.toReversed()) {
    const handle = await openSegment(segment);
    let latest: NamedRetention | null = null;
    try {
      for await (const lines of readLines(handle)) {
        // A line without its newline is in no chain yet: nobody but who appended it says what is in it.
        for (const line of lines) if (line.whole) latest = readRetention(line.bytes) ?? latest;
      }
    } finally {
      await handle.close();
    }
    if (latest !== null) return latest;
  }
  return null;
}

/** A deletion may have been cut short: any of the ends may be where the record begins now. */
export function names({ after, ends }: Retention, link: Link): boolean {
  return [after, ...ends].some(({ seq, hash }) => seq === link.seq && hash === link.hash);
}

const mark = Buffer.from('"retention":{');
const kind = Buffer.from('"kind":"lifecycle"');

/** The retention that a line's raw bytes record; null where they are another record, or none. Never throws. */
export function readRetention(line: Buffer): NamedRetention | null {
  if (!line.includes(mark) || !line.includes(kind)) return null;
  const opened = openLine(line);
  if (opened === null) return null;
  let event: { kind?: unknown; data?: { retention?: unknown } | null };
  try {
    event = JSON.parse(line.toString("utf8")) as typeof event;
  } catch {
    return null;
  }
  return event.kind === "lifecycle" ? readRetentionData(event.data, opened.seq) : null;
}

/** The retention in the data of a lifecycle event, record `seq`; null where there is none. Never throws. */
export function readRetentionData(
  data: { retention?: unknown } | null | undefined,
  seq: number,
): NamedRetention | null {
  const { after, ends, missing } = (data?.retention ?? {}) as Partial<Record<keyof Retention, unknown>>;
  if (!isLink(after) || !Array.isArray(ends) || ends.length === 0 || !ends.every(isLink)) return null;
  if (!Array.isArray(missing) || !missing.every(isRange)) return null;
  return { seq, after, ends, missing };
}

function isLink(value: unknown): value is Link {
  const { seq, hash } = (value ?? {}) as Partial<Record<keyof Link, unknown>>;
  return (seq === 0 || isSeq(seq)) && isHash(hash);
}

function isRange(value: unknown): value is Range {
  const { first, last } = (value ?? {}) as Partial<Record<keyof Range, unknown>>;
  return isSeq(first) && isSeq(last) && first <= last;
}
