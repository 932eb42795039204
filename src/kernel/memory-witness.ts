/**
 * Who opens another process's memory (/proc/PID/{mem,maps,environ,…}, of whichever thread, through whichever mount of procfs and
 * path), reads it by process_vm_readv(2), or takes it over by ptrace(2). A small program at the end of every system call writes
 * down who did it to whom: for an open(2), from the file that the new descriptor is. Called by the process room.
 *
 * Why so: marks of fanotify(7) are for one file of one thread in one mount of procfs, and ptrace(2) opens none. The process
 * connector tells of ptrace(2) alone. Audit rules are one list for the machine, which others change, and tell paths as they were
 * written. Programs at the kernel's functions (fentry, the `bpf` security module) are refused by locked-down kernels, or not
 * switched on in Ubuntu's. A raw tracepoint needs BTF (CONFIG_DEBUG_INFO_BTF, Linux 5.5), which Ubuntu 24.04 has.
 *
 * It costs every system call of the machine some hundred nanoseconds. Not seen: what io_uring opens, 32-bit programs' process_vm_readv
 * and ptrace, and a descriptor taken from somebody by pidfd_getfd(2). It refuses nothing.
 */
import { closeSync, openSync, readlinkSync } from "node:fs";
import { LruMap } from "./bpf-maps.ts";
import type { KnownOffsets } from "./btf.ts";
import { Assembler, helpers, trace } from "./ebpf.ts";
import * as libc from "./libc.ts";
import { kernelOffsets } from "./offsets.ts";
import { memoryMembers, registers } from "./type-members.ts";

/** Files of /proc/PID that show memory, or tell of it. */
const files = ["mem", "maps", "smaps", "smaps_rollup", "numa_maps", "environ", "auxv", "pagemap"] as const;
const calls = { process_vm_readv: 1, process_vm_writev: 2, ptrace: 3 } as const;
export type MemoryWay = (typeof files)[number] | keyof typeof calls;

export interface MemoryLook {
  /** Who did it, and the process or thread that it was done to, in the initial process namespace. */
  pid: number;
  target: number;
  way: MemoryWay;
  /** CLOCK_MONOTONIC of the last time, ns. */
  time: number;
}

const ENTRIES = 4096;
const MOST_DESCRIPTORS = 0xfffff;
const FRAME = { value: -40, key: -32, scratch: -8 } as const;
/** A raw tracepoint's arguments (`sys_exit`): the caller's registers and the call's result. */
const ARGUMENT = { registers: 0, result: 8 } as const;
/** linux/ptrace.h. */
const ATTACH = [16, 0x4206];

/** Numbers of the calls, and where their arguments are in `struct pt_regs`. 32-bit programs' open and openat are among them. */
const abi =
  process.arch === "x64"
    ? {
        open: [2, 257, 437, 5, 295],
        readv: 310,
        writev: 311,
        ptrace: 101,
      }
    : {
        open: [56, 437, 5, 322],
        readv: 270,
        writev: 271,
        ptrace: 117,
      };
/** Of `pt_regs.regs` the second argument is the second word. */
const secondAt = process.arch === "x64" ? 0 : 8;

type Offsets = Readonly<Record<string, number>>;

export class MemoryWitness {
  readonly #map: LruMap;
  readonly #held: readonly number[];
  readonly #ways: ReadonlyMap<bigint, MemoryWay>;

  private constructor(map: LruMap, held: readonly number[], ways: ReadonlyMap<bigint, MemoryWay>) {
    this.#map = map;
    this.#held = held;
    this.#ways = ways;
  }

  /** Whatever is done after this returns is seen; `known` are offsets that were looked up before. Throws KernelError where the kernel cannot. */
  static attach(known?: KnownOffsets): MemoryWitness {
    const offsets = kernelOffsets(memoryMembers, known);
    const map = new LruMap(16, 8, ENTRIES);
    const held = [map.fd];
    try {
      const ways = learn(map, offsets);
      for (const [name, number] of Object.entries(calls)) ways.set(BigInt(number), name as MemoryWay);
      held.push(...trace("sys_exit", program(map, offsets, ways)));
      return new MemoryWitness(map, held, ways);
    } catch (error) {
      for (const fd of held) libc.close(fd);
      throw error;
    }
  }

  /** What was done since the last call, each once; not what a process did to itself, or we. */
  take(): MemoryLook[] {
    return this.#map.take().flatMap(({ key, value }) => {
      const way = this.#ways.get(key.readBigUInt64LE(8));
      const time = value.readUInt32LE(4) * 0x1_0000_0000 + value.readUInt32LE(0);
      return way === undefined ? [] : [{ pid: key.readUInt32LE(0), target: key.readUInt32LE(4), way, time }];
    });
  }

  close(): void {
    for (const fd of this.#held) libc.close(fd);
  }
}

/**
 * Which files are which: the kernel's table of operations that each of them has, found by opening our own. Where two share a
 * table they have one name, the first one's.
 */
