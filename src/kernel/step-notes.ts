/**
 * The environment that direct children of one process were given when they were executed, copied by a small program of ours in that
 * very execve(2), before the first instruction of the new program. A step's name is in the environment
 * that the runner gives its first process, which may have ended, or have executed something else, before anybody can read
 * /proc. Called by the process room.
 *
 * Only the first execve(2) of each process is noted: later ones are the job's own. It is a raw tracepoint (no tracefs), and needs BTF
 * (CONFIG_DEBUG_INFO_BTF, Linux 5.5). What is longer than {@link mostNoted}, or swapped out already, is not noted. Root can detach it.
 */
import { ArrayMap } from "./bpf-maps.ts";
import type { KnownOffsets } from "./btf.ts";
import { Assembler, helpers, trace } from "./ebpf.ts";
import * as libc from "./libc.ts";
import { kernelOffsets } from "./offsets.ts";
import { stepMembers } from "./type-members.ts";

/** Of an environment, bytes. */
const mostNoted = 256 * 1024;
/** By the last bits of the process's number; the runner runs one step at a time. */
const SLOTS = 16;
/** A slot's fields: when, which process by start (the scheduler's clock) and number, how long its environment is, and that. */
const SLOT = { time: 0, started: 8, pid: 16, length: 20, environment: 24 } as const;
const WORD = 8;
const FRAME = { index: -4, started: -16, scratch: -24, count: -32 } as const;
/** The tracepoint's arguments: the task and, in the third, what is executed. */
const ARGUMENT = { task: 0, program: 16 } as const;
type Offsets = Readonly<Record<(typeof stepMembers)[number], number>>;

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

  /** Notes children of `parent` from now on; `known` are offsets that were looked up before. Throws KernelError where the kernel takes no such program. */
  static attach(parent: number, known?: KnownOffsets): StepNotes {
    const offsets = kernelOffsets(stepMembers, known);
    const map = ArrayMap.create(SLOT.environment + mostNoted, SLOTS);
    try {
      return new StepNotes(map, [map.fd, ...trace("sched_process_exec", program(map.fd, parent, offsets))]);
    } catch (error) {
      libc.close(map.fd);
      throw error;
    }
  }

  /** The notes that another thread's object keeps; it closes them. */
  static at(fd: number): StepNotes {
    return new StepNotes(ArrayMap.at(fd, SLOT.environment + mostNoted), []);
  }

  /** What `pid` was given by its first execve(2), if that was after `since` and not after `until` (CLOCK_MONOTONIC, ns). */
  of(pid: number, since: number, until: number): StartNote | null {
    const value = this.#map.get(pid & (SLOTS - 1));
    const time = timeIn(value);
    if (time === 0 || time < since || time > until || value.readUInt32LE(SLOT.pid) !== pid) return null;
    const environment = Buffer.from(
      value.subarray(SLOT.environment, SLOT.environment + value.readUInt32LE(SLOT.length)),
    );
    // Written anew while it was read.
    return timeIn(this.#map.get(pid & (SLOTS - 1))) === time ? { time, environment } : null;
  }

  close(): void {
    for (const fd of this.#held) libc.close(fd);
  }
}

function timeIn(value: Buffer): number {
  return value.readUInt32LE(SLOT.time + 4) * 0x1_0000_0000 + value.readUInt32LE(SLOT.time);
}

/**
 * r6: the tracepoint's arguments, r7: the task, r8: the slot, r9: the process, later its stack. The kernel has furnished that
 * (`create_elf_tables`): how many arguments, their addresses, a zero, those of the environment, a zero; elsewhere the texts, the
 * environment's last, with nothing between them and the program's own name. What lies between all these may not be there yet.
 */
function program(map: number, parent: number, offsets: Offsets): Buffer {
  const code = new Assembler().move(6, 1).load("u64", 7, 6, ARGUMENT.task);
  code.move(3, 7).readKernel(offsets["task_struct.real_parent"], FRAME.scratch).load("u64", 3, 10, FRAME.scratch);
  code
    .readKernel(offsets["task_struct.tgid"], FRAME.scratch)
    .load("u32", 1, 10, FRAME.scratch)
    .ifValue(1, "!=", parent, "out");
  code.call(helpers.pidTgid).move(9, 0).shiftRight(9, 32);
  code
    .move(1, 9)
    .and(1, SLOTS - 1)
    .store("u32", FRAME.index, 1);
  code.map(1, map).frameAddress(2, FRAME.index).call(helpers.lookup).ifValue(0, "=", 0, "out").move(8, 0);
  code.move(3, 7).readKernel(offsets["task_struct.start_time"], FRAME.scratch).load("u64", 1, 10, FRAME.scratch);
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
  code.move(3, 7).readKernel(offsets["linux_binprm.argc"], FRAME.scratch).load("u32", 1, 10, FRAME.scratch);
  code.store("u64", FRAME.count, 1);
  code.move(3, 7).readKernel(offsets["linux_binprm.p"], FRAME.scratch).load("u64", 9, 10, FRAME.scratch);
  // A stack of 64 bits?
  word(code.move(3, 9)).load("u64", 2, 10, FRAME.count).ifSame(1, 2, "wide").jump("out").label("wide");
  word(
    code
      .move(3, 2)
      .shiftLeft(3, 3)
      .add(3, 2 * WORD)
      .addRegister(3, 9),
  )
    .move(9, 1)
    .set(2, 0)
    .ifValue(9, "=", 0, "empty");
  code.move(3, 7).readKernel(offsets["linux_binprm.exec"], FRAME.scratch).load("u64", 2, 10, FRAME.scratch);
  return code
    .subtractRegister(2, 9)
    .label("empty")
    .ifAbove(2, mostNoted, "out")
    .storeAt("u32", 8, SLOT.length, 2)
    .move(1, 8)
    .add(1, SLOT.environment)
    .move(3, 9)
    .call(helpers.readUser)
    .ifValue(0, "!=", 0, "out")
    .call(helpers.monotonic)
    .storeAt("u64", 8, SLOT.time, 0)
    .label("out")
    .exit(0)
    .bytes();
}

/** The word of the program's own memory at r3, into r1. */
function word(code: Assembler): Assembler {
  code.frameAddress(1, FRAME.scratch).set(2, WORD).call(helpers.readUser);
  return code.ifValue(0, "!=", 0, "out").load("u64", 1, 10, FRAME.scratch);
}
