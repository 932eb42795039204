/**
 * Verifies a whole record: every line, every number, every link across segments, the seals, where it begins, and the end
 * against `head.json`. Names the first broken record. Reads in a stream, changes nothing, and may run beside the process
 * that writes.
 *
 * The files alone cannot show that whole records were taken from the end; the head does, up to the last second. Someone
 * who rewrites files, seals and head together is found out by signatures, if he has not the key, or by a hash kept
 * elsewhere (`known-heads.ts`).
 */
import { beginningOf } from "./beginning.ts";
import { genesis, MAX_LINE_BYTES, openLine, verifyLine } from "./chain.ts";
import type { Defect, DefectKind, Link } from "./chain.ts";
import { KnownHeads } from "./known-heads.ts";
import { readLines } from "./lines.ts";
import type { RawLine } from "./lines.ts";
import { lockHolder } from "./lock.ts";
import { listSegments, openSegment, readHead, unreadable } from "./segment.ts";
import type { Head, Segment } from "./segment.ts";
import type { TrustedKey } from "./signature.ts";
import { endBefore, isBehind, lastSeal, missingBefore, signedEnd, verifyEnd } from "./verify-end.ts";
import { SealCheck } from "./verify-seals.ts";
import type { SealDefect, SealSummary } from "./verify-seals.ts";
import { SallyportError } from "../errors.ts";

/** The first broken record. */
export interface Break {
  /** File name of the segment, 1-based line in it. Line 0: the segment as a whole, its seal, or `head.json`. */
  segment: string;
  line: number;
  /** The record's number. */
  seq: number;
  kind: DefectKind | SealDefect;
  message: string;
}

export interface Verification {
  ok: boolean;
  /** Number of the first record there is. */
  first: number;
  /** Good records, up to the first break. */
  records: number;
  segments: number;
  /** The last good record. */
  head: Link;
  /** The retention that vouches for a beginning after record 1: it deleted all before `first`, as record `seq` says. */
  retention: { seq: number } | null;
  seals: SealSummary;
  broken: Break | null;
  /** What is worth knowing and breaks nothing: a torn end after a crash, files that are no segments. */
  notes: string[];
}

/**
 * Verifies the record under a state directory; with keys, every seal of a closed segment and the head must be signed by one
 * of them; with known heads, each of them must be in the record. RECORD_UNREADABLE where there is none or it cannot be read.
 */
export async function verifyRecord(
  directory: string,
  keys: readonly TrustedKey[] = [],
  known = new KnownHeads(),
): Promise<Verification> {
  for (let attempt = 1; ; attempt++) {
    const running = lockHolder(directory) !== null;
    try {
      const result = await verifyOnce(directory, keys, known, running);
      // Segments come and go while they are listed; what is truly broken still is a moment later.
      const passing = result.broken?.line === 0 || result.broken?.kind === "removed";
      if (!running || !passing || attempt === attempts) return result;
    } catch (error) {
      if (error instanceof SallyportError) throw error;
      // Retention deleted one between the list and the reading.
      if (!running || (error as NodeJS.ErrnoException).code !== "ENOENT" || attempt === attempts) {
        throw unreadable(directory, error);
      }
    }
  }
}

const attempts = 3;