function learn(map: LruMap, offsets: Offsets): Map<bigint, MemoryWay> {
  const ways = new Map<bigint, MemoryWay>();
  const held = trace("sys_exit", program(map, offsets, null));
  try {
    for (const name of files) {
      map.take();
      try {
        closeSync(openSync(`/proc/self/${name}`, "r"));
      } catch {
        // Not in this kernel.
        continue;
      }
      const [note] = map.take();
      const table = note?.key.readBigUInt64LE(8) ?? 0n;
      if (table !== 0n && !ways.has(table)) ways.set(table, name);
    }
  } finally {
    for (const fd of held) libc.close(fd);
  }
  if (ways.size === 0) throw new libc.KernelError("bpf program", libc.ENOENT, "it does not see what is opened");
  return ways;
}

/** The number of the thread that asks. */
function thread(): number {
  return Number(readlinkSync("/proc/thread-self").split("/").at(-1));
}

/** `ways` null: notes whatever file of any kind we open ourselves, in this thread. */
function program(map: LruMap, offsets: Offsets, ways: ReadonlyMap<bigint, MemoryWay> | null): Buffer {
  const code = new Assembler().move(6, 1).load("u64", 7, 6, ARGUMENT.result);
  code
    .load("u64", 3, 6, ARGUMENT.registers)
    .readKernel(offsets[registers.number]!, FRAME.scratch)
    .load("u64", 9, 10, FRAME.scratch);
  // 32 bits: the number is an int on arm64.
  code.shiftLeft(9, 32).shiftRight(9, 32);
  for (const each of abi.open) code.ifValue(9, "=", each, "opened");
  if (ways !== null) {
    code
      .ifValue(9, "=", abi.readv, "readv")
      .ifValue(9, "=", abi.writev, "writev")
      .ifValue(9, "=", abi.ptrace, "ptrace");
  }
  code.jump("out").label("opened").ifAbove(7, MOST_DESCRIPTORS, "out");
  code.call(helpers.pidTgid).move(8, 0).shiftRight(8, 32);
  if (ways === null)
    code
      .setWide(1, (BigInt(process.pid) << 32n) | BigInt(thread()))
      .ifSame(0, 1, "ours")
      .jump("out");
  else code.ifValue(8, "=", process.pid, "out");
  code.label("ours").call(helpers.currentTask).move(3, 0);
  for (const each of ["task_struct.files", "files_struct.fdt", "fdtable.fd"] as const) {
    code.readKernel(offsets[each]!, FRAME.scratch).load("u64", 3, 10, FRAME.scratch);
  }
  code.shiftLeft(7, 3).addRegister(3, 7).readKernel(0, FRAME.scratch).load("u64", 9, 10, FRAME.scratch);
  code.move(3, 9).readKernel(offsets["file.f_op"]!, FRAME.scratch).load("u64", 7, 10, FRAME.scratch);
  for (const table of ways?.keys() ?? []) {
    if (table > MOST_CALLS) code.setWide(1, table).ifSame(7, 1, "known");
  }
  if (ways !== null) code.jump("out").label("known");
  code.move(3, 9).readKernel(offsets["file.f_inode"]!, FRAME.scratch).load("u64", 3, 10, FRAME.scratch);
  // The inode lies inside of what procfs keeps of it.
  code
    .readKernel(offsets["proc_inode.pid"]! - offsets["proc_inode.vfs_inode"]!, FRAME.scratch)
    .load("u64", 3, 10, FRAME.scratch);
  code.readKernel(offsets["pid.numbers"]!, FRAME.scratch).load("u32", 9, 10, FRAME.scratch);
  if (ways !== null) {
    code.jump("note");
    code.label("readv").set(7, calls.process_vm_readv).jump("vm");
    code.label("writev").set(7, calls.process_vm_writev).jump("vm");
    code.label("ptrace").ifNegative(7, "out").set(7, calls.ptrace);
    code
      .load("u64", 3, 6, ARGUMENT.registers)
      .readKernel(offsets[registers.first]!, FRAME.scratch)
      .load("u64", 1, 10, FRAME.scratch);
    for (const request of ATTACH) code.ifValue(1, "=", request, "attach");
    code.jump("out").label("attach");
    code
      .load("u64", 3, 6, ARGUMENT.registers)
      .readKernel(offsets[registers.second]! + secondAt, FRAME.scratch)
      .jump("call");
    code.label("vm").load("u64", 1, 6, ARGUMENT.result).ifNegative(1, "out");
    code.load("u64", 3, 6, ARGUMENT.registers).readKernel(offsets[registers.first]!, FRAME.scratch).label("call");
    code.load("u32", 9, 10, FRAME.scratch).call(helpers.pidTgid).move(8, 0).shiftRight(8, 32);
    code.label("note").ifSame(8, 9, "out");
  }
  return code
    .store("u32", FRAME.key, 8)
    .store("u32", FRAME.key + 4, 9)
    .store("u64", FRAME.key + 8, 7)
    .call(helpers.monotonic)
    .store("u64", FRAME.value, 0)
    .map(1, map.fd)
    .frameAddress(2, FRAME.key)
    .frameAddress(3, FRAME.value)
    .set(4, 0)
    .call(helpers.update)
    .label("out")
    .exit(0)
    .bytes();
}

const MOST_CALLS = 16n;
