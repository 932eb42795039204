/**
 * What a program was given when it was executed, for direct children of one process: its arguments and its environment, copied by
 * a small program of ours in that very execve(2), before the first instruction of the new program. A step's name is in the environment
 * that the runner gives its first process, which may have ended, or have executed something else, before anybody can read
 * /proc. Called by the process room.
 *
 * Only the first execve(2) of each process is noted: later ones are the job's own. It is a raw tracepoint (no tracefs), and needs BTF
 * (CONFIG_DEBUG_INFO_BTF, Linux 5.5). What is longer than {@link mostNoted}, or swapped out already, is not noted. Root can detach it.
 */
import { ArrayMap } from "./bpf-maps.ts";
import { kernelOffsets } from "./btf.ts";
import { Assembler, helpers, trace } from "./ebpf.ts";
import * as libc from "./libc.ts";

/** All that a program finds on its stack, bytes: mostly its arguments and environment. */
const mostNoted = 256 * 1024;
/** By the last bits of the process's number; the runner runs one step at a time. */
const SLOTS = 16;
/**
 * A slot's fields: when, which process by start (the scheduler's clock) and number, where its stack was, how many arguments and bytes;
 * then the stack, as the kernel furnished it (`create_elf_tables`): how many arguments, their addresses, a zero, those of the
 * environment, a zero, and at the very end the texts.
 */
const SLOT = { time: 0, started: 8, base: 16, pid: 24, count: 28, length: 32, stack: 40 } as const;
const WORD = 8;
const FRAME = { index: -4, started: -16, scratch: -24 } as const;
/** The tracepoint's arguments: the task and, in the third, what is executed. */
const ARGUMENT = { task: 0, program: 16 } as const;
const members = [
  "task_struct.real_parent",
  "task_struct.tgid",
  "task_struct.start_time",
  "linux_binprm.p",
  "linux_binprm.exec",
  "linux_binprm.argc",
] as const;

/** What one process was started with. */
export interface StartNote {
  /** CLOCK_MONOTONIC, ns. */
  time: number;
  /** `NAME=value` texts, each with a NUL behind it. */
  environment: Buffer;
}

export class StepNotes {
  /** For another thread's {@link StepNotes.at}. */
  readonly fd: number;
  readonly #map: ArrayMap;
  readonly #held: readonly number[];

  private constructor(map: ArrayMap, held: readonly number[]) {
    this.#map = map;
    this.fd = map.fd;
    this.#held = held;
  }

  /** Notes children of `parent` from now on. Throws KernelError where the kernel takes no such program. */
  static attach(parent: number): StepNotes {
    const offsets = kernelOffsets(members);
    const map = ArrayMap.create(SLOT.stack + mostNoted, SLOTS);
    try {
      return new StepNotes(map, [map.fd, ...trace("sched_process_exec", program(map.fd, parent, offsets))]);
    } catch (error) {
      libc.close(map.fd);
      throw error;
    }
  }

  /** The notes that another thread's object keeps; it closes them. */
  static at(fd: number): StepNotes {
    return new StepNotes(ArrayMap.at(fd, SLOT.stack + mostNoted), []);
  }

  /** What `pid` was given by its first execve(2), if that was after `since` and not after `until` (CLOCK_MONOTONIC, ns). */
  of(pid: number, since: number, until: number): StartNote | null {
    const value = this.#map.get(pid & (SLOTS - 1));
    const time = timeIn(value);
    if (time === 0 || time < since || time > until || value.readUInt32LE(SLOT.pid) !== pid) return null;
    const note = Buffer.from(value.subarray(0, SLOT.stack + value.readUInt32LE(SLOT.length)));
    // Written anew while it was read.
    if (timeIn(this.#map.get(pid & (SLOTS - 1))) !== time) return null;
    const environment = environmentIn(note);
    return environment === null ? null : { time, environment };
  }

  close(): void {
    for (const fd of this.#held) libc.close(fd);
  }
}

function timeIn(value: Buffer): number {
  return value.readUInt32LE(SLOT.time + 4) * 0x1_0000_0000 + value.readUInt32LE(SLOT.time);
}

/** Null where it is no stack of 64 bits. */
function environmentIn(note: Buffer): Buffer | null {
  const stack = note.subarray(SLOT.stack);
  const count = note.readUInt32LE(SLOT.count);
  const first = WORD * (count + 2);
  if (stack.length < first + WORD || stack.readBigUInt64LE(0) !== BigInt(count)) return null;
  const at = stack.readBigUInt64LE(first);
  if (at === 0n) return Buffer.alloc(0);
  const offset = at - note.readBigUInt64LE(SLOT.base);
  return offset > 0n && offset < BigInt(stack.length) ? stack.subarray(Number(offset)) : null;
}

/** r6: the tracepoint's arguments, r7: the task, r8: the slot, r9: the process, later its stack. */
function program(map: number, parent: number, offsets: Readonly<Record<(typeof members)[number], number>>): Buffer {
  const code = new Assembler().move(6, 1).load("u64", 7, 6, ARGUMENT.task);
  read(code.move(3, 7), offsets["task_struct.real_parent"]).load("u64", 3, 10, FRAME.scratch);
  read(code, offsets["task_struct.tgid"]).load("u32", 1, 10, FRAME.scratch).ifValue(1, "!=", parent, "out");
  code.call(helpers.pidTgid).move(9, 0).shiftRight(9, 32);
  code.move(1, 9).and(1, SLOTS - 1).store("u32", FRAME.index, 1);
  code.map(1, map).frameAddress(2, FRAME.index).call(helpers.lookup).ifValue(0, "=", 0, "out").move(8, 0);
  read(code.move(3, 7), offsets["task_struct.start_time"]).load("u64", 1, 10, FRAME.scratch);
  code
    .store("u64", FRAME.started, 1)
    .load("u64", 2, 8, SLOT.started)
    .ifSame(1, 2, "same")
    .jump("note")
    .label("same")
    .load("u32", 2, 8, SLOT.pid)
    // Not its first one.
    .ifSame(2, 9, "out")
    .label("note")
    .set(2, 0)
    .storeAt("u64", 8, SLOT.time, 2)
    .storeAt("u32", 8, SLOT.pid, 9)
    .storeAt("u64", 8, SLOT.started, 1)
    .load("u64", 7, 6, ARGUMENT.program);
  read(code.move(3, 7), offsets["linux_binprm.argc"]).load("u32", 1, 10, FRAME.scratch);
  code.storeAt("u32", 8, SLOT.count, 1);
  read(code.move(3, 7), offsets["linux_binprm.p"]).load("u64", 9, 10, FRAME.scratch);
  code.storeAt("u64", 8, SLOT.base, 9);
  // The texts end where the program's own name begins.
  read(code.move(3, 7), offsets["linux_binprm.exec"]).load("u64", 2, 10, FRAME.scratch);
  return code
    .subtractRegister(2, 9)
    .ifAbove(2, mostNoted, "out")
    .storeAt("u32", 8, SLOT.length, 2)
    .move(1, 8)
    .add(1, SLOT.stack)
    .move(3, 9)
    .call(helpers.readUser)
    .ifValue(0, "!=", 0, "out")
    .call(helpers.monotonic)
    .storeAt("u64", 8, SLOT.time, 0)
    .label("out")
    .exit(0)
    .bytes();
}

/** Eight bytes at r3 and an offset into the frame; zeros where there is nothing to read. */
function read(code: Assembler, offset: number): Assembler {
  return code.add(3, offset).frameAddress(1, FRAME.scratch).set(2, 8).call(helpers.readKernel);
}
