/**
 * Keeps our own files as they are while the job runs: the action's folder belongs to the runner's user, and whoever replaces
 * its `post` decides whether the job is green (threat R8).
 *
 * The folder is mounted over itself, read only. A mount point cannot be renamed or removed, but a folder above it can: those up
 * to a folder that also holds the work tree are mounted over themselves, too. Not that one: renaming and linking across mounts
 * fails, and package managers link from a cache into the work tree. That it stays where it is, is
 * watched, and a job in which it does not is ended ({@link OwnFiles.onMoved}).
 */
import { createHash } from "node:crypto";
import { closeSync, type FSWatcher, lstatSync, openSync, readdirSync, readSync, statSync, watch } from "node:fs";
import { dirname, join } from "node:path";
import { KernelError } from "../kernel/libc.ts";
import { makeReadOnly, mountOverItself, unmountLazily } from "../kernel/mounts.ts";

interface Seen {
  /** Device, inode and, of a file, size and times: none of it can be set by anybody but root. */
  identity: string;
  digest: string | null;
}

const mostFiles = 10_000;

export class OwnFiles {
  readonly #seen = new Map<string, Seen>();
  readonly #mounts: string[] = [];
  readonly #watchers: FSWatcher[] = [];
  /** What could not be protected, in words. */
  readonly unprotected: string[] = [];

  /** `paths` are folders or files; `apart` is the work tree, whose folders are left as they are. */
  constructor(paths: readonly string[], apart: string | null) {
    for (const path of paths) {
      const guarded = foldersAbove(path).filter((each) => apart === null || !isWithin(apart, each));
      // From the top down: a mount hides what was mounted below it before.
      for (const folder of guarded) this.#mount(folder, false);
      this.#mount(path, true);
      for (const folder of foldersAbove(path)) this.#seen.set(folder, { identity: placeOf(folder), digest: null });
      for (const file of filesIn(path)) this.#seen.set(file, { identity: identityOf(file), digest: digestOf(file) });
    }
  }

  /** What is not as it was, in words. `thorough` reads the files again, whatever their times say. */
  changes(thorough: boolean): string[] {
    const changes: string[] = [];
    for (const [path, { identity, digest }] of this.#seen) {
      try {
        if (digest === null) {
          if (placeOf(path) !== identity) changes.push(`${path} is another folder than before`);
        } else if (identityOf(path) !== identity || (thorough && digestOf(path) !== digest)) {
          changes.push(`${path} was changed`);
        }
      } catch (error) {
        changes.push(`${path} cannot be looked at: ${(error as Error).message}`);
      }
    }
    return changes;
  }

  /**
   * Calls back as soon as a folder above that is no mount point is renamed or removed: what is at our path then is not ours, and
   * there is no time to wait for the next round.
   */
  onMoved(moved: (path: string) => void): void {
    for (const [path, { digest, identity }] of this.#seen) {
      if (digest !== null || this.#mounts.includes(path)) continue;
      const look = () => {
        if (this.#seen.has(path) && !isThere(path, identity)) moved(path);
      };
      const watcher = watch(dirname(path), { persistent: false }, look);
      watcher.on("error", look);
      this.#watchers.push(watcher);
    }
  }

  /** Takes the mounts away: the runner clears its folders before its next job. */
  release(): void {
    for (const watcher of this.#watchers.splice(0)) watcher.close();
    for (const path of this.#mounts.splice(0).toReversed()) {
      try {
        unmountLazily(path);
      } catch {
        // Somebody else did already.
      }
    }
    this.#seen.clear();
  }

  #mount(path: string, readOnly: boolean): void {
    if (this.#mounts.includes(path)) return;
    try {
      mountOverItself(path);
      this.#mounts.push(path);
      if (readOnly) makeReadOnly(path);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      this.unprotected.push(`${path} cannot be mounted over itself: ${error.message}`);
    }
  }
}

/** Folders above `path`, from the top down, that somebody else than root could rename or replace. */
function foldersAbove(path: string): string[] {
  const folders: string[] = [];
  for (let at = dirname(path); at !== "/"; at = dirname(at)) {
    const { uid, mode } = statSync(dirname(at));
    const isSticky = (mode & 0o1000) !== 0;
    if (uid !== 0 || ((mode & 0o022) !== 0 && !isSticky)) folders.unshift(at);
  }
  return folders;
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** Of a folder only which one it is: what is in it may change. */
function placeOf(path: string): string {
  const { ino } = lstatSync(path);
  return String(ino);
}

function isThere(path: string, identity: string): boolean {
  try {
    return placeOf(path) === identity;
  } catch {
    return false;
  }
}

function identityOf(path: string): string {
  const { dev, ino, size, mode, uid, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
  return [dev, ino, size, mode, uid, mtimeNs, ctimeNs].join(" ");
}

/** One that is read again and again is always in the processor's cache; a fresh one for each file costs a page fault for every 4 kB. */
const chunk = Buffer.alloc(64 * 1024);

/** BLAKE2b: as strong as SHA-256, and five times as fast where the processor has nothing for either. */
function digestOf(path: string): string {
  const hash = createHash("blake2b512");
  const file = openSync(path, "r");
  try {
    for (let read = 1; read > 0;) {
      read = readSync(file, chunk, 0, chunk.length, null);
      hash.update(chunk.subarray(0, read));
    }
  } finally {
    closeSync(file);
  }
  return hash.digest("base64");
}

function filesIn(path: string): string[] {
  const stat = lstatSync(path);
  if (stat.isFile()) return [path];
  if (!stat.isDirectory()) return [];
  const files: string[] = [];
  const folders = [path];
  for (let folder = folders.pop(); folder !== undefined && files.length < mostFiles; folder = folders.pop()) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name !== "node_modules" && entry.name !== ".git")
        folders.push(join(folder, entry.name));
      else if (entry.isFile()) files.push(join(folder, entry.name));
    }
  }
  return files;
}
