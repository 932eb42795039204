/**
 * The hash chain: what one line of the record looks like, and whether a line is what was written. Pure.
 *
 * A line is JSON with its members in a fixed order: `schema`, `time`, `id`, `seq`, `prev`, the body, `hash`. `hash` is
 * SHA-256 over `prev` (64 hex digits) followed by the line's bytes without `,"hash":"…"`. Checking needs the raw bytes
 * alone, so no second serialiser has to agree with the first.
 *
 * What it proves: with one trusted hash, everything up to it is as it was written. What it does not: it has no key, so
 * whoever may write the whole state directory can rebuild a chain from any point on. The hash must be known elsewhere
 * (an exporter, a job summary) for that to show.
 */
import { createHash, hash as digest } from "node:crypto";
import { bodyText, unrecordable } from "./body.ts";
import type { EventBody } from "./event.ts";

/** `prev` of the first record. */
export const GENESIS = "0".repeat(64);
/** No line is longer, newline not counted; the writer refuses to make one and the readers refuse to hold one. */
export const MAX_LINE_BYTES = 1024 * 1024;

/** Where a chain stands: the last record's number and hash. */
export interface Link {
  seq: number;
  hash: string;
}

/** The start of every chain. */
export const genesis: Link = { seq: 0, hash: GENESIS };

/**
 * Makes a record's line (no newline) and its hash, of a body as `bodyText` writes it. `time` is RFC 3339 with six decimals, `id` a
 * ULID.
 */
export function sealText(
  body: string,
  seq: number,
  prev: string,
  time: string,
  id: string,
): { line: string; hash: string } {
  const open = `{"schema":"sallyport.event/1","time":"${time}","id":"${id}","seq":${seq},"prev":"${prev}",${body}`;
  const hash = digest("sha256", `${prev}${open}}`, "hex");
  return { line: `${open},"hash":"${hash}"}`, hash };
}

/** The line after `link`; of a body that is too long for one, an event that says so. */
export function sealNext({ seq, hash }: Link, body: string, time: string, id: string): { line: string; hash: string } {
  const sealed = sealText(body, seq + 1, hash, time, id);
  // A UTF-16 unit is at most three bytes of UTF-8: only a suspicious line is measured.
  if (sealed.line.length * 3 <= MAX_LINE_BYTES || Buffer.byteLength(sealed.line) <= MAX_LINE_BYTES) return sealed;
  const kind = /^"kind":"(\w+)"/.exec(body)?.[1] ?? "";
  return sealText(unrecordable(kind, `it is over ${MAX_LINE_BYTES} bytes`), seq + 1, hash, time, id);
}

/** {@link sealText} of an event. Throws what `bodyText` throws. */
export function sealLine(
  body: EventBody,
  seq: number,
  prev: string,
  time: string,
  id: string,
): { line: string; hash: string } {
  return sealText(bodyText(body), seq, prev, time, id);
}

/**
 * - `edited`: bytes were changed, or the line is not one of ours.
 * - `removed`: one or more records before this one are missing.
 * - `reordered`: the record is elsewhere in the file.
 * - `inserted`: a record that was already there, or a second one with its number.
 * - `unlinked`: the line is whole but does not continue the record before it (that one was replaced and its hash
 *   recomputed, or another chain was spliced in).
 * - `truncated`: records that were on disk are missing from the end, or a line is cut.
 * - `not_json`: the line is no JSON at all.
 */
export type DefectKind = "edited" | "removed" | "reordered" | "inserted" | "unlinked" | "truncated" | "not_json";

export interface Defect {
  kind: DefectKind;
  message: string;
  /** The number of the record at fault: the one expected here, or (`inserted`) the one found. */
  seq: number;
}

/** A line that is whole: its own link, and what it says it continues. */
export interface SealedLine extends Link {
  prev: string;
  time: string;
}

export type LineCheck = { ok: true; line: SealedLine } | { ok: false; defect: Defect };

const head =
  /^\{"schema":"sallyport\.event\/1","time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)","id":"[0-9A-HJKMNP-TV-Z]{26}","seq":([1-9]\d{0,14}),"prev":"([0-9a-f]{64})"/;
const tail = /^,"hash":"([0-9a-f]{64})"\}$/;
const headBytes = 256;
const tailBytes = 75;

/**
 * Checks a line's raw bytes (no newline) by themselves: canonical head, own hash. Null where it is not a whole record.
 * Bounded by the line's length; never throws.
 */
export function openLine(line: Buffer): SealedLine | null {
  const start = head.exec(line.toString("latin1", 0, headBytes));
  if (start === null || line.length < tailBytes) return null;
  const end = tail.exec(line.toString("latin1", line.length - tailBytes));
  if (end === null) return null;
  const prev = start[3]!;
  const sum = createHash("sha256")
    .update(prev)
    .update(line.subarray(0, line.length - tailBytes))
    .update("}");
  if (sum.digest("hex") !== end[1]) return null;
  return { seq: Number(start[2]), prev, hash: end[1], time: start[1]! };
}

/** Checks a line's raw bytes (no newline) against the record it must continue. Never throws. */
export function verifyLine(line: Buffer, before: Link): LineCheck {
  const seq = before.seq + 1;
  const sealed = openLine(line);
  if (sealed === null) return { ok: false, defect: damaged(line, seq) };
  if (sealed.seq > seq) {
    const last = sealed.seq - 1;
    const missing = last === seq ? `Record ${seq} is missing` : `Records ${seq} to ${last} are missing`;
    return { ok: false, defect: { kind: "removed", seq, message: `${missing} before record ${sealed.seq}.` } };
  }
  if (sealed.seq < seq) {
    const message = `Record ${sealed.seq} stands where record ${seq} should be; its number was already used.`;
    return { ok: false, defect: { kind: "inserted", seq: sealed.seq, message } };
  }
  if (sealed.prev !== before.hash) {
    const message = `Record ${seq} does not continue the record before it: one of the two was replaced.`;
    return { ok: false, defect: { kind: "unlinked", seq, message } };
  }
  return { ok: true, line: sealed };
}

function damaged(line: Buffer, seq: number): Defect {
  try {
    JSON.parse(line.toString("utf8"));
  } catch {
    return { kind: "not_json", seq, message: `Record ${seq} was overwritten: the line is not JSON.` };
  }
  return { kind: "edited", seq, message: `Record ${seq} was changed: its hash does not fit its bytes.` };
}
