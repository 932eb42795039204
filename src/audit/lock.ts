/**
 * One Sallyport for one state directory. The lock is a file in `<state>/lock/` that says which process holds it; a
 * holder that died without releasing it (kill -9, power cut) is recognised and replaced.
 *
 * Taking a dead holder's place is where lock files usually race: two openers see the same dead holder, and the slower
 * one removes the faster one's new lock. Here nothing that may be current is ever removed. Lock files carry a generation
 * (`1`, `2`, …) and the highest is the lock. An opener that finds the highest dead or released hard-links its own
 * complete file as the next one, which exactly one can do, then lists again: where a higher one is there, its view was
 * old and it backs out. Releasing replaces the content and leaves the file, so generations never go down and a late
 * opener always meets a higher one. Lower ones are removed by the winner.
 *
 * A holder is alive when a process with its pid and its start time (so a reused pid is not it) runs in this boot. A
 * holder in another pid namespace (another container) cannot be looked up; it is alive while it touches its file, every
 * few seconds. The state directory must be on a file system of this machine: two machines sharing one are not told
 * apart. Root can remove the lock; then nothing protects the record but its chain.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { describe } from "./segment.ts";
import { SallyportError } from "../errors.ts";

/** A held lock. `release` may be called more than once. */
export interface StateLock {
  readonly directory: string;
  release(): void;
}

/** Who holds a state directory. */
export interface LockHolder {
  pid: number;
  /** RFC 3339: since when. */
  since: string;
}

interface Owner extends LockHolder {
  /** Start time in clock ticks since boot, field 22 of /proc/PID/stat. */
  start: string;
  boot: string;
  /** The pid namespace, for example `pid:[4026531836]`. */
  namespace: string;
}

const beatMilliseconds = 5000;
/** A holder in another pid namespace that has not touched its file for this long is dead. */
const silentMilliseconds = 30_000;
const attempts = 100;
const held = new Set<string>();
const claimed = new Set<string>();

/**
 * Takes the state directory, making it if need be. STATE_IN_USE with the holder's pid where another process, or another
 * part of this one, has it; STATE_UNWRITABLE where no lock can be made.
 */
export function lockState(directory: string): StateLock {
  try {
    return acquire(directory);
  } catch (error) {
    if (error instanceof SallyportError) throw error;
    throw new SallyportError(
      "STATE_UNWRITABLE",
      `${directory} cannot be locked: ${describe(error)}`,
      { directory },
      error,
    );
  }
}

/** Who holds the state directory now; null where nobody does, or where it cannot be read. */
export function lockHolder(directory: string): LockHolder | null {
  try {
    const folder = lockFolder(directory);
    const highest = generations(folder).at(-1);
    const owner = highest === undefined ? null : readOwner(join(folder, String(highest)));
    if (owner === null || owner === "unknown") return null;
    return isAlive(owner, join(folder, String(highest))) ? { pid: owner.pid, since: owner.since } : null;
  } catch {
    return null;
  }
}

/** True where this process holds the directory's lock. */
export function holdsLock(directory: string): boolean {
  try {
    return held.has(realpathSync(directory));
  } catch {
    return false;
  }
}

/**
 * The right to write the record, for one spool in this process. Stands on the lock this process holds (release that
 * one after the claim), or takes the lock itself. STATE_IN_USE, STATE_UNWRITABLE.
 */
export function claimRecord(directory: string): StateLock {
  const lock = holdsLock(directory) ? null : lockState(directory);
  const real = realpathSync(directory);
  if (claimed.has(real)) {
    const message = `The record in ${directory} is already being written by this process.`;
    throw new SallyportError("STATE_IN_USE", message, { directory, pid: process.pid });
  }
  claimed.add(real);
  return {
    directory,
    release() {
      claimed.delete(real);
      lock?.release();
    },
  };
}

function acquire(directory: string): StateLock {
  const folder = lockFolder(directory);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const real = realpathSync(directory);
  for (let attempt = 0; attempt < attempts; attempt++) {
    const highest = generations(folder).at(-1) ?? 0;
    if (highest > 0 && !isFree(directory, join(folder, String(highest)))) continue;
    const own = highest + 1;
    const path = join(folder, String(own));
    if (!publish(folder, path)) continue;
    const now = generations(folder);
    if (now.at(-1) !== own) {
      remove(path);
      continue;
    }
    for (const lower of now) if (lower < own) remove(join(folder, String(lower)));
    return hold(directory, real, folder, path);
  }
  throw new SallyportError("STATE_IN_USE", `${directory} is being taken by another process.`, { directory });
}

