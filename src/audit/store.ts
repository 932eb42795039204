/**
 * The record's files as the spool writes them: batches from the backlog into the newest segment, rotation, seals,
 * durability, the head. One operation at a time, each rejects with the file system's error and may be tried again. What happened to
 * the files is told through `tell`. No timers and no policy: when to write, and what to do when it fails, is `spool.ts`.
 */
import type { Backlog } from "./backlog.ts";
import { genesis } from "./chain.ts";
import type { Link } from "./chain.ts";
import { formatTime } from "./clock.ts";
import type { Clock } from "./clock.ts";
import type { EventBody } from "./event.ts";
import { incident } from "./recover.ts";
import type { Recovery } from "./recover.ts";
import { writeSeal } from "./seal.ts";
import type { ClosedSegment } from "./seal.ts";
import { describe, eventsDirectory, segmentAt, writeHead } from "./segment.ts";
import type { SigningKey } from "./signature.ts";
import { sweepUnfinished } from "./small-file.ts";
import { prepareDirectory, SegmentWriter } from "./writer.ts";

export interface StoreOptions {
  directory: string;
  segmentBytes: number;
  segmentAgeMs: number;
  key: SigningKey | null;
  clock: Clock;
}

export class Store {
  readonly #options: StoreOptions;
  readonly #backlog: Backlog;
  readonly #tell: (body: EventBody) => void;
  #writer: SegmentWriter | null = null;
  /** Hash of the record before the open segment. */
  #before = genesis.hash;
  /** Segments that were closed and have no seal yet; no new one is begun before they do. */
  #unsealed: (ClosedSegment & { key: SigningKey | null })[] = [];
  /** The last record known to be durable, and the bytes of the open segment up to it. */
  #durable = { link: genesis, bytes: 0 };
  #written: Link = genesis;
  #synced: Link = genesis;
  /** The last record that the head on the disk names. */
  #named: Link | null = null;
  #bytes = 0;

  constructor(options: StoreOptions, backlog: Backlog, tell: (body: EventBody) => void) {
    this.#options = options;
    this.#backlog = backlog;
    this.#tell = tell;
  }

  /** Number of the last record known to be durable, and named by the head. */
  get synced(): number {
    return this.#synced.seq;
  }

  get segment(): string | null {
    return this.#writer?.segment.name ?? null;
  }

