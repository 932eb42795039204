/**
 * Seals: what a closed segment was when it was closed, in a file of one line beside it (`events-000000000001.seal.json`): its
 * first and last record, the hash before and the hash at its end, its size; signed where the user gave a key. A seal is
 * written before the next segment is begun, so that every segment but the newest has one, also after a crash.
 *
 * Without a signature a seal shows damage and nothing more: who may write the directory may write seals. With one, it vouches for
 * every record up to its last, through the chain.
 */
import { join } from "node:path";
import { formatTime } from "./clock.ts";
import type { Link } from "./chain.ts";
import { eventsDirectory, isHash, isSeq } from "./segment.ts";
import type { Segment } from "./segment.ts";
import { readSmall, replaceFile } from "./small-file.ts";
import { readStatement, statementText } from "./signature.ts";
import type { Signature, SigningKey } from "./signature.ts";

/** What a segment is at its end. */
export interface ClosedSegment {
  segment: Segment;
  last: Link;
  /** `hash` of the record before its first. */
  prev: string;
  bytes: number;
}

export interface Seal {
  /** The segment's file name. */
  segment: string;
  first: number;
  last: Link;
  prev: string;
  bytes: number;
  /** RFC 3339: when it was sealed. */
  sealed: string;
  signature: Signature | null;
}

/** The file name of a segment's seal. */
export function sealName(segment: Segment): string {
  return segment.name.replace(/ndjson$/, "seal.json");
}

/** Writes a segment's seal in one step. `now` in microseconds. Rejects with the file system's error. */
export async function writeSeal(
  directory: string,
  { segment, last, prev, bytes }: ClosedSegment,
  now: number,
  key: SigningKey | null,
): Promise<void> {
  const members = {
    schema: "sallyport.seal/1",
    segment: segment.name,
    first: segment.first,
    last: last.seq,
    prev,
    head: last.hash,
    bytes,
    sealed: formatTime(now),
  };
  await replaceFile(join(eventsDirectory(directory), sealName(segment)), statementText(members, key));
}

/** A segment's seal as it stands there, its signature not checked; null: none; "damaged": the file is no seal. */
export async function readSeal(directory: string, segment: Segment): Promise<Seal | "damaged" | null> {
  const text = await readSmall(join(eventsDirectory(directory), sealName(segment)));
  return text === null ? null : (parseSeal(text) ?? "damaged");
}

/** A seal's text; null where it is none. Never throws. */
export function parseSeal(text: string): Seal | null {
  const statement = readStatement(text);
  if (statement === null) return null;
  const { schema, segment, first, last, prev, head, bytes, sealed } = statement.members;
  if (schema !== "sallyport.seal/1" || typeof segment !== "string" || typeof sealed !== "string") return null;
  if (!isSeq(first) || !isSeq(last) || !isHash(prev) || !isHash(head) || !Number.isSafeInteger(bytes)) return null;
  const { signature } = statement;
  return { segment, first, last: { seq: last, hash: head }, prev, bytes: bytes as number, sealed, signature };
}
