/**
 * Which program each process executed last, written down by a small program of ours in that very execve(2): who is gone before anybody
 * can read /proc/PID/exe has a program all the same. The path is what was asked for, which another root or mount namespace
 * may give any meaning; the file's device and inode say whether it is the one that stands there for us. Called by the process room.
 *
 * A raw tracepoint; needs BTF (CONFIG_DEBUG_INFO_BTF, Linux 5.5). Root can detach it.
 */
import { realpathSync, statSync } from "node:fs";
import { LruMap } from "./bpf-maps.ts";
import type { KnownOffsets } from "./btf.ts";
import { Assembler, helpers, trace } from "./ebpf.ts";
import * as libc from "./libc.ts";
import { kernelOffsets } from "./offsets.ts";
import { programMembers } from "./type-members.ts";

const ENTRIES = 16_384;
const MOST_PATH = 192;
/** When, which file, and the path with a NUL behind it. */
const VALUE = { time: 0, inode: 8, device: 16, path: 24, size: 24 + MOST_PATH } as const;
const FRAME = { key: -8, scratch: -16, value: -16 - VALUE.size } as const;
/** The tracepoint's third argument. */
const PROGRAM = 16;
type Offsets = Readonly<Record<(typeof programMembers)[number], number>>;

export class ProgramNotes {
  /** For another thread's {@link ProgramNotes.at}. */
  readonly fd: number;
  readonly #map: LruMap;
  readonly #held: readonly number[];

  private constructor(map: LruMap, held: readonly number[]) {
    this.#map = map;
    this.fd = map.fd;
    this.#held = held;
  }

  /** Notes every execve(2) from now on; `known` are offsets that were looked up before. Throws KernelError where the kernel takes no such program. */
  static attach(known?: KnownOffsets): ProgramNotes {
    const offsets = kernelOffsets(programMembers, known);
    const map = new LruMap(4, VALUE.size, ENTRIES);
    try {
      return new ProgramNotes(map, [map.fd, ...trace("sched_process_exec", program(map.fd, offsets))]);
    } catch (error) {
      map.close();
      throw error;
    }
  }

  /** The notes that another thread's object keeps; it closes them. */
  static at(fd: number): ProgramNotes {
    return new ProgramNotes(LruMap.at(fd, 4, VALUE.size, ENTRIES), []);
  }

  /**
   * The program that `pid` executed last, if that was after `since` and not after `until` (CLOCK_MONOTONIC, ns): its path, where the
   * file that stands there is the one that it runs. Null where that cannot be said.
   */
  of(pid: number, since: number, until: number): string | null {
    const value = this.#map.get((key) => key.writeUInt32LE(pid));
    if (value === null) return null;
    const time = value.readUInt32LE(VALUE.time + 4) * 0x1_0000_0000 + value.readUInt32LE(VALUE.time);
    if (time < since || time > until || value[VALUE.path] !== 0x2f) return null;
    const end = value.indexOf(0, VALUE.path);
    if (end < 0 || end >= VALUE.size - 1) return null;
    try {
      const path = realpathSync(value.toString("utf8", VALUE.path, end));
      const { ino, dev } = statSync(path, { bigint: true });
      const isSame = ino === value.readBigUInt64LE(VALUE.inode) && dev === deviceOf(value.readUInt32LE(VALUE.device));
      return isSame ? path : null;
    } catch {
      return null;
    }
  }

  close(): void {
    for (const fd of this.#held) libc.close(fd);
  }
}

/** The kernel's number of a device as stat(2) gives it. */
function deviceOf(kernel: number): bigint {
  const [major, minor] = [kernel >>> 20, kernel & 0xfffff];
  return BigInt(minor & 0xff) | (BigInt(major) << 8n) | (BigInt(minor & ~0xff) << 12n);
}

/** r7: what is executed, r8: the file's inode. */
function program(map: number, offsets: Offsets): Buffer {
  const code = new Assembler().load("u64", 7, 1, PROGRAM);
  for (let at = 0; at < VALUE.size; at += 8) code.storeValue("u64", FRAME.value + at, 0);
  code.move(3, 7).readKernel(offsets["linux_binprm.file"], FRAME.scratch).load("u64", 3, 10, FRAME.scratch);
  code.readKernel(offsets["file.f_inode"], FRAME.scratch).load("u64", 8, 10, FRAME.scratch);
  code.move(3, 8).readKernel(offsets["inode.i_ino"], FRAME.scratch).load("u64", 1, 10, FRAME.scratch);
  code.store("u64", FRAME.value + VALUE.inode, 1);
  code.move(3, 8).readKernel(offsets["inode.i_sb"], FRAME.scratch).load("u64", 3, 10, FRAME.scratch);
  code.readKernel(offsets["super_block.s_dev"], FRAME.scratch).load("u32", 1, 10, FRAME.scratch);
  code.store("u32", FRAME.value + VALUE.device, 1);
  code.move(3, 7).readKernel(offsets["linux_binprm.interp"], FRAME.scratch).load("u64", 3, 10, FRAME.scratch);
  return code
    .frameAddress(1, FRAME.value + VALUE.path)
    .set(2, MOST_PATH)
    .call(helpers.readKernelText)
    .call(helpers.monotonic)
    .store("u64", FRAME.value + VALUE.time, 0)
    .call(helpers.pidTgid)
    .shiftRight(0, 32)
    .store("u32", FRAME.key, 0)
    .map(1, map)
    .frameAddress(2, FRAME.key)
    .frameAddress(3, FRAME.value)
    .set(4, 0)
    .call(helpers.update)
    .exit(0)
    .bytes();
}
