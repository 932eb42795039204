/**
 * Verifies a whole record: every line, every number, every link across segments, and the end against `head.json`. Names
 * the first broken record. Reads in a stream, changes nothing, and may run beside the process that writes.
 *
 * The files alone cannot show that whole records were taken from the end; the head does, up to the last second. Someone
 * who rewrites files and head together is only found out by a hash kept elsewhere: compare `head` with it.
 */
import { open } from "node:fs/promises";
import { genesis, MAX_LINE_BYTES, openLine, verifyLine } from "./chain.ts";
import type { Defect, DefectKind, Link } from "./chain.ts";
import { readLines } from "./lines.ts";
import type { RawLine } from "./lines.ts";
import { lockHolder } from "./lock.ts";
import { listSegments, readHead, unreadable } from "./segment.ts";
import type { Head, Segment } from "./segment.ts";

/** The first broken record. */
export interface Break {
  /** File name of the segment, 1-based line in it. Line 0: the segment as a whole. */
  segment: string;
  line: number;
  /** The record's number. */
  seq: number;
  kind: DefectKind;
  message: string;
}

export interface Verification {
  ok: boolean;
  /** Good records, up to the first break. */
  records: number;
  segments: number;
  /** The last good record. */
  head: Link;
  broken: Break | null;
  /** What is worth knowing and breaks nothing: a torn end after a crash, files that are no segments. */
  notes: string[];
}

/** Verifies the record under a state directory. RECORD_UNREADABLE where there is none or it cannot be read. */
export async function verifyRecord(directory: string): Promise<Verification> {
  // The head before the files: a process that writes meanwhile only makes the record longer than its head.
  const head = await readHead(directory);
  const running = lockHolder(directory) !== null;
  const { segments, strangers } = await listSegments(directory);
  const notes = strangers.map((name) => `${name} is not a segment and was not read.`);
  let at: Link = genesis;
  const result = (broken: Break | null, read: number): Verification => {
    return { ok: broken === null, records: at.seq, segments: read, head: at, broken, notes };
  };
  try {
    for (const [index, segment] of segments.entries()) {
      const last = index === segments.length - 1;
      const check = await verifySegment(segment, at, head === "damaged" ? null : head, segments.slice(index + 1));
      at = check.at;
      if (check.broken !== null) return result(check.broken, index);
      if (check.torn === null) continue;
      if (!last) return result(cutLine(segment, check.torn, at), index);
      if (isBehind(at, head)) break;
      const bytes = check.torn.end - check.torn.start;
      const why = running ? "it is being written" : "a crash cut it; the next start removes it and records that";
      notes.push(`${segment.name} ends with ${bytes} bytes of an unfinished record: ${why}.`);
    }
    return result(await verifyEnd(segments, at, head), segments.length);
  } catch (error) {
    throw unreadable(directory, error);
  }
}

interface SegmentCheck {
  at: Link;
  broken: Break | null;
  /** The bytes after the last newline. */
  torn: RawLine | null;
}

async function verifySegment(
  segment: Segment,
  before: Link,
  head: Head | null,
  later: Segment[],
): Promise<SegmentCheck> {
  const handle = await open(segment.path, "r");
  let at = before;
  const fail = (line: number, { seq, kind, message }: Defect) => {
    return { at, torn: null, broken: { segment: segment.name, line, seq, kind, message } };
  };
  try {
    for await (const lines of readLines(handle)) {
      for (const line of lines) {
        if (!line.whole) return { at, broken: null, torn: line };
        const check = line.tooLong ? tooLong(at) : verifyLine(line.bytes, at);
        if (!check.ok) return fail(line.number, await explain(check.defect, segment, line, later));
        const { seq, hash } = check.line;
        if (line.number === 1 && seq !== segment.first) return fail(0, misnamed(segment, seq));
        if (head !== null && seq === head.seq && hash !== head.hash) return fail(line.number, rewritten(seq));
        at = { seq, hash };
      }
    }
    if (at === before && segment.first !== at.seq + 1) return fail(0, misnamed(segment, at.seq + 1));
    return { at, broken: null, torn: null };
  } finally {
    await handle.close();
  }
}

/** A gap is a removal unless the missing record turns up further on: then somebody moved it. */
async function explain(defect: Defect, segment: Segment, line: RawLine, later: Segment[]): Promise<Defect> {
  if (defect.kind !== "removed") return defect;
  for (const { path, name } of [segment, ...later]) {
    const handle = await open(path, "r");
    try {
      const from = name === segment.name ? line : null;
      for await (const lines of readLines(handle, from?.end ?? 0, (from?.number ?? 0) + 1)) {
        const moved = lines.find((candidate) => openLine(candidate.bytes)?.seq === defect.seq);
        if (moved === undefined) continue;
        const message = `Record ${defect.seq} is not in its place; it stands in ${name}, line ${moved.number}.`;
        return { kind: "reordered", seq: defect.seq, message };
      }
    } finally {
      await handle.close();
    }
  }
  return defect;
}

/** The end of the record against its head. */
async function verifyEnd(segments: Segment[], at: Link, head: Head | "damaged" | null): Promise<Break | null> {
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
  const message = `The record ends at ${at.seq}, but record ${head.seq} was on the disk: ${count} missing from the end.`;
  return { ...broken(message), line: lines + 1 };
}

function isBehind(at: Link, head: Head | "damaged" | null): boolean {
  return head !== null && head !== "damaged" && at.seq < head.seq;
}

async function countLines({ path }: Segment): Promise<number> {
  const handle = await open(path, "r");
  let count = 0;
  try {
    for await (const lines of readLines(handle)) count += lines.filter((line) => line.whole).length;
  } finally {
    await handle.close();
  }
  return count;
}

function cutLine(segment: Segment, torn: RawLine, at: Link): Break {
  const message = `Record ${at.seq + 1} is cut off, and it is not the end of the record.`;
  return { segment: segment.name, line: torn.number, seq: at.seq + 1, kind: "truncated", message };
}

function tooLong(at: Link): { ok: false; defect: Defect } {
  const message = `Record ${at.seq + 1} was overwritten: the line is over ${MAX_LINE_BYTES} bytes.`;
  return { ok: false, defect: { kind: "not_json", seq: at.seq + 1, message } };
}

function misnamed(segment: Segment, seq: number): Defect {
  return { kind: "reordered", seq, message: `${segment.name} should begin with record ${segment.first}, not ${seq}.` };
}

function rewritten(seq: number): Defect {
  const message = `Record ${seq} is not the one that head.json names: the record was rewritten and its hashes made anew.`;
  return { kind: "edited", seq, message };
}
