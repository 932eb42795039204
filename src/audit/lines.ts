/**
 * A segment's lines as raw bytes, streamed: memory stays at one chunk and one line whatever the file's size or content.
 * The one reader below recovery, verification and queries. It knows nothing of JSON.
 */
import type { FileHandle } from "node:fs/promises";
import { MAX_LINE_BYTES } from "./chain.ts";

export interface RawLine {
  /** Without the newline. Empty where `tooLong`. Valid for as long as it is referenced. */
  bytes: Buffer;
  /** Byte offset of the line's start, and of the byte after its newline (or the end of the file). */
  start: number;
  end: number;
  /** 1-based. */
  number: number;
  /** False for bytes after the last newline. */
  whole: boolean;
  /** Longer than any record can be. */
  tooLong: boolean;
}

const chunkBytes = 256 * 1024;
const newline = 10;
const nothing = Buffer.alloc(0);

/**
 * Yields the lines from byte `offset` (the start of line `number`) to the end of the file as it is when reached, a
 * batch for each chunk read. Rejects with the file system's error.
 */
export async function* readLines(handle: FileHandle, offset = 0, number = 1): AsyncGenerator<RawLine[], void, void> {
  let carry = nothing;
  let skipped = 0; // bytes of an over-long line already thrown away
  let at = offset;
  for (;;) {
    const chunk = Buffer.allocUnsafe(chunkBytes);
    const { bytesRead } = await handle.read(chunk, 0, chunkBytes, at);
    if (bytesRead === 0) break;
    let start = at - carry.length;
    at += bytesRead;
    const read = chunk.subarray(0, bytesRead);
    const text = carry.length === 0 ? read : Buffer.concat([carry, read]);
    const lines: RawLine[] = [];
    let from = 0;
    for (let to = text.indexOf(newline, carry.length); to >= 0; to = text.indexOf(newline, from)) {
      const tooLong = skipped + to - from > MAX_LINE_BYTES;
      const bytes = tooLong ? nothing : text.subarray(from, to);
      const end = start + to - from + 1;
      lines.push({ bytes, start: start - skipped, end, number: number++, whole: true, tooLong });
      skipped = 0;
      start = end;
      from = to + 1;
    }
    carry = text.subarray(from);
    if (skipped + carry.length > MAX_LINE_BYTES) {
      skipped += carry.length;
      carry = nothing;
    }
    if (lines.length > 0) yield lines;
  }
  const length = skipped + carry.length;
  if (length > 0) {
    yield [{ bytes: carry, start: at - length, end: at, number, whole: false, tooLong: skipped > 0 }];
  }
}
