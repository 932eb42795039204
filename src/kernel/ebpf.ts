/**
 * Programs of the kernel's own virtual machine (bpf(2)): an assembler for the few instructions that ours are made of, loading, and
 * attaching to a cgroup or a raw tracepoint. Their tables are in `bpf-maps.ts`. Called by the witnesses of this room.
 *
 * Everything is held by descriptors: when the process ends, however it ends, the kernel detaches and forgets.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import * as libc from "./libc.ts";

const PROG_LOAD = 5;
const TRACEPOINT_OPEN = 17;
const LINK_CREATE = 28;

/** Sizes of loads and stores, as bits of their operation codes. */
const SIZES = { u32: 0x00, u64: 0x18 } as const;
export type Size = keyof typeof SIZES;
/** Registers; r10 is the frame's top. r1 to r5 are lost in calls, r0 is a call's result. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;
const FRAME = 10;
export const helpers = {
  lookup: 1,
  update: 2,
  monotonic: 5,
  pidTgid: 14,
  loadBytes: 26,
  currentTask: 35,
  socketCookie: 46,
  readUser: 112,
  readKernel: 113,
  readKernelText: 115,
} as const;

/** Writes instructions one after another; jumps go forward, to labels. */
export class Assembler {
  readonly #code: number[][] = [];
  readonly #jumps: { at: number; label: string }[] = [];
  readonly #labels = new Map<string, number>();

  move(to: Register, from: Register): this {
    return this.#put(0xbf, to, from, 0, 0);
  }

  set(to: Register, value: number): this {
    return this.#put(0xb7, to, 0, 0, value);
  }

  add(to: Register, value: number): this {
    return this.#put(0x07, to, 0, 0, value);
  }

  addRegister(to: Register, from: Register): this {
    return this.#put(0x0f, to, from, 0, 0);
  }

  subtractRegister(to: Register, from: Register): this {
    return this.#put(0x1f, to, from, 0, 0);
  }

  and(to: Register, bits: number): this {
    return this.#put(0x57, to, 0, 0, bits);
  }

  shiftLeft(to: Register, bits: number): this {
    return this.#put(0x67, to, 0, 0, bits);
  }

  shiftRight(to: Register, bits: number): this {
    return this.#put(0x77, to, 0, 0, bits);
  }

  /** From network order. */
  swap(to: Register, bits: 16 | 32): this {
    return this.#put(0xdc, to, 0, 0, bits);
  }

  load(size: Size, to: Register, from: Register, offset: number): this {
    return this.#put(0x61 | SIZES[size], to, from, offset, 0);
  }

  /** Into the frame. */
  store(size: Size, offset: number, from: Register): this {
    return this.storeAt(size, FRAME, offset, from);
  }

  storeAt(size: Size, to: Register, offset: number, from: Register): this {
    return this.#put(0x63 | SIZES[size], to, from, offset, 0);
  }

  storeValue(size: Size, offset: number, value: number): this {
    return this.#put(0x62 | SIZES[size], FRAME, 0, offset, value | 0);
  }

  frameAddress(to: Register, offset: number): this {
    return this.move(to, FRAME).add(to, offset);
  }

  setWide(to: Register, value: bigint): this {
    this.#put(0x18, to, 0, 0, Number(BigInt.asIntN(32, value)));
    return this.#put(0, 0, 0, 0, Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** Eight bytes of the kernel's memory, at r3 and an offset, into the frame; zeros where there is nothing to read. */
  readKernel(offset: number, into: number): this {
    return this.add(3, offset).frameAddress(1, into).set(2, 8).call(helpers.readKernel);
  }

  map(to: Register, fd: number): this {
    this.#put(0x18, to, 1, 0, fd);
    return this.#put(0, 0, 0, 0, 0);
  }

  call(helper: number): this {
    return this.#put(0x85, 0, 0, 0, helper);
  }

  ifValue(register: Register, is: "=" | "!=", value: number, label: string): this {
    this.#jumps.push({ at: this.#code.length, label });
    return this.#put(is === "=" ? 0x15 : 0x55, register, 0, 0, value);
  }

  /** As an unsigned number: a negative one is above all. */
  ifAbove(register: Register, value: number, label: string): this {
    this.#jumps.push({ at: this.#code.length, label });
    return this.#put(0x25, register, 0, 0, value);
  }

  ifNegative(register: Register, label: string): this {
    this.#jumps.push({ at: this.#code.length, label });
    return this.#put(0xc5, register, 0, 0, 0);
  }

  ifSame(register: Register, other: Register, label: string): this {
    this.#jumps.push({ at: this.#code.length, label });
    return this.#put(0x1d, register, other, 0, 0);
  }

  jump(label: string): this {
    this.#jumps.push({ at: this.#code.length, label });
    return this.#put(0x05, 0, 0, 0, 0);
  }

  label(name: string): this {
    this.#labels.set(name, this.#code.length);
    return this;
  }

  /** Ends the program with a result. */
  exit(result: number): this {
    return this.set(0, result).#put(0x95, 0, 0, 0, 0);
  }

  bytes(): Buffer {
    for (const { at, label } of this.#jumps) this.#code[at]![3] = this.#labels.get(label)! - at - 1;
    const bytes = Buffer.alloc(this.#code.length * 8);
    this.#code.forEach(([code, to, from, offset, value], i) => {
      bytes[i * 8] = code!;
      bytes[i * 8 + 1] = to! | (from! << 4);
      bytes.writeInt16LE(offset!, i * 8 + 2);
      bytes.writeInt32LE(value!, i * 8 + 4);
    });
    return bytes;
  }

  #put(code: number, to: number, from: number, offset: number, value: number): this {
    this.#code.push([code, to, from, offset, value]);
    return this;
  }
}

