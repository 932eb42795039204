/**
 * Lines of events as a file that the query engine reads: the whole lines of a segment that is being written, those lines of a
 * damaged segment that are events, the events of a run's report.
 */
import type { FileHandle } from "node:fs/promises";
import { readLines } from "../audit/lines.ts";
import { eventOf } from "../audit/read.ts";
import type { HeldSegment } from "./segments.ts";

const chunkBytes = 1024 * 1024;
const newline = 10;

/** Copies what a live segment holds up to its last whole line, as of when it was opened. */
export async function copyWholeLines({ handle, size }: HeldSegment, to: FileHandle): Promise<void> {
  const chunk = Buffer.allocUnsafe(chunkBytes);
  let at = 0;
  let whole = 0;
  while (at < size) {
    const { bytesRead } = await handle.read(chunk, 0, Math.min(chunk.length, size - at), at);
    if (bytesRead === 0) break; // cut since: a torn record after a crash
    await to.write(chunk, 0, bytesRead, at);
    const last = chunk.subarray(0, bytesRead).lastIndexOf(newline);
    if (last >= 0) whole = at + last + 1;
    at += bytesRead;
  }
  await to.truncate(whole);
}

/**
 * Whether a segment holds nothing but whole lines that are events, as `readEvents` sees them. The engine takes some damaged lines
 * for JSON, and what stands behind the last newline for a line.
 */
export async function holdsOnlyEvents({ handle, size }: HeldSegment): Promise<boolean> {
  for await (const lines of readLines(handle)) {
    for (const line of lines) {
      if (!line.whole || line.end > size || line.tooLong || eventOf(line.bytes) === null) return false;
    }
  }
  return true;
}

/**
 * Copies the lines that are events, as `readEvents` sees them, and says how many were not. For segments with lines that are no
 * events, or that the engine is stricter about than JavaScript.
 */
export async function copyEvents({ handle, size }: HeldSegment, to: FileHandle): Promise<number> {
  const out = new Out(to);
  let skipped = 0;
  for await (const lines of readLines(handle)) {
    for (const line of lines) {
      if (!line.whole || line.end > size) continue;
      const event = line.tooLong ? null : eventOf(line.bytes);
      if (event === null) skipped++;
      else await out.add(event);
    }
  }
  await out.end();
  return skipped;
}

export async function writeEvents(events: Iterable<unknown>, to: FileHandle): Promise<void> {
  const out = new Out(to);
  for (const event of events) await out.add(event);
  await out.end();
}

class Out {
  readonly #to: FileHandle;
  #text = "";

  constructor(to: FileHandle) {
    this.#to = to;
  }

  async add(event: unknown): Promise<void> {
    this.#text += `${wellFormed(JSON.stringify(event))}\n`;
    if (this.#text.length >= chunkBytes) await this.end();
  }

  async end(): Promise<void> {
    const text = this.#text;
    this.#text = "";
    await this.#to.appendFile(text);
  }
}

/** Half a surrogate pair, which JavaScript's JSON allows and nobody else's does, becomes U+FFFD. */
function wellFormed(json: string): string {
  return json.replaceAll(/\\\\|\\ud[89a-f][0-9a-f]{2}/g, (escape) => (escape === "\\\\" ? escape : "\\ufffd"));
}
