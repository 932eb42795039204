/**
 * Which program each process executed last, written down by a small program of ours in that very execve(2): who is gone before anybody
 * can read /proc/PID/exe has a program all the same. The path is what was asked for, which another root or mount namespace
 * may give any meaning; the file's device and inode say whether it is the one that stands there for us. And the arguments, as far as
 * they fit: a command of a millisecond that changes the firewall is known by them alone. Called by the process room.
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

const ENTRIES = 8_192;
const MOST_PATH = 192;
/** Bytes; a frame has 512 for everything. */
const MOST_ARGUMENTS = 240;
/** When, which file, how long all the arguments are, the path with a NUL behind it, and the arguments' beginning. */
const VALUE = {
  ...{ time: 0, inode: 8, device: 16, length: 20, path: 24, arguments: 24 + MOST_PATH },
  size: 24 + MOST_PATH + MOST_ARGUMENTS,
} as const;
const FRAME = { key: -8, scratch: -16, value: -16 - VALUE.size } as const;
const WORD = 8;
/** The tracepoint's third argument. */
const PROGRAM = 16;
type Offsets = Readonly<Record<(typeof programMembers)[number], number>>;

/** What one execve(2) was. */
export interface ProgramNote {
  /** Where the file that stands there for us is the one that runs; null where that cannot be said. */
  path: string | null;
  /** Each with a NUL behind it; the beginning, where `isCut`. Empty where they could not be read. */
  arguments: string;
  isCut: boolean;
}

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

  /** What `pid` executed last, if that was after `since` and not after `until` (CLOCK_MONOTONIC, ns); null where it was not. */
  of(pid: number, since: number, until: number): ProgramNote | null {
    const value = this.#map.get((key) => key.writeUInt32LE(pid));
    if (value === null) return null;
    const time = value.readUInt32LE(VALUE.time + 4) * 0x1_0000_0000 + value.readUInt32LE(VALUE.time);
    if (time < since || time > until) return null;
    const length = value.readUInt32LE(VALUE.length);
    const noted = Math.min(length, MOST_ARGUMENTS);
    return {
      path: pathIn(value),
      arguments: value.toString("utf8", VALUE.arguments, VALUE.arguments + noted),
      isCut: length > noted,
    };
  }

  close(): void {
    for (const fd of this.#held) libc.close(fd);
  }
}

/** Null where the file that stands there for us is another one. */
function pathIn(value: Buffer): string | null {
  const end = value.indexOf(0, VALUE.path);
  if (value[VALUE.path] !== 0x2f || end < 0 || end >= VALUE.arguments - 1) return null;
  try {
    const path = realpathSync(value.toString("utf8", VALUE.path, end));
    const { ino, dev } = statSync(path, { bigint: true });
    const isSame = ino === value.readBigUInt64LE(VALUE.inode) && dev === deviceOf(value.readUInt32LE(VALUE.device));
    return isSame ? path : null;
  } catch {
    return null;
  }
}

/** The kernel's number of a device as stat(2) gives it. */
function deviceOf(kernel: number): bigint {
  const [major, minor] = [kernel >>> 20, kernel & 0xfffff];
  return BigInt(minor & 0xff) | (BigInt(major) << 8n) | (BigInt(minor & ~0xff) << 12n);
}

/**
 * r7: what is executed, r8: the file's inode, then where the arguments' texts begin, r9: the stack as the kernel has furnished it (see
 * `step-notes.ts`): how many arguments, their addresses, a zero, those of the environment; the texts of both lie one after the other.
 */
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
  code
    .frameAddress(1, FRAME.value + VALUE.path)
    .set(2, MOST_PATH)
    .call(helpers.readKernelText);
  noteArguments(code, offsets);
  return code
    .label("noted")
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

/** What cannot be read is noted as nothing. */
function noteArguments(code: Assembler, offsets: Offsets): void {
  code.move(3, 7).readKernel(offsets["linux_binprm.p"], FRAME.scratch).load("u64", 9, 10, FRAME.scratch);
  code.move(3, 7).readKernel(offsets["linux_binprm.argc"], FRAME.scratch).load("u32", 8, 10, FRAME.scratch);
  // A stack of 64 bits?
  word(code.move(3, 9)).ifSame(1, 8, "wide").jump("noted").label("wide");
  // Where the environment begins; without one, the program's name does.
  word(
    code
      .move(3, 8)
      .shiftLeft(3, 3)
      .add(3, 2 * WORD)
      .addRegister(3, 9),
  )
    .ifValue(1, "!=", 0, "end")
    .move(3, 7)
    .readKernel(offsets["linux_binprm.exec"], FRAME.scratch)
    .label("end")
    .load("u64", 8, 10, FRAME.scratch);
  word(code.move(3, 9).add(3, WORD)).move(9, 1).move(2, 8).subtractRegister(2, 9);
  // More than 2 MiB of arguments, or none, is no stack that we know.
  code.ifAbove(2, 0x20_0000, "noted").move(8, 2).ifAbove(2, MOST_ARGUMENTS, "cut").jump("whole");
  code.label("cut").set(2, MOST_ARGUMENTS).label("whole");
  code
    .frameAddress(1, FRAME.value + VALUE.arguments)
    .move(3, 9)
    .call(helpers.readUser)
    .ifValue(0, "!=", 0, "noted");
  code.store("u32", FRAME.value + VALUE.length, 8);
}

/** The word of the program's own memory at r3, into r1. */
function word(code: Assembler): Assembler {
  code.frameAddress(1, FRAME.scratch).set(2, WORD).call(helpers.readUser);
  return code.ifValue(0, "!=", 0, "noted").load("u64", 1, 10, FRAME.scratch);
}
