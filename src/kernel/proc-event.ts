/**
 * The process connector's messages (linux/cn_proc.h, linux/connector.h): who forked, executed, changed identity and ended.
 * Pure bytes; called by `proc-connector.ts`.
 */

/** cn_msg before the event. */
export const CN_HEADER = 20;
/** The connector's name of the process events: id and value of a `cb_id`, and the multicast group. */
export const CN_IDX_PROC = 1;
const CN_VAL_PROC = 1;

const NONE = 0;
const FORK = 0x1;
const EXEC = 0x2;
const UID = 0x4;
const EXIT = 0x80000000;
/** Bytes of the event before its union, and in it by kind. */
const EVENT = 16;
const UNION: Readonly<Record<number, number>> = { [NONE]: 4, [FORK]: 16, [EXEC]: 8, [UID]: 16, [EXIT]: 16 };

/**
 * One event. `pid` is what users call a process (the kernel's tgid), `tid` the thread. `time` is CLOCK_MONOTONIC in
 * nanoseconds (after 104 days of uptime rounded to 2 ns), `status` what wait(2) would give of it.
 */
export type ProcEvent = Origin &
  (
    | { kind: "listening"; errno: number }
    | { kind: "fork"; pid: number; tid: number; parent: number; parentTid: number }
    | { kind: "exec"; pid: number; tid: number }
    | { kind: "uid"; pid: number; tid: number; real: number; effective: number }
    | { kind: "exit"; pid: number; tid: number; status: number }
    | { kind: "other" }
  );

export interface Origin {
  /** The CPU that told it, and that CPU's count of events; an answer to LISTEN has neither (0xffffffff). */
  cpu: number;
  sequence: number;
  time: number;
}

/**
 * The event in `bytes[start, end)`, where `start` is the first byte after nlmsghdr; null where it is not one, or not whole.
 * Kinds that say nothing here (group, session, ptrace, comm, core dump) are `other`: they still count in the sequence.
 */
export function readProcEvent(bytes: Buffer, start: number, end: number): ProcEvent | null {
  const at = start + CN_HEADER;
  if (start < 0 || end > bytes.length || end - at < EVENT) return null;
  if (bytes.readUInt32LE(start) !== CN_IDX_PROC || bytes.readUInt32LE(start + 4) !== CN_VAL_PROC) return null;
  const what = bytes.readUInt32LE(at);
  const body = at + EVENT;
  const origin: Origin = {
    cpu: bytes.readUInt32LE(at + 4),
    sequence: bytes.readUInt32LE(start + 8),
    time: bytes.readUInt32LE(at + 12) * 0x1_0000_0000 + bytes.readUInt32LE(at + 8),
  };
  if (end - body < (UNION[what] ?? 0)) return null;
  const word = (i: number) => bytes.readUInt32LE(body + 4 * i);
  switch (what) {
    case NONE:
      return { kind: "listening", ...origin, errno: word(0) };
    case FORK:
      return { kind: "fork", ...origin, parentTid: word(0), parent: word(1), tid: word(2), pid: word(3) };
    case EXEC:
      return { kind: "exec", ...origin, tid: word(0), pid: word(1) };
    case UID:
      return { kind: "uid", ...origin, tid: word(0), pid: word(1), real: word(2), effective: word(3) };
    case EXIT:
      return { kind: "exit", ...origin, tid: word(0), pid: word(1), status: word(2) };
    default:
      return { kind: "other", ...origin };
  }
}

/** Counts events that never came, by the sequence numbers of each CPU. */
export class SequenceWatch {
  /** Events missing so far. */
  missing = 0;
  readonly #next = new Map<number, number>();

  /** Takes an event's origin; false where events of its CPU before it are missing. */
  follows({ cpu, sequence }: Origin): boolean {
    if (cpu === 0xffffffff) return true;
    const expected = this.#next.get(cpu);
    this.#next.set(cpu, (sequence + 1) >>> 0);
    if (expected === undefined || expected === sequence) return true;
    const ahead = (sequence - expected) >>> 0;
    // Far behind is not a jump ahead: somebody counts from elsewhere. It is still not what should follow.
    this.missing += ahead < 0x8000_0000 ? ahead : 1;
    return false;
  }

  /** Expects nothing any more: what is missing now was told otherwise. */
  forget(): void {
    this.#next.clear();
  }
}
