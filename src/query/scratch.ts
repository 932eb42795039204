/**
 * A private directory for the time of one question, and files in it that have no name: opened, unlinked, and from then on
 * reached as `/proc/PID/fd/N`. A process that is killed leaves an empty directory and nothing of the record.
 */
import { constants } from "node:fs";
import { mkdir, mkdtemp, open, rm, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class Scratch {
  readonly directory: string;
  /** What DuckDB may fill. */
  readonly spill: string;
  readonly #handles: FileHandle[] = [];
  #files = 0;

  private constructor(directory: string) {
    this.directory = directory;
    this.spill = join(directory, "spill");
  }

  static async make(): Promise<Scratch> {
    const scratch = new Scratch(await mkdtemp(join(tmpdir(), "sallyport-query-")));
    await mkdir(scratch.spill, { mode: 0o700 });
    return scratch;
  }

  /** A new file without a name, to write and to read. */
  async file(): Promise<FileHandle> {
    const path = this.path();
    const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const handle = await open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    await unlink(path);
    return this.keep(handle);
  }

  /** The path of a file that does not exist yet. */
  path(): string {
    return join(this.directory, String(++this.#files));
  }

  /** Keeps a file open until the end: its path is good for as long. */
  keep(handle: FileHandle): FileHandle {
    this.#handles.push(handle);
    return handle;
  }

  async remove(): Promise<void> {
    for (const handle of this.#handles.splice(0)) await handle.close().catch(() => {});
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Where open files are found. Not by way of `self`, which DuckDB resolves in one place and not in another. */
export const openFiles = `/proc/${process.pid}/fd`;

/** The path of an open file, whatever has become of its name. */
export function pathOf(handle: FileHandle): string {
  return `${openFiles}/${handle.fd}`;
}
