/**
 * What a spool finds when it opens: where the chain goes on, and what the last run or somebody else did to its end.
 * Only the newest segment is read (all of it); the whole record is `verifyRecord`'s work. Whatever is found, there is
 * an answer: a broken record is named in a new segment and never stops enforcement.
 */
import { stat } from "node:fs/promises";
import { genesis, openLine, verifyLine } from "./chain.ts";
import type { Defect, Link } from "./chain.ts";
import { parseTime } from "./clock.ts";
import type { EventBody } from "./event.ts";
import { readLines } from "./lines.ts";
import { readSeal } from "./seal.ts";
import { DISPLACED, listSegments, openSegment, readHead } from "./segment.ts";
import type { Head, Segment } from "./segment.ts";
import { checkSignature } from "./signature.ts";
import type { TrustedKey } from "./signature.ts";

export interface Recovery {
  /** The record to continue. */
  link: Link;
  /**
   * The open segment, cut to `position` bytes, and the hash before it; null: there is none to go on with. `retire`: it is
   * not gone on with, but closed under an unsigned seal, because our key has not vouched for it so far.
   */
  resume: { segment: Segment; position: number; born: number | null; prev: string; retire: boolean } | null;
  /** What was found, to be recorded first, in order. */
  incidents: EventBody[];
  /** Size of the record's segments, bytes. */
  bytes: number;
}

interface Scan {
  /** The hash before its first record; null where it has none. */
  prev: string | null;
  /** The last good record; null where the segment has none. */
  last: Link | null;
  /** Microseconds; time of the first good record. */
  born: number | null;
  /** End of the last good record. */
  goodBytes: number;
  size: number;
  /** The first broken line before the segment's end. A line without newline at the end is not one. */
  defect: (Defect & { line: number }) | null;
}

/** No chain grows this much between two writes of its head: a segment named beyond it is not ours. */
const plausibleGrowth = 1_000_000_000;

/**
 * Reads the end of the record; `key` is the one that will sign it. Changes nothing. Rejects with RECORD_UNREADABLE or the
 * file system's error.
 */
export async function recover(directory: string, key: TrustedKey | null = null): Promise<Recovery> {
  const incidents: EventBody[] = [];
  const stored = await readHead(directory);
  if (stored === "damaged") incidents.push(incident("head.json is damaged and was made anew.", {}));
  const head = stored === "damaged" ? null : stored;

  const { segments, seals, strangers } = await listSegments(directory);
  if (stored === null && segments.length > 0) incidents.push(incident("head.json was missing and was made anew.", {}));
  const limit = (head?.seq ?? 0) + plausibleGrowth;
  const ours = segments.filter((segment) => segment.first <= limit);
  const known = (name: string) => name.includes(DISPLACED);
  const foreign = [
    ...segments.filter((segment) => segment.first > limit).map((segment) => segment.name),
    ...strangers.filter((name) => !known(name)),
  ];
  if (foreign.length > 0) {
    const data = { files: foreign.slice(0, 20), count: foreign.length };
    incidents.push(incident("There are files among the record's segments that are not the record's.", data));
  }
  const bytes = await totalSize(ours);

  // The chain ends in the newest segment that holds a whole record; a crash right after a rotation leaves an empty one.
  const newest = ours.at(-1);
  let scan: Scan | null = null;
  let end: Link | null = null;
  let broken = false;
  for (let i = ours.length - 1; i >= 0 && end === null; i--) {
    const found = await scanSegment(ours[i]!, head);
    scan ??= found;
    end = found.last;
    if (found.defect === null) continue;
    broken = true;
    const { line, kind, message } = found.defect;
    incidents.push(incident(`The record is broken: ${message}`, { segment: ours[i]!.name, line, defect: kind }));
  }
  const link = continueFrom(end, head, newest, broken);
  const missing = head === null || broken ? 0 : head.seq - (end?.seq ?? 0);
  if (missing > 0) {
    const data = { first: head!.seq - missing + 1, last: head!.seq };
    incidents.push(incident(`Records that were on disk are missing from the end: ${missing}.`, data));
  }
  // After any break the chain goes on in a new segment, and the old one stays as it was found.
  const untouched = !broken && missing <= 0;
  if (!untouched || newest === undefined || scan === null) return { link, resume: null, incidents, bytes };
  if (scan.last === null && newest.first !== link.seq + 1) {
    incidents.push(incident("The newest segment does not continue the record.", { segment: newest.name }));
    return { link, resume: null, incidents, bytes };
  }
  const vouched = vouch(head, link, key);
  if (vouched.incident !== null) incidents.push(vouched.incident);
  if (seals.has(newest.first)) {
    // Closed for good: cleanly, or by a crash before the next one was begun.
    const seal = await readSeal(directory, newest);
    const fits = seal !== null && seal !== "damaged" && seal.last.hash === scan.last?.hash && seal.bytes === scan.size;
    if (!fits) incidents.push(incident("The newest segment is not what its seal says.", { segment: newest.name }));
    return { link, resume: null, incidents, bytes };
  }
  const torn = scan.size - scan.goodBytes;
  if (torn > 0) {
    const data = { segment: newest.name, bytes: torn };
    incidents.push(incident(`${tornMessage}: ${torn} bytes.`, data));
  }
  const { born, goodBytes: position } = scan;
  const resume = { segment: newest, position, born, prev: scan.prev ?? link.hash, retire: !vouched.ok };
  return { link, resume, incidents, bytes: bytes - torn };
}