/** True: the lock at `path` is dead or released. False: it changed while being read, look again. Throws STATE_IN_USE. */
function isFree(directory: string, path: string): boolean {
  let owner: Owner | "unknown" | null;
  let alive: boolean;
  try {
    owner = readOwner(path);
    alive = owner !== null && owner !== "unknown" && isAlive(owner, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  if (owner === "unknown") {
    const message = `${path} is not a lock file of ours; remove it if no Sallyport uses ${directory}.`;
    throw new SallyportError("STATE_IN_USE", message, { directory });
  }
  if (owner === null || !alive) return true;
  const message = `Process ${owner.pid} has used ${directory} since ${owner.since}.`;
  throw new SallyportError("STATE_IN_USE", message, { directory, pid: owner.pid });
}

function hold(directory: string, real: string, folder: string, path: string): StateLock {
  held.add(real);
  const beat = setInterval(() => {
    const now = new Date();
    try {
      utimesSync(path, now, now);
    } catch {
      // Removed by root, or a read-only disk: a missed beat matters only to another pid namespace.
    }
  }, beatMilliseconds);
  beat.unref();
  let released = false;
  return {
    directory,
    release() {
      if (released) return;
      released = true;
      clearInterval(beat);
      held.delete(real);
      try {
        const temporary = writeTemporary(folder, { released: true });
        renameSync(temporary, path);
      } catch {
        // A full or read-only disk: the next opener sees that this process is gone.
      }
    },
  };
}

function lockFolder(directory: string): string {
  return join(directory, "lock");
}

/** Generations present, ascending. */
function generations(folder: string): number[] {
  const numbers: number[] = [];
  for (const name of readdirSync(folder)) if (/^[1-9]\d{0,14}$/.test(name)) numbers.push(Number(name));
  return numbers.toSorted((a, b) => a - b);
}

/** Links a complete lock file of this process at `path`; false where that one is taken, or the folder was tidied. */
function publish(folder: string, path: string): boolean {
  const temporary = writeTemporary(folder, self());
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EEXIST" || code === "ENOENT") return false;
    throw error;
  } finally {
    remove(temporary);
  }
}

/** Synchronised before it gets its name, so that no crash leaves a lock file without content. */
function writeTemporary(folder: string, content: object): string {
  const path = join(folder, `new-${process.pid}-${randomBytes(6).toString("hex")}`);
  const fd = openSync(path, "wx", 0o600);
  try {
    writeSync(fd, `${JSON.stringify(content)}\n`);
    fsyncSync(fd);
  } catch (error) {
    remove(path);
    throw error;
  } finally {
    closeSync(fd);
  }
  return path;
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** The owner written in a lock file; null where it was released, "unknown" where it is none of ours. */
function readOwner(path: string): Owner | "unknown" | null {
  try {
    const value = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    if (value["released"] === true) return null;
    const text = ["start", "boot", "namespace", "since"].every((member) => typeof value[member] === "string");
    return text && Number.isSafeInteger(value["pid"]) ? (value as unknown as Owner) : "unknown";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== undefined) throw error;
    return "unknown";
  }
}

function self(): Owner {
  const start = processStart("self");
  if (start === null) throw new Error("/proc/self/stat has no start time");
  return {
    pid: process.pid,
    since: new Date().toISOString(),
    start,
    boot: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    namespace: readlinkSync("/proc/self/ns/pid"),
  };
}

function isAlive(owner: Owner, path: string): boolean {
  const here = self();
  if (owner.boot !== here.boot) return false;
  if (owner.namespace !== here.namespace) return Date.now() - statSync(path).mtimeMs < silentMilliseconds;
  const start = processStart(String(owner.pid));
  return start === null ? isHidden(owner.pid) : start === owner.start;
}

/**
 * Start time of a process, or null where it has none to show: gone, or a zombie (dead, not yet waited for, its files
 * closed). The second field is in parentheses and may itself hold spaces and parentheses: proc(5).
 */
function processStart(pid: string): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

/** True where the process is there but /proc does not show it to us (hidepid): then it counts as alive. */
function isHidden(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return false;
}