/** Where a program is attached: its type, and the place in a cgroup. */
export interface Hook {
  type: number;
  attach: number;
}

const LOG = 64 * 1024;
const RAW_TRACEPOINT = 17;

/** Loads a program and attaches it to a cgroup; the descriptors that hold it there. Throws KernelError. */
export function attach(hook: Hook, code: Buffer, cgroup: number): number[] {
  const program = load(hook, code, "Apache-2.0");
  const link = Buffer.alloc(16);
  [program, cgroup, hook.attach, 0].forEach((value, i) => link.writeUInt32LE(value, i * 4));
  return linked(program, libc.bpf(LINK_CREATE, link));
}

/**
 * Loads a program and attaches it to a tracepoint by its name, for the whole machine. The kernel lets only a program that is
 * offered under the GPL as well read its memory: whatever is given here is. Throws KernelError.
 */
export function trace(tracepoint: string, code: Buffer): number[] {
  const program = load({ type: RAW_TRACEPOINT, attach: 0 }, code, "Dual MIT/GPL");
  const name = Buffer.from(`${tracepoint}\0`);
  const open = Buffer.alloc(16);
  open.writeBigUInt64LE(libc.addressOf(name), 0);
  open.writeUInt32LE(program, 8);
  return linked(program, libc.bpf(TRACEPOINT_OPEN, open));
}

function linked(program: number, link: number): number[] {
  if (link >= 0) return [link, program];
  libc.close(program);
  throw new libc.KernelError("bpf link", -link);
}

function load(hook: Hook, code: Buffer, terms: string): number {
  const license = Buffer.from(`${terms}\0`);
  const log = Buffer.alloc(LOG);
  const attributes = Buffer.alloc(72);
  attributes.writeUInt32LE(hook.type, 0);
  attributes.writeUInt32LE(code.length / 8, 4);
  attributes.writeBigUInt64LE(libc.addressOf(code), 8);
  attributes.writeBigUInt64LE(libc.addressOf(license), 16);
  attributes.write("sallyport", 48, "latin1");
  attributes.writeUInt32LE(hook.attach, 68);
  const program = libc.bpf(PROG_LOAD, attributes);
  if (program >= 0) return program;
  // Once more, to hear why.
  attributes.writeUInt32LE(1, 24);
  attributes.writeUInt32LE(log.length, 28);
  attributes.writeBigUInt64LE(libc.addressOf(log), 32);
  const again = libc.bpf(PROG_LOAD, attributes);
  if (again >= 0) return again;
  const why = log.toString("latin1", 0, Math.max(0, log.indexOf(0))).trim();
  throw new libc.KernelError("bpf program", -again, why.slice(-400));
}

/** Where the unified cgroup hierarchy is mounted, by `/proc/self/mountinfo`; null: nowhere. */
export function unifiedCgroup(mountInfo = readFileSync("/proc/self/mountinfo", "utf8")): string | null {
  for (const line of mountInfo.split("\n")) {
    const [before, after] = line.split(" - ");
    if (after?.startsWith("cgroup2 ") === true) return before!.split(" ")[4] ?? null;
  }
  return null;
}

/** Runs `use` with the descriptor of a folder. */
export function withFolder<T>(path: string, use: (fd: number) => T): T {
  const fd = openSync(path, "r");
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}