const tornMessage = "A torn record was cut from the end after a crash";

/** How many bytes of a torn record an event says were cut; 0 for every other event. */
export function tornBytes({ kind, message, data }: Pick<EventBody, "kind" | "message" | "data">): number {
  const bytes = kind === "lifecycle" && message?.startsWith(tornMessage) ? data?.["bytes"] : 0;
  return Number.isSafeInteger(bytes) && (bytes as number) > 0 ? (bytes as number) : 0;
}

/** Whether the key that will sign the record vouches for it up to here, and what must be said of that. */
function vouch(head: Head | null, link: Link, key: TrustedKey | null): { ok: boolean; incident: EventBody | null } {
  const signature = head?.signature ?? null;
  if (key === null) {
    const message = "The record was signed up to here; from here on it is not.";
    return { ok: true, incident: signature && incident(message, { key: signature.key }) };
  }
  if (link.seq === 0) return { ok: true, incident: null };
  const check = checkSignature(signature, [key]);
  if (check !== "good") {
    const message = "The record is signed from here on; the key has not vouched for what was recorded before.";
    return { ok: false, incident: incident(message, { key: key.id, head: check }) };
  }
  const beyond = link.seq - head!.seq;
  if (beyond <= 0) return { ok: true, incident: null };
  const message = `Records after the last signed head were taken as a crash left them: ${beyond}.`;
  return { ok: true, incident: incident(message, { first: head!.seq + 1, last: link.seq }) };
}

/**
 * The furthest point known: a head beyond the last good record is kept, so that the hole between the two stays visible
 * for ever instead of being numbered over.
 */
function continueFrom(end: Link | null, head: Head | null, newest: Segment | undefined, broken: boolean): Link {
  let link = end ?? genesis;
  if (head !== null && head.seq > link.seq) link = { seq: head.seq, hash: head.hash };
  if (broken && newest !== undefined && newest.first > link.seq) link = { seq: newest.first, hash: link.hash };
  return link;
}

async function scanSegment(segment: Segment, head: Head | null): Promise<Scan> {
  const handle = await openSegment(segment);
  try {
    const scan: Scan = {
      prev: null,
      last: null,
      born: null,
      goodBytes: 0,
      size: (await handle.stat()).size,
      defect: null,
    };
    for await (const lines of readLines(handle)) {
      for (const line of lines) {
        if (!line.whole) return scan;
        const before = scan.last ?? anchor(line.bytes, segment);
        const check = verifyLine(line.bytes, before);
        if (!check.ok) return { ...scan, defect: { ...check.defect, line: line.number } };
        const { seq, hash, time } = check.line;
        if (head !== null && seq === head.seq && hash !== head.hash) {
          const message = `Record ${seq} is not the one that head.json names: the record was rewritten.`;
          return { ...scan, defect: { kind: "edited", seq, message, line: line.number } };
        }
        scan.prev ??= check.line.prev;
        scan.last = { seq, hash };
        scan.born ??= parseTime(time);
        scan.goodBytes = line.end;
      }
    }
    return scan;
  } finally {
    await handle.close();
  }
}

/** The link before a segment's first record: its number is the file name's, its hash what the record itself says. */
function anchor(line: Buffer, segment: Segment): Link {
  return { seq: segment.first - 1, hash: openLine(line)?.prev ?? genesis.hash };
}

async function totalSize(segments: Segment[]): Promise<number> {
  let total = 0;
  for (const segment of segments) total += (await stat(segment.path)).size;
  return total;
}

/** A `lifecycle` event. */
export function incident(message: string, data: Record<string, unknown>): EventBody {
  return { kind: "lifecycle", message, data };
}
