/**
 * A record's segments as one question sees them: opened once, so that what is rotated or deleted meanwhile is still what it
 * was. The newest is the one that a gateway may be writing; the others are sealed, and each has an identity by which its
 * Parquet copy is known.
 */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { MAX_LINE_BYTES, openLine } from "../audit/chain.ts";
import { listSegments, openSegment, unreadable } from "../audit/segment.ts";
import type { Segment } from "../audit/segment.ts";

export interface HeldSegment {
  segment: Segment;
  handle: FileHandle;
  /** Bytes when it was opened. */
  size: number;
}

export interface HeldSegments {
  sealed: HeldSegment[];
  /** Null where there is no segment yet. */
  live: HeldSegment | null;
}

/** What a Parquet copy is a copy of. */
export interface Identity {
  /** Number of the segment's first record. */
  first: number;
  size: number;
  /** The hash of its last record; of its last bytes where it does not end in one. */
  head: string;
}

/** Opens all segments there are. A segment that is deleted before it is reached is passed over, as if we had come later. */
export async function holdSegments(directory: string, keep: (handle: FileHandle) => void): Promise<HeldSegments> {
  const { segments } = await listSegments(directory);
  const opened: HeldSegment[] = [];
  for (const segment of segments) {
    const handle = await openSegment(segment).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw unreadable(segment.path, error);
    });
    if (handle === null) continue;
    keep(handle);
    opened.push({ segment, handle, size: (await handle.stat()).size });
  }
  const last = opened.at(-1);
  // Where the newest of the list is gone, all that is left was sealed.
  const isLive = last !== undefined && last.segment.name === segments.at(-1)?.name;
  return { sealed: isLive ? opened.slice(0, -1) : opened, live: isLive ? last : null };
}

/** Reads the end of a sealed segment. Rejects with the file system's error. */
export async function identify({ segment, handle, size }: HeldSegment): Promise<Identity> {
  let tail = await readTail(handle, size, 4096);
  let line = lastLine(tail, size);
  if (line === null) {
    tail = await readTail(handle, size, MAX_LINE_BYTES + 2);
    line = lastLine(tail, size);
  }
  const sealed = line === null ? null : openLine(line);
  return { first: segment.first, size, head: sealed?.hash ?? createHash("sha256").update(tail).digest("hex") };
}

/** Whether a segment ends in the middle of a line. Rejects with the file system's error. */
export async function endsTorn({ handle, size }: HeldSegment): Promise<boolean> {
  return size > 0 && (await readTail(handle, size, 1)).at(-1) !== newline;
}

async function readTail(handle: FileHandle, size: number, most: number): Promise<Buffer> {
  const tail = Buffer.alloc(Math.min(most, size));
  let done = 0;
  while (done < tail.length) {
    const { bytesRead } = await handle.read(tail, done, tail.length - done, size - tail.length + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return tail.subarray(0, done);
}

/** The last line of a file of `size` bytes that ends with `tail`; null where the line is torn, or begins before `tail`. */
function lastLine(tail: Buffer, size: number): Buffer | null {
  if (tail.at(-1) !== newline) return null;
  const before = tail.length < 2 ? -1 : tail.lastIndexOf(newline, tail.length - 2);
  if (before < 0 && tail.length < size) return null;
  return tail.subarray(before + 1, tail.length - 1);
}

const newline = 10;
