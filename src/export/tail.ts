/**
 * The record from a position on, a bounded batch at a time. Reads only what is known to be durable: a power cut can take
 * back what was merely written, and then a sink would have a record that the chain has not. What is missing between the
 * position and the next record that is still there is told as a gap, never stepped over in silence.
 *
 * Needs no lock and disturbs no writer; memory is one batch and one chunk of a segment.
 */
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
        const event = eventOf(text);
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

function eventOf(line: string): Event | null {
  try {
    const event = JSON.parse(line) as Event | null;
    const good =
      event?.schema === "sallyport.event/1" &&
      Number.isSafeInteger(event.seq) &&
      event.seq > 0 &&
      [event.time, event.id, event.kind, event.prev, event.hash].every((member) => typeof member === "string");
    return good ? event : null;
  } catch {
    return null;
  }
}