async function verifyOnce(
  directory: string,
  keys: readonly TrustedKey[],
  known: KnownHeads,
  running: boolean,
): Promise<Verification> {
  // The head before the files: a process that writes meanwhile only makes the record longer than its head.
  const head = await readHead(directory);
  const { segments, seals: present, strangers } = await listSegments(directory);
  const notes = strangers.map((name) => `${name} is not a segment and was not read.`);
  const seals = new SealCheck(directory, present, keys);
  const beginning = await beginningOf(segments);
  const named = beginning?.retention ?? null;
  const start = named === null ? genesis : beginning!.link;
  const retention = named && { seq: named.seq };
  let at: Link = start;
  const result = (broken: Break | null, read: number): Verification => {
    const { summary } = seals;
    const records = at.seq - start.seq;
    const ok = broken === null;
    return { ok, first: start.seq + 1, records, segments: read, head: at, retention, seals: summary, broken, notes };
  };
  const missing = missingBefore(beginning, segments);
  if (missing !== null) return result(missing, 0);
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1] ?? null;
    const before = at;
    const told = { head: head === "damaged" ? null : head, known };
    const check = await verifySegment(segment, at, told, segments.slice(index + 1));
    at = check.at;
    if (check.broken !== null) return result(await withSeal(check.broken, before, segments, seals), index);
    if (check.torn !== null) {
      if (next !== null) return result(cutLine(segment, check.torn, at), index);
      if (isBehind(at, head)) break;
      const bytes = check.torn.end - check.torn.start;
      const why = running ? "it is being written" : "a crash cut it; the next start removes it and records that";
      notes.push(`${segment.name} ends with ${bytes} bytes of an unfinished record: ${why}.`);
    }
    const size = check.torn?.end ?? check.size;
    const unsealed = await seals.check(segment, before, at, size, next);
    if (unsealed !== null) return result(unsealed, index);
  }
  const cut = (await verifyEnd(segments, at, head)) ?? endBefore(known, segments, at);
  if (cut !== null) return result(cut, segments.length);
  const broken = (await lastSeal(segments, at, seals)) ?? (await signedEnd(directory, segments, beginning, seals));
  const gone = known.before(start.seq + 1);
  if (gone > 0) notes.push(`${gone} heads kept elsewhere are of records before the first; they were not compared.`);
  if (broken === null && keys.length > 0 && seals.vouched < at.seq) {
    notes.push(
      `Records ${seals.vouched + 1} to ${at.seq} came after the last signed head; no signature vouches for them yet.`,
    );
  }
  return result(broken, segments.length);
}

/** Says so where a segment is missing and its seal is not. */
async function withSeal(broken: Break, at: Link, segments: readonly Segment[], seals: SealCheck): Promise<Break> {
  if (broken.kind !== "removed" || broken.line !== 1) return broken;
  const seal = await seals.orphan(segments, at.seq + 1, broken.seq);
  return seal === null ? broken : { ...broken, message: `${broken.message} ${seal.segment} is gone; its seal is not.` };
}

interface SegmentCheck {
  at: Link;
  broken: Break | null;
  /** The bytes after the last newline. */
  torn: RawLine | null;
  /** Bytes in whole lines. */
  size: number;
}

async function verifySegment(
  segment: Segment,
  before: Link,
  { head, known }: { head: Head | null; known: KnownHeads },
  later: Segment[],
): Promise<SegmentCheck> {
  const handle = await openSegment(segment);
  let at = before;
  let size = 0;
  const fail = (line: number, { seq, kind, message }: Defect) => {
    return { at, torn: null, size, broken: { segment: segment.name, line, seq, kind, message } };
  };
  try {
    for await (const lines of readLines(handle)) {
      for (const line of lines) {
        if (!line.whole) return { at, broken: null, torn: line, size };
        const check = line.tooLong ? tooLong(at) : verifyLine(line.bytes, at);
        if (!check.ok) return fail(line.number, await explain(check.defect, segment, line, later));
        const { seq, hash } = check.line;
        if (line.number === 1 && seq !== segment.first) return fail(0, misnamed(segment, seq));
        if (head !== null && seq === head.seq && hash !== head.hash)
          return fail(line.number, rewritten(seq, "head.json names"));
        if (!known.fits(check.line)) return fail(line.number, rewritten(seq, "was kept elsewhere"));
        at = { seq, hash };
        size = line.end;
      }
    }
    if (at === before && segment.first !== at.seq + 1) return fail(0, misnamed(segment, at.seq + 1));
    return { at, broken: null, torn: null, size };
  } finally {
    await handle.close();
  }
}

/** A gap is a removal unless the missing record turns up further on: then somebody moved it. */
async function explain(defect: Defect, segment: Segment, line: RawLine, later: Segment[]): Promise<Defect> {
  if (defect.kind !== "removed") return defect;
  for (const each of [segment, ...later]) {
    const { name } = each;
    const handle = await openSegment(each);
    try {
      const from = name === segment.name ? line : null;
      for await (const lines of readLines(handle, from?.end ?? 0, (from?.number ?? 0) + 1)) {
        const moved = lines.find(({ bytes, whole }) => whole && openLine(bytes)?.seq === defect.seq);
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

function rewritten(seq: number, whose: string): Defect {
  const message = `Record ${seq} is not the one that ${whose}: the record was rewritten and its hashes made anew.`;
  return { kind: "edited", seq, message };
}
