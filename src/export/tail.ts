/**
 * The record from a position on, a bounded batch at a time. Reads only what is known to be durable: a power cut can take
 * back what was merely written, and then a sink would have a record that the chain has not. What is missing between the
 * position and the next record that is still there is told as a gap, never stepped over in silence. A line counts as a record
 * only where its own hash fits its bytes: a changed number would otherwise hide all that follow it, and a changed text would go
 * out as ours.
 *
 * Needs no lock and disturbs no writer; memory is one batch and one chunk of a segment.
 */
import { MAX_LINE_BYTES, openLine } from "../audit/chain.ts";
import type { Event } from "../audit/event.ts";
import { readLines } from "../audit/lines.ts";
import { listSegments, openSegment } from "../audit/segment.ts";
import type { Segment } from "../audit/segment.ts";
import type { Outgoing, Position } from "./record.ts";

/** Records that are not there, or not as they were written: first and last number. `unlinked`: it continues another chain. */
export interface Trouble {
  kind: "missing" | "unlinked";
  first: number;
  last: number;
}

export interface Batch {
  records: Outgoing[];
  troubles: Trouble[];
  /** Where a sink is that has all of it. */
  end: Position;
}

const newline = 10;

export interface BatchBounds {
  records: number;
  bytes: number;
}

/**
 * The next records after `from`, none beyond number `durable`. Empty where there is nothing new. Rejects where the record
 * cannot be read.
 */
export async function readBatch(
  directory: string,
  from: Position,
  durable: number,
  bounds: BatchBounds,
): Promise<Batch> {
  const batch: Batch = { records: [], troubles: [], end: from };
  if (from.seq >= durable) return batch;
  const { segments } = await listSegments(directory);
  let at = placeOf(segments, from);
  let bytes = 0;
  while (at !== null) {
    const { segment } = at;
    bytes = await readSegment(segment, at.offset, durable, bounds, bytes, batch);
    const next = segments.find((each) => each.first > segment.first);
    const full = batch.records.length >= bounds.records || bytes >= bounds.bytes;
    if (full || batch.end.seq >= durable || next === undefined) break;
    at = { segment: next, offset: 0 };
  }
  return batch;
}

/** Where to read on: the position's own segment, or the one that holds the next record, or what is left after it. */
function placeOf(segments: readonly Segment[], { seq, segment, offset }: Position) {
  const own = segments.find((each) => each.first === segment);
  if (own !== undefined) return { segment: own, offset };
  const holding = segments.findLast((each) => each.first <= seq + 1) ?? segments[0];
  return holding === undefined ? null : { segment: holding, offset: 0 };
}

async function readSegment(
  segment: Segment,
  offset: number,
  durable: number,
  bounds: BatchBounds,
  before: number,
  batch: Batch,
): Promise<number> {
  let bytes = before;
  const handle = await openSegment(segment);
  try {
    for await (const lines of readLines(handle, offset)) {
      for (const line of lines) {
        if (!line.whole) return bytes;
        const text = line.tooLong ? "" : line.bytes.toString("utf8");
        const event = eventOf(line.bytes, text);
        if (event !== null && event.seq > durable) return bytes;
        if (batch.records.length >= bounds.records || bytes + text.length > bounds.bytes) {
          if (batch.records.length > 0) return Math.max(bytes, bounds.bytes);
        }
        const where = { segment: segment.first, offset: line.end };
        if (event === null) {
          // Which record it was is known once the next one is read: that gap counts it.
          batch.end = { ...batch.end, ...where };
          continue;
        }
        if (event.seq <= batch.end.seq) continue;
        link(batch, event);
        batch.end = { seq: event.seq, hash: event.hash, ...where };
        batch.records.push({ event, line: text, at: batch.end });
        bytes += text.length;
      }
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

/** Says what stands between the last record and this one. */
function link({ end, troubles }: Batch, event: Event): void {
  if (event.seq > end.seq + 1) troubles.push({ kind: "missing", first: end.seq + 1, last: event.seq - 1 });
  else if (end.hash !== "" && event.prev !== end.hash) {
    troubles.push({ kind: "unlinked", first: event.seq, last: event.seq });
  }
}

/** Null where the line is not a record as it was written. */
function eventOf(bytes: Buffer, text: string): Event | null {
  const sealed = openLine(bytes);
  if (sealed === null) return null;
  try {
    const event = JSON.parse(text) as Event;
    // A member that stands twice is another one to this reader than to the one that checked the line's head.
    const isSame = event.seq === sealed.seq && event.time === sealed.time && event.hash === sealed.hash;
    return isSame && typeof event.kind === "string" && /^[a-z_]{1,32}$/.test(event.kind) ? event : null;
  } catch {
    return null;
  }
}

/**
 * False where the record at a position is another than the one that was delivered: the record was begun anew, or is a copy of
 * another. True where it is the same, and where that cannot be said because its segment is gone. Rejects where it cannot be read.
 */
export async function holds(directory: string, { seq, hash, segment, offset }: Position): Promise<boolean> {
  if (seq === 0 || hash === "") return true;
  const found = (await listSegments(directory)).segments.find((each) => each.first === segment);
  if (found === undefined) return true;
  const handle = await openSegment(found);
  try {
    const start = Math.max(0, offset - MAX_LINE_BYTES - 2);
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(offset - start), 0, offset - start, start);
    if (bytesRead < offset - start || bytesRead < 2 || buffer[bytesRead - 1] !== newline) return false;
    const line = buffer.subarray(buffer.lastIndexOf(newline, bytesRead - 2) + 1, bytesRead - 1);
    const link = openLine(line);
    return link?.seq === seq && link.hash === hash;
  } finally {
    await handle.close();
  }
}
