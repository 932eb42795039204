/**
 * Sealed lines between memory and the disk: gathered into batches, written, and kept until the disk has confirmed them,
 * so that a file which fails or is taken away can be written again elsewhere. Knows sizes and order; does no I/O.
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
}

export class Backlog {
  #lines: string[] = [];
  #linesBytes = 0;
  #linesEvents: number[] = [];
  #last: Link | null = null;
  #queue: Batch[] = [];
  #queueBytes = 0;
  #written: Batch[] = [];
  #writtenBytes = 0;

  /** Bytes held in memory. */
  get held(): number {
    return this.#linesBytes + this.#queueBytes + this.#writtenBytes;
  }

  /** Bytes of lines not yet in a batch. */
  get gathered(): number {
    return this.#linesBytes;
  }

  /** Bytes not yet written. */
  get waiting(): number {
    return this.#linesBytes + this.#queueBytes;
  }

  /** Bytes written and not yet confirmed. */
  get unconfirmed(): number {
    return this.#writtenBytes;
  }

  /** The batch to write next. */
  get front(): Batch | undefined {
    return this.#queue[0];
  }

  /** Adds the line of record `link` (without newline), `bytes` long with it. Records come in order. */
  add(line: string, bytes: number, link: Link, events: number): void {
    this.#lines.push(line);
    this.#linesBytes += bytes;
    this.#linesEvents.push(events);
    this.#last = link;
  }

  /** Makes a batch of the gathered lines. */
  cut(): void {
    if (this.#last === null) return;
    const bytes = Buffer.from(`${this.#lines.join("\n")}\n`);
    const first = this.#last.seq - this.#lines.length + 1;
    this.#queue.push({ bytes, done: 0, first, last: this.#last, events: this.#linesEvents });
    this.#queueBytes += bytes.length;
    this.#lines = [];
    this.#linesBytes = 0;
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
    this.#written = [];
    this.#writtenBytes = 0;
  }

  /** Everything unconfirmed is to be written again, from its first byte. */
  rewind(): void {
    this.#queue = [...this.#written, ...this.#queue];
    this.#queueBytes += this.#writtenBytes;
    this.confirmed();
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
    this.#queue = [];
    this.#queueBytes = 0;
    this.confirmed();
    return events;
  }
}
