/**
 * Parquet copies of sealed segments, kept between questions. They are a cache and never the evidence: `logs verify` does not
 * look at them, they may be deleted at any time, and one whose name does not say the very segment that is there (its first
 * record, its size, the hash of its last record) is not read and is taken away.
 *
 * Root asks about directories of others, so the folder is opened once, must be a folder of ours that nobody else may write to,
 * and is reached through that open file from then on: what somebody puts in its place changes nothing.
 */
import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { chmod, mkdir, open, realpath, rename, statfs } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { copiesDirectory, removeCopies } from "../audit/copies.ts";
import { SallyportError } from "../errors.ts";
import { layout } from "./columns.ts";
import { pathOf } from "./scratch.ts";
import type { Identity } from "./segments.ts";

/** A segment's events, and their sums (`parts.ts`). */
export type Half = "events" | "sums";

/** What the cache leaves free on its file system: the record is on it. */
const leastFree = 256 * 1024 * 1024;
const leastFreeShare = 0.05;

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

export class Cache {
  readonly #folder: FileHandle;
  readonly #used = new Set<string>();

  private constructor(folder: FileHandle) {
    this.#folder = folder;
  }

  /**
   * Opens the cache of a state directory: `<state>/query`, or a folder for it under `under`. A text where there can be none:
   * why.
   */
  static async open(state: string, under: string | null, keep: (handle: FileHandle) => void): Promise<Cache | string> {
    try {
      const path = under === null ? copiesDirectory(state) : join(under, await keyOf(state));
      // One folder after the other: Node's own recursion never ends below /proc, where nothing can be made.
      for (const each of under === null ? [path] : [under, path]) {
        await mkdir(each, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== "EEXIST") throw error;
        });
      }
      const folder = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      keep(folder);
      const { uid, mode } = await folder.stat();
      if (uid !== process.geteuid!()) return `${path} belongs to somebody else`;
      if ((mode & 0o022) !== 0) return `others may write to ${path}`;
      // A copy has the rights of any new file until it is whole.
      if ((mode & 0o077) !== 0) await folder.chmod(0o700);
      return new Cache(folder);
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** The copy of a segment, open; null where there is none that is whole. */
  async find(identity: Identity, half: Half): Promise<FileHandle | null> {
    const name = nameOf(identity, half);
    this.#used.add(name);
    const handle = await open(this.#path(name), O_RDONLY | O_NOFOLLOW).catch(() => null);
    if (handle === null) return null;
    if (await isWhole(handle)) return handle;
    await handle.close();
    return null;
  }

  /** Whether the disk has room for a segment's copies. */
  async hasRoom({ size }: Identity): Promise<boolean> {
    const { bavail, blocks, bsize } = await statfs(pathOf(this.#folder));
    // They take a tenth of their segment; a quarter is always enough.
    return bavail * bsize - size / 4 >= Math.max(leastFree, blocks * bsize * leastFreeShare);
  }

  /** Where to write a copy before it is {@link adopt}ed. */
  place(): string {
    return this.#path(`tmp-${randomBytes(8).toString("hex")}.parquet`);
  }

  /** Gives a copy that is written its name. Two that copy one segment at once do the same work, and either is good. */
  async adopt(path: string, identity: Identity, half: Half): Promise<FileHandle> {
    await chmod(path, 0o600);
    const handle = await open(path, O_RDONLY | O_NOFOLLOW);
    try {
      await handle.datasync();
      await rename(path, this.#path(nameOf(identity, half)));
    } catch (error) {
      await handle.close();
      throw error;
    }
    return handle;
  }

  /** Takes away copies of what was not asked for: segments that are gone, are not the same, or were copied otherwise. */
  async sweep(): Promise<void> {
    await removeCopies(this.#folder, (name) => !this.#used.has(name));
  }

  /** Takes away all copies; resolves with how many there were. Rejects with the file system's error. */
  async clear(): Promise<number> {
    return await removeCopies(this.#folder, () => true);
  }

  #path(name: string): string {
    return join(pathOf(this.#folder), name);
  }
}

function nameOf({ first, size, head }: Identity, half: Half): string {
  return `events-${String(first).padStart(12, "0")}.${size}.${head.slice(0, 32)}.v${layout}.${half}.parquet`;
}

/**
 * Takes away the copies of state directories, wherever they would be looked for; resolves with how many there were. Rejects with
 * QUERY_FAILED where that cannot be done.
 */
export async function clearCopies(states: readonly string[], under: string | null): Promise<number> {
  let count = 0;
  for (const state of states) {
    const handles: FileHandle[] = [];
    try {
      const cache = await Cache.open(state, under, (handle) => void handles.push(handle));
      if (typeof cache === "string") throw new Error(cache);
      count += await cache.clear();
    } catch (error) {
      const message = `The copies of ${state} cannot be deleted: ${(error as Error).message}`;
      throw new SallyportError("QUERY_FAILED", message, { state }, error);
    } finally {
      for (const handle of handles) await handle.close();
    }
  }
  return count;
}

async function keyOf(state: string): Promise<string> {
  return createHash("sha256")
    .update(await realpath(state))
    .digest("hex")
    .slice(0, 32);
}

const magic = "PAR1";

/** A file of ours that begins and ends as Parquet does: a crash may leave a name with nothing behind it. */
async function isWhole(handle: FileHandle): Promise<boolean> {
  const { size, uid } = await handle.stat();
  if (size < 12 || uid !== process.geteuid!()) return false;
  const ends = Buffer.alloc(12);
  await handle.read(ends, 0, 4, 0);
  await handle.read(ends, 4, 8, size - 8);
  const footer = ends.readUInt32LE(4);
  return ends.toString("latin1", 0, 4) === magic && ends.toString("latin1", 8) === magic && footer + 12 <= size;
}
