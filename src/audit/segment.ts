/**
 * What lies in `<state>/events/`: segments named by their first record (`events-000000000001.ndjson`, so that name order
 * is chain order), a seal for each closed one (`seal.ts`), and `head.json`, the last record known to be on the disk.
 * Segments are append-only; the newest is the one being written. Work on finished segments (columnar copies, exporters
 * with a cursor) belongs beside this file and reads every segment but the newest.
 */
import { randomBytes } from "node:crypto";
import { constants, type Dirent } from "node:fs";
import { open, readdir, rename } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Link } from "./chain.ts";
import { readSmall, replaceFile, syncFolder } from "./small-file.ts";
import { readStatement, statementText } from "./signature.ts";
import type { Signature, SigningKey } from "./signature.ts";
import { SallyportError } from "../errors.ts";

export interface Segment {
  name: string;
  path: string;
  /** Number of its first record. */
  first: number;
}

/** The last record on the disk when the record was last synchronised. */
export interface Head extends Link {
  segment: string | null;
  time: string;
  /** Not checked. */
  signature: Signature | null;
}

/** What is there, in chain order. */
export interface Listing {
  segments: Segment[];
  /** Numbers of the first records of segments that have a seal. */
  seals: Set<number>;
  /** Names of files that have no business there. */
  strangers: string[];
}

const segmentName = /^events-(\d{12})\.ndjson$/;
const sealFile = /^events-(\d{12})\.seal\.json((?:\.[0-9a-f]{16})?\.new)?$/;
const headName = "head.json";
/** Part of the name of a file that was moved out of a segment's way; the record tells of it when it happens. */
export const DISPLACED = ".displaced-";
/** The largest record number a segment name can carry. */
export const MAX_SEQ = 999_999_999_999;

export function eventsDirectory(directory: string): string {
  return join(directory, "events");
}

/** The segment that begins with record `first`, under a state directory. */
export function segmentAt(directory: string, first: number): Segment {
  const name = `events-${String(first).padStart(12, "0")}.ndjson`;
  return { name, path: join(eventsDirectory(directory), name), first };
}

/** The files of a state directory's record. RECORD_UNREADABLE where there is no record or it cannot be listed. */
export async function listSegments(directory: string): Promise<Listing> {
  const segments: Segment[] = [];
  const seals = new Set<number>();
  const strangers: string[] = [];
  for (const entry of await list(directory)) {
    const { name } = entry;
    const first = Number(segmentName.exec(name)?.[1] ?? 0);
    const seal = sealFile.exec(name);
    // A link, a pipe or a folder under a segment's name is not the record's, wherever it may lead.
    if (first > 0 && entry.isFile()) segments.push(segmentAt(directory, first));
    else if (seal !== null && Number(seal[1]) > 0) {
      if (seal[2] === undefined) seals.add(Number(seal[1]));
    } else if (!name.startsWith(headName)) strangers.push(name);
  }
  return { segments: segments.toSorted((a, b) => a.first - b.first), seals, strangers: strangers.toSorted() };
}

async function list(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(eventsDirectory(directory), { withFileTypes: true });
  } catch (error) {
    throw unreadable(directory, error);
  }
}

/** Opens a segment to read it; one that was exchanged for a link or a pipe since it was listed is refused (ELOOP, EINVAL). */
export async function openSegment({ path }: Pick<Segment, "path">): Promise<FileHandle> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw Object.assign(new Error("no regular file"), { code: "EINVAL" });
}

/** The error of a record that cannot be read. */
export function unreadable(directory: string, error: unknown): SallyportError {
  const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
  const what = missing
    ? `There is no record in ${directory}`
    : `The record in ${directory} cannot be read: ${describe(error)}`;
  return new SallyportError("RECORD_UNREADABLE", what, { directory }, error);
}

/** `head.json`, its signature not checked; null where it is absent, "damaged" where it is there and is not a head. */
export async function readHead(directory: string): Promise<Head | "damaged" | null> {
  const text = await readSmall(join(eventsDirectory(directory), headName));
  if (text === null) return null;
  const statement = readStatement(text);
  if (statement === null) return "damaged";
  const { schema, seq, hash, segment, time } = statement.members;
  if (schema !== "sallyport.head/1" || !(seq === 0 || isSeq(seq)) || !isHash(hash)) return "damaged";
  return {
    seq,
    hash,
    segment: typeof segment === "string" ? segment : null,
    time: typeof time === "string" ? time : "",
    signature: statement.signature,
  };
}

/**
 * Replaces `head.json` in one step. Call it only when the record it names is itself on the disk, so that a crash leaves
 * the head behind the record, never ahead of it.
 */
export async function writeHead(
  directory: string,
  head: Omit<Head, "signature">,
  key: SigningKey | null = null,
): Promise<void> {
  const text = statementText({ schema: "sallyport.head/1", ...head }, key);
  await replaceFile(join(eventsDirectory(directory), headName), text);
}

/** A record's number, 1 or more. */
export function isSeq(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_SEQ;
}

export function isHash(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

/** Makes the names in `events/` durable (fsync of the directory). */
export async function syncDirectory(directory: string): Promise<void> {
  await syncFolder(eventsDirectory(directory));
}

/** Moves a file that stands where a segment must be written out of the way, keeping it; returns its new name. */
export async function displace(segment: Segment): Promise<string> {
  const suffix = DISPLACED + randomBytes(6).toString("hex");
  await rename(segment.path, segment.path + suffix);
  return segment.name + suffix;
}

/** A file system error in a few words. */
export function describe(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === undefined ? message : `${code}: ${message}`;
}
