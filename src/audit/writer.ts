/**
 * One open segment: bytes go to known positions, and what the file has become is looked at before it is trusted. A
 * segment that was removed, cut, replaced or written to by someone else while in use is reported, not written on.
 * Called by the spool, one operation at a time.
 */
import { constants } from "node:fs";
import { chmod, lstat, mkdir, open, truncate } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { displace, eventsDirectory, syncDirectory } from "./segment.ts";
import type { Segment } from "./segment.ts";

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;

export class SegmentWriter {
  readonly segment: Segment;
  /** Microseconds: the time of its first record, from which its age is counted. */
  readonly born: number;
  #handle: FileHandle;
  #identity: string;
  /** Bytes of the record in the file; the next byte goes here. */
  #position: number;

  private constructor(segment: Segment, handle: FileHandle, identity: string, position: number, born: number) {
    this.segment = segment;
    this.born = born;
    this.#handle = handle;
    this.#identity = identity;
    this.#position = position;
  }

  get position(): number {
    return this.#position;
  }

  /** Makes a new, empty segment. A file with content that stands there is kept under another name, told in `displaced`. */
  static async create(
    directory: string,
    segment: Segment,
    born: number,
  ): Promise<{ writer: SegmentWriter; displaced: string | null }> {
    await prepareDirectory(directory);
    let displaced: string | null = null;
    for (;;) {
      try {
        const handle = await open(segment.path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
        const writer = await SegmentWriter.#wrap(segment, handle, 0, born);
        await syncDirectory(directory);
        return { writer, displaced };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        const empty = await openEmpty(segment);
        if (empty !== null) return { writer: await SegmentWriter.#wrap(segment, empty, 0, born), displaced };
        displaced = await displace(segment);
      }
    }
  }

  /** Opens a segment whose first `position` bytes are the record, cutting what follows. */
  static async resume(segment: Segment, position: number, born: number): Promise<SegmentWriter> {
    const handle = await open(segment.path, O_WRONLY | O_NOFOLLOW);
    try {
      await handle.chmod(0o600);
      await handle.truncate(position);
      await handle.datasync();
    } catch (error) {
      await handle.close();
      throw error;
    }
    return await SegmentWriter.#wrap(segment, handle, position, born);
  }

  static async #wrap(segment: Segment, handle: FileHandle, position: number, born: number): Promise<SegmentWriter> {
    try {
      return new SegmentWriter(segment, handle, identify(await handle.stat({ bigint: true })), position, born);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Writes what it can of `bytes` from `offset` on; returns how many bytes the file took (a full disk takes fewer). */
  async write(bytes: Buffer, offset: number): Promise<number> {
    const { bytesWritten } = await this.#handle.write(bytes, offset, bytes.length - offset, this.#position);
    this.#position += bytesWritten;
    return bytesWritten;
  }

  /** fdatasync. */
  async sync(): Promise<void> {
    await this.#handle.datasync();
  }

  /** What happened to the file behind our back, in words; null where nothing did. `exact`: nothing may follow our bytes. */
  async inspect(exact: boolean): Promise<string | null> {
    const named = await lstat(this.segment.path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
      throw error;
    });
    if (named === null) return "was removed";
    if (identify(named) !== this.#identity) return "was replaced by another file";
    if (named.size < BigInt(this.#position)) return "was cut";
    if (exact && named.size > BigInt(this.#position)) return "was written to by someone else";
    return null;
  }

  /** After a failed write: opens the file anew and goes on where it was. Returns what {@link inspect} says. */
  async reopen(): Promise<string | null> {
    const problem = await this.inspect(false);
    if (problem !== null) return problem;
    const handle = await open(this.segment.path, O_WRONLY | O_NOFOLLOW);
    await this.close();
    this.#handle = handle;
    return null;
  }

  /** Best effort: cuts the file, where it is still ours, to its first `position` bytes. Never rejects. */
  async cutBack(position: number): Promise<void> {
    try {
      if ((await this.inspect(false)) === null) await truncate(this.segment.path, position);
    } catch {
      // The disk is failing; the record that names the segment stands in the next one.
    }
  }

  /** Closes the file; never rejects. */
  async close(): Promise<void> {
    await this.#handle.close().catch(() => {});
  }
}

/** A segment left empty by a failure, opened; null where something else stands there. */
async function openEmpty(segment: Segment): Promise<FileHandle | null> {
  const found = await lstat(segment.path);
  if (!found.isFile() || found.size > 0 || found.nlink > 1) return null;
  return await open(segment.path, O_WRONLY | O_NOFOLLOW);
}

/** Makes `events/`, closed to everyone else. */
export async function prepareDirectory(directory: string): Promise<void> {
  await mkdir(eventsDirectory(directory), { recursive: true, mode: 0o700 });
  await chmod(eventsDirectory(directory), 0o700);
}

function identify(stats: { dev: bigint; ino: bigint }): string {
  return `${stats.dev}:${stats.ino}`;
}
