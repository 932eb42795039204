/**
 * Sealed lines between memory and the disk: gathered into batches, written, and kept until the disk has confirmed them,
 * so that a file which fails or is taken away can be written again elsewhere. Knows sizes and order; does no I/O.
 *
 * Lines are written at once into memory that was used before: at a hundred megabytes a second fresh pages for each copy would cost
 * the kernel more than hashing costs us.
 */
import type { Link } from "./chain.ts";

/** Lines in one piece. */
export interface Batch {
  readonly bytes: Buffer;
  /** Bytes already in the file. */
  done: number;
  /** Number of the first record, and the last record. */
  readonly first: number;
  readonly last: Link;
  /** Decisions that each line stands for. */
  readonly events: readonly number[];
  /** Where its bytes are. */
  readonly chunk: Chunk;
}

interface Chunk {
  readonly bytes: Buffer;
  used: number;
  /** Batches in it. */
  batches: number;
}

const chunkBytes = 4 * 1024 * 1024;
/** Unused ones that are kept for later. */
const mostSpare = 8;

export class Backlog {
  #chunk: Chunk = newChunk(chunkBytes);
  /** Where the gathered lines begin in it. */
  #begin = 0;
  readonly #spare: Chunk[] = [];
  #linesEvents: number[] = [];
  #last: Link | null = null;
  #queue: Batch[] = [];
  #queueBytes = 0;
  #written: Batch[] = [];
  #writtenBytes = 0;

  /** Bytes held in memory. */
  get held(): number {
    return this.gathered + this.#queueBytes + this.#writtenBytes;
  }

  /** Bytes of lines not yet in a batch. */
  get gathered(): number {
    return this.#chunk.used - this.#begin;
  }

  /** Bytes not yet written. */
  get waiting(): number {
    return this.gathered + this.#queueBytes;
  }

  /** Bytes written and not yet confirmed. */
  get unconfirmed(): number {
    return this.#writtenBytes;
  }

  /** The batch to write next. */
  get front(): Batch | undefined {
    return this.#queue[0];
  }

  /** Adds the line of record `link` (without newline). Records come in order. */
  add(line: string, link: Link, events: number): void {
    // A UTF-16 unit is at most three bytes of UTF-8.
    const most = line.length * 3 + 1;
    if (this.#chunk.used + most > this.#chunk.bytes.length) {
      this.cut();
      this.#release(this.#chunk);
      this.#chunk = (most <= chunkBytes ? this.#spare.pop() : undefined) ?? newChunk(Math.max(chunkBytes, most));
      this.#begin = 0;
    }
    const chunk = this.#chunk;
    chunk.used += chunk.bytes.write(line, chunk.used, "utf8");
    chunk.bytes[chunk.used++] = 10;
    this.#linesEvents.push(events);
    this.#last = link;
  }

  /** Makes a batch of the gathered lines. */
  cut(): void {
    if (this.#last === null) return;
    const chunk = this.#chunk;
    const bytes = chunk.bytes.subarray(this.#begin, chunk.used);
    const first = this.#last.seq - this.#linesEvents.length + 1;
    this.#queue.push({ bytes, done: 0, first, last: this.#last, events: this.#linesEvents, chunk });
    this.#queueBytes += bytes.length;
    chunk.batches++;
    this.#begin = chunk.used;
    this.#linesEvents = [];
    this.#last = null;
  }

  /** The front batch is in the file. */
  wrote(): void {
    const batch = this.#queue.shift();
    if (batch === undefined) return;
    this.#queueBytes -= batch.bytes.length;
    this.#written.push(batch);
    this.#writtenBytes += batch.bytes.length;
  }

  /** Everything written is durable. */
  confirmed(): void {
    this.#forget(this.#written);
    this.#written = [];
    this.#writtenBytes = 0;
  }

  /** Everything unconfirmed is to be written again, from its first byte. */
  rewind(): void {
    this.#queue = [...this.#written, ...this.#queue];
    this.#queueBytes += this.#writtenBytes;
    this.#written = [];
    this.#writtenBytes = 0;
    for (const batch of this.#queue) batch.done = 0;
  }

  /** Gives up what is not written; returns how many decisions that were. Lines that are whole in the file are written. */
  drop(): number {
    this.cut();
    let events = 0;
    for (const { bytes, done, events: each } of this.#queue) {
      let line = 0;
      for (let at = bytes.indexOf(10); at >= 0 && at < done; at = bytes.indexOf(10, at + 1)) line++;
      for (; line < each.length; line++) events += each[line]!;
    }
    this.#forget(this.#queue);
    this.#queue = [];
    this.#queueBytes = 0;
    this.confirmed();
    return events;
  }

  #forget(batches: readonly Batch[]): void {
    for (const { chunk } of batches) {
      chunk.batches--;
      if (chunk !== this.#chunk) this.#release(chunk);
    }
  }

  /** Keeps its memory for later, once no batch is in it. */
  #release(chunk: Chunk): void {
    if (chunk.batches > 0 || chunk.bytes.length !== chunkBytes || this.#spare.length >= mostSpare) return;
    chunk.used = 0;
    this.#spare.push(chunk);
  }
}

function newChunk(bytes: number): Chunk {
  return { bytes: Buffer.allocUnsafeSlow(bytes), used: 0, batches: 0 };
}
