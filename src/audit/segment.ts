/**
 * What lies in `<state>/events/`: segments named by their first record (`events-000000000001.ndjson`, so that name order
 * is chain order) and `head.json`, the last record known to be on the disk. Segments are append-only; the newest is the
 * one being written. Work on finished segments (sealing with a signed head, columnar copies, exporters with a cursor)
 * belongs beside this file and reads every segment but the newest.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { open, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Link } from "./chain.ts";
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
}

const segmentName = /^events-(\d{12})\.ndjson$/;
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

/**
 * The segments of a state directory in chain order, and the names of files that have no business there.
 * RECORD_UNREADABLE where there is no record or it cannot be listed.
 */
export async function listSegments(directory: string): Promise<{ segments: Segment[]; strangers: string[] }> {
  const segments: Segment[] = [];
  const strangers: string[] = [];
  for (const name of await list(directory)) {
    const match = segmentName.exec(name);
    if (match !== null && Number(match[1]) > 0) segments.push(segmentAt(directory, Number(match[1])));
    else if (!name.startsWith(headName)) strangers.push(name);
  }
  return { segments: segments.toSorted((a, b) => a.first - b.first), strangers: strangers.toSorted() };
}

async function list(directory: string): Promise<string[]> {
  try {
    return await readdir(eventsDirectory(directory));
  } catch (error) {
    throw unreadable(directory, error);
  }
}

/** The error of a record that cannot be read. */
export function unreadable(directory: string, error: unknown): SallyportError {
  const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
  const what = missing
    ? `There is no record in ${directory}`
    : `The record in ${directory} cannot be read: ${describe(error)}`;
  return new SallyportError("RECORD_UNREADABLE", what, { directory }, error);
}

/** `head.json`; null where it is absent, "damaged" where it is there and is not a head. */
export async function readHead(directory: string): Promise<Head | "damaged" | null> {
  let text: string;
  try {
    text = await readFile(join(eventsDirectory(directory), headName), "utf8");
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? null : "damaged";
  }
  try {
    const { schema, seq, hash, segment, time } = JSON.parse(text) as Record<string, unknown>;
    const good =
      schema === "sallyport.head/1" &&
      Number.isSafeInteger(seq) &&
      (seq as number) >= 0 &&
      (seq as number) <= MAX_SEQ &&
      typeof hash === "string" &&
      /^[0-9a-f]{64}$/.test(hash);
    if (!good) return "damaged";
    return {
      seq: seq as number,
      hash,
      segment: typeof segment === "string" ? segment : null,
      time: typeof time === "string" ? time : "",
    };
  } catch {
    return "damaged";
  }
}

/**
 * Replaces `head.json`. Call it only when the record it names is itself on the disk, so that a crash leaves the head behind
 * the record, never ahead of it.
 */
export async function writeHead(directory: string, head: Head): Promise<void> {
  const text = `${JSON.stringify({ schema: "sallyport.head/1", ...head })}\n`;
  await replaceFile(join(eventsDirectory(directory), headName), text);
}

/** Replaces a small file in one step: written and synchronised under another name, then renamed. Mode 0600. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  const handle = await open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
  try {
    await handle.writeFile(text);
    await handle.datasync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
}

/** Makes the names in `events/` durable (fsync of the directory). */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(eventsDirectory(directory), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
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
