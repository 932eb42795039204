/**
 * Runs a program to its end by posix_spawn(3) instead of Node's `child_process`. libuv forks, and fork(2) copies the page tables of
 * everything this process has mapped, after which each of its threads faults on every page that it writes to: 10 to 30 ms for an `iptables-save` of
 * 2 ms, at the very moment a job waits for its rules. The C library's call shares them until the program runs.
 *
 * Besides `libc.ts` the only file that imports koffi. Called by `commands.ts`.
 */
import { fstatSync, readSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import koffi from "koffi";
import * as libc from "./libc.ts";

const library = koffi.load(null);

const native = {
  memfdCreate: library.func("int memfd_create(str, uint32_t)"),
  actionsInit: library.func("int posix_spawn_file_actions_init(void *)"),
  actionsDup2: library.func("int posix_spawn_file_actions_adddup2(void *, int, int)"),
  actionsDestroy: library.func("int posix_spawn_file_actions_destroy(void *)"),
  attributesInit: library.func("int posix_spawnattr_init(void *)"),
  attributesFlags: library.func("int posix_spawnattr_setflags(void *, short)"),
  attributesDefault: library.func("int posix_spawnattr_setsigdefault(void *, const void *)"),
  attributesDestroy: library.func("int posix_spawnattr_destroy(void *)"),
  spawn: library.func("int posix_spawn(void *, str, const void *, const void *, const void *, const void *)"),
  pidfdOpen: library.func("long syscall(long, long, long)"),
  waitpid: library.func("int waitpid(int, void *, int)"),
};

const MFD_CLOEXEC = 0x1;
const MFD_NOEXEC_SEAL = 0x8;
const SYS_pidfd_open = 434;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
/** Room for `posix_spawn_file_actions_t` (80 bytes in glibc) and `posix_spawnattr_t` (336). */
const STRUCTURE = 512;
const allSignals = Buffer.alloc(128, 0xff);
const POLLFD = 8;
/** How long a wait is at most before it is seen how much the program has said, ms. */
const sliceMs = 100;

export interface Ended {
  /** Exit code; null where a signal ended it. */
  status: number | null;
  /** Of the signal that ended it; null where it exited. */
  signal: number | null;
  stdout: string;
  stderr: string;
}

export type SpawnDefect = "timeout" | "too-much-output";

export interface SpawnOptions {
  /** All of standard input; a file in memory, so that no program waits for us nor we for it. */
  input: string;
  environment: readonly string[];
  /** Milliseconds before it is killed, with all of its session that stayed in its process group. */
  timeout: number;
  /** Bytes of standard output and of standard error. */
  maxOutput: number;
}

/** The program while it runs. Its descriptors are closed, and it is waited for, by {@link Child.end}, which its starter must call. */
class Child {
  readonly pid: number;
  /** A `struct pollfd` for the end of the process. */
  readonly #ending = Buffer.alloc(POLLFD);
  #hasEnded = false;
  readonly #descriptor: number;
  readonly #files: readonly [number, number, number];
  readonly #maxOutput: number;

  constructor(path: string, args: readonly string[], options: SpawnOptions) {
    this.#maxOutput = options.maxOutput;
    const files: number[] = [];
    try {
      for (const name of ["stdin", "stdout", "stderr"]) files.push(memoryFile(name));
      writeAll(files[0]!, options.input);
      this.pid = spawn(path, args, options.environment, files);
    } catch (error) {
      // Not Node's `closeSync`: in a worker thread it warns of what Node has not opened.
      files.forEach((file) => libc.close(file));
      throw error;
    }
    this.#files = [files[0]!, files[1]!, files[2]!];
    // Nobody else waits for our child, so the number is its own until we do.
    this.#descriptor = native.pidfdOpen(SYS_pidfd_open, this.pid, 0);
    if (this.#descriptor < 0) {
      const errno = koffi.errno();
      this.#abandon();
      throw new libc.KernelError("pidfd_open", errno);
    }
    this.#ending.writeInt32LE(this.#descriptor, 0);
    this.#ending.writeUInt16LE(libc.POLLIN, 4);
  }

  /** Waits for up to so many milliseconds. True where there is nothing more to wait for: it has ended, or says more than it may. */
  isOver(milliseconds: number): boolean {
    if (libc.poll(this.#ending, 1, milliseconds) > 0) return (this.#hasEnded = true);
    return this.#saysTooMuch();
  }

  /** What has become of it. A program that still runs is killed. */
  end(): Ended | SpawnDefect {
    try {
      if (!this.#hasEnded) this.#kill();
      const wait = waitpid(this.pid);
      if (this.#saysTooMuch()) return "too-much-output";
      if (!this.#hasEnded) return "timeout";
      const signal = wait & 0x7f;
      const [, stdout, stderr] = this.#files;
      return {
        status: signal === 0 ? (wait >> 8) & 0xff : null,
        signal: signal === 0 ? null : signal,
        stdout: readAll(stdout),
        stderr: readAll(stderr),
      };
    } finally {
      libc.close(this.#descriptor);
      this.#files.forEach((file) => libc.close(file));
    }
  }

  #saysTooMuch(): boolean {
    const [, stdout, stderr] = this.#files;
    return fstatSync(stdout).size + fstatSync(stderr).size > this.#maxOutput;
  }

  #kill(): void {
    try {
      process.kill(-this.pid, "SIGKILL");
    } catch {
      // It has ended, and waits to be waited for.
    }
  }

  #abandon(): void {
    this.#kill();
    waitpid(this.pid);
    this.#files.forEach((file) => libc.close(file));
  }
}

/**
 * Runs the program at `path` to its end, in the network namespace of this thread. Blocks. Throws KernelError where it cannot be run.
 * `args` begins with the name it is called by.
 */
export function spawnToEnd(path: string, args: readonly string[], options: SpawnOptions): Ended | SpawnDefect {
  const child = new Child(path, args, options);
  const deadline = performance.now() + options.timeout;
  for (;;) {
    const left = deadline - performance.now();
    // Interrupted by a signal it is asked again: that is nothing to end a tool for.
    if (child.isOver(Math.max(0, Math.min(sliceMs, Math.ceil(left)))) || left <= 0) return child.end();
  }
}

/**
 * The same while the event loop goes on. Asked for by a timer: one of Node's four helper threads would be kept from all others for as long
 * as a program runs, and a process that exits would wait for it. Rejects where the program cannot be run.
 */
export async function spawnAside(
  path: string,
  args: readonly string[],
  options: SpawnOptions,
): Promise<Ended | SpawnDefect> {
  const child = new Child(path, args, options);
  const began = performance.now();
  for (;;) {
    const passed = performance.now() - began;
    if (child.isOver(0) || passed >= options.timeout) return child.end();
    // Tools end within milliseconds; one that does not is asked less often.
    await sleep(Math.min(sliceMs, Math.max(1, passed / 16)));
  }
}

/** The child's number. In a session of its own, with default signals, none blocked, and no descriptors but `first`. */
function spawn(
  path: string,
  args: readonly string[],
  environment: readonly string[],
  first: readonly number[],
): number {
  const actions = Buffer.alloc(STRUCTURE);
  const attributes = Buffer.alloc(STRUCTURE);
  const pid = Buffer.alloc(4);
  const argv = new StringVector(args);
  const envp = new StringVector(environment);
  succeeded(native.actionsInit(actions), "posix_spawn_file_actions_init");
  try {
    succeeded(native.attributesInit(attributes), "posix_spawnattr_init");
    try {
      // dup2(2) takes close-on-exec off; everything else of ours has it.
      first.forEach((fd, i) => succeeded(native.actionsDup2(actions, fd, i), "posix_spawn_file_actions_adddup2"));
      // The mask stays as it was made: empty. What Node ignores (SIGPIPE) its children must not.
      const flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID;
      succeeded(native.attributesFlags(attributes, flags), "posix_spawnattr_setflags");
      succeeded(native.attributesDefault(attributes, allSignals), "posix_spawnattr_setsigdefault");
      // C reads by addresses, which keep nothing alive.
      read.add(argv).add(envp);
      succeeded(native.spawn(pid, path, actions, attributes, argv.addresses, envp.addresses), "posix_spawn");
      return pid.readInt32LE();
    } finally {
      read.delete(argv);
      read.delete(envp);
      native.attributesDestroy(attributes);
    }
  } finally {
    native.actionsDestroy(actions);
  }
}

/** What a call in progress reads. */
const read = new Set<StringVector>();

/** Strings as C wants them: their addresses, ended by a null. To be kept for as long as somebody reads by the addresses. */
class StringVector {
  readonly addresses: Buffer;
  readonly strings: readonly Buffer[];

  constructor(strings: readonly string[]) {
    const bad = strings.find((each) => each.includes("\0"));
    if (bad !== undefined) throw new RangeError(`an argument holds a null character: ${JSON.stringify(bad)}`);
    this.strings = strings.map((each) => Buffer.from(`${each}\0`));
    this.addresses = Buffer.alloc(8 * (strings.length + 1));
    this.strings.forEach((each, i) => this.addresses.writeBigUInt64LE(libc.addressOf(each), 8 * i));
  }
}

/** For calls that return the error instead of setting errno. */
function succeeded(errno: number, call: string): void {
  if (errno !== 0) throw new libc.KernelError(call, errno);
}

/** The wait status of a child that has ended, or will at once, as in wait(2). */
function waitpid(pid: number): number {
  const status = Buffer.alloc(4);
  while (native.waitpid(pid, status, 0) < 0) {
    const errno = koffi.errno();
    if (errno !== constants.errno.EINTR) throw new libc.KernelError("waitpid", errno);
  }
  return status.readInt32LE();
}

/** A new, empty file in memory. */
function memoryFile(name: string): number {
  // Hardened machines refuse one that could be executed (sysctl vm.memfd_noexec); kernels before 6.3 do not know the flag.
  for (const flags of [MFD_CLOEXEC | MFD_NOEXEC_SEAL, MFD_CLOEXEC]) {
    const fd: number = native.memfdCreate(name, flags);
    if (fd >= 0) return fd;
    const errno = koffi.errno();
    if (errno !== constants.errno.EINVAL) throw new libc.KernelError("memfd_create", errno);
  }
  throw new libc.KernelError("memfd_create", constants.errno.EINVAL);
}

/** Written by position, so that whoever reads begins at the start. */
function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, at);
}

function readAll(fd: number): string {
  const bytes = Buffer.allocUnsafe(fstatSync(fd).size);
  let at = 0;
  while (at < bytes.length) {
    const count = readSync(fd, bytes, at, bytes.length - at, at);
    if (count === 0) break;
    at += count;
  }
  return bytes.toString("utf8", 0, at);
}