  /** Bytes written to the record's segments. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes up the record where recovery found its end. */
  async begin({ link, resume, bytes }: Recovery): Promise<void> {
    this.#written = this.#synced = link;
    this.#durable = { link, bytes: resume?.position ?? 0 };
    this.#bytes = bytes;
    await sweepUnfinished(eventsDirectory(this.#options.directory));
    if (resume !== null) {
      const born = resume.born ?? this.#options.clock.now();
      this.#writer = await SegmentWriter.resume(resume.segment, resume.position, born);
      this.#before = resume.prev;
      if (resume.retire) await this.#retire(null);
    }
    try {
      // Before the first segment: from here on a record without a head is a record that somebody took it from.
      await this.#writeHead();
      if (this.#writer === null) await this.#nextSegment(link.seq + 1);
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  /** Brings the backlog's front batch to the file, or takes one step towards it (a rotation). */
  async writeFront(): Promise<void> {
    const batch = this.#backlog.front;
    if (batch === undefined) return;
    if (this.#writer !== null && batch.done === 0 && this.#isFull(this.#writer, batch.bytes.length)) {
      await this.sync();
      await this.#retire();
      return; // the synchronisation may have changed which batch is the front
    }
    this.#writer ??= await this.#nextSegment(batch.first);
    while (batch.done < batch.bytes.length) {
      const taken = await this.#writer.write(batch.bytes, batch.done);
      if (taken === 0) throw new Error("the file takes no more bytes");
      batch.done += taken;
      this.#bytes += taken;
    }
    this.#backlog.wrote();
    this.#written = batch.last;
  }

  /** Makes what is written durable, looks at what has become of the file, and writes the head. */
  async sync(): Promise<void> {
    if (this.#writer !== null && this.#backlog.unconfirmed > 0) {
      try {
        await this.#writer.sync();
      } catch (error) {
        // After a failed fsync the kernel may have dropped the pages and call them clean: the file is not trusted again.
        await this.#writer.cutBack(this.#durable.bytes);
        await this.#abandon(`could not be made durable (${describe(error)})`);
        throw error;
      }
      const problem = await this.#writer.inspect(true);
      if (problem !== null) return await this.#abandon(problem);
      this.#confirm(this.#writer.position);
    }
    await this.#writeHead();
    this.#synced = this.#written;
  }

  /** After a failure: opens the segment anew, or leaves it where it is no longer what it was. */
  async reopen(): Promise<void> {
    const problem = (await this.#writer?.reopen()) ?? null;
    if (problem !== null) await this.#abandon(problem);
  }

  /** Leaves a segment that takes no more: its whole batches stay if they can be made durable, the rest goes to a new one. */
  async leave(problem: string): Promise<void> {
    if (this.#writer === null) return;
    const whole = this.#writer.position - (this.#backlog.front?.done ?? 0);
    try {
      await this.#writer.cutBack(whole);
      await this.#writer.sync();
      this.#confirm(whole);
      this.#synced = this.#written;
    } catch {
      await this.#writer.cutBack(this.#durable.bytes);
    }
    await this.#abandon(problem);
  }

  /**
   * Closes the segment. Never rejects. A signed record is sealed then, so that its end is vouched for and the next start may
   * have another key; where that fails the next start goes on with the segment.
   */
  async close(clean: boolean): Promise<void> {
    if (!clean || this.#options.key === null) return await this.#close();
    await this.#retire();
    await this.#seal().catch(() => {});
  }

  /** Bytes of the record that were deleted. */
  forget(bytes: number): void {
    this.#bytes -= bytes;
  }

  async #close(): Promise<void> {
    await this.#writer?.close();
    this.#writer = null;
  }

  /** Everything written is durable, up to this byte of the segment. */
  #confirm(bytes: number): void {
    this.#durable = { link: this.#written, bytes };
    this.#backlog.confirmed();
  }

  /** Closes the segment for good: what of it is durable will be sealed. */
  async #retire(key = this.#options.key): Promise<void> {
    if (this.#writer === null) return;
    const { segment } = this.#writer;
    const { link: last, bytes } = this.#durable;
    const closed = { segment, last, prev: this.#before, bytes, key };
    if (closed.last.seq >= segment.first) this.#unsealed.push(closed);
    await this.#close();
  }

  /** The head first: it is never behind a seal. */
  async #seal(): Promise<void> {
    if (this.#unsealed.length === 0) return;
    await prepareDirectory(this.#options.directory); // it may have been removed, with the segment
    if (this.#named !== this.#written) await this.#writeHead();
    for (let closed = this.#unsealed[0]; closed !== undefined; closed = this.#unsealed[0]) {
      await writeSeal(this.#options.directory, closed, this.#options.clock.now(), closed.key);
      this.#unsealed.shift();
    }
  }

  #isFull(writer: SegmentWriter, bytes: number): boolean {
    if (writer.position === 0) return false;
    const old = this.#options.clock.now() - writer.born > this.#options.segmentAgeMs * 1000;
    return old || writer.position + bytes > this.#options.segmentBytes;
  }

  async #nextSegment(first: number): Promise<SegmentWriter> {
    const { directory, clock } = this.#options;
    await this.#seal();
    const segment = segmentAt(directory, first);
    const { writer, displaced } = await SegmentWriter.create(directory, segment, clock.now());
    this.#writer = writer;
    this.#before = this.#written.hash;
    this.#durable = { link: this.#written, bytes: 0 };
    if (displaced !== null) {
      this.#tell(incident(`A file stood in the place of segment ${segment.name} and was moved away.`, { displaced }));
    }
    return writer;
  }

  /** The segment is no longer ours: what it had not made durable is written again, and the record says why. */
  async #abandon(problem: string): Promise<void> {
    if (this.#writer === null) return;
    const { segment, position } = this.#writer;
    const data = { segment: segment.name, bytes: position, first: segment.first, last: this.#written.seq };
    await this.#retire();
    this.#bytes -= this.#backlog.unconfirmed + (this.#backlog.front?.done ?? 0);
    this.#backlog.rewind();
    this.#written = this.#durable.link;
    this.#named = null; // the head may have gone the same way
    this.#tell(incident(`Segment ${segment.name} ${problem} while it was being written.`, data));
  }

  async #writeHead(): Promise<void> {
    const { directory, clock, key } = this.#options;
    const written = this.#written;
    await writeHead(directory, { ...written, segment: this.segment, time: formatTime(clock.now()) }, key);
    this.#named = written;
  }
}
