/**
 * The process tree as events tell it: who is alive, who forked whom, who belongs to which step, and who has just ended. Pure but
 * for what it is given to look at a process with. The order of events is the kernel's; what /proc says meanwhile may be later.
 */
import { Askers } from "./askers.ts";
import {
  type Ancestor,
  type Past,
  type ProcessImage,
  type ProcessRecord,
  recordBounds,
  type StepTag,
  unseen,
} from "./record.ts";
import { type StepEnvironment, Steps } from "./steps.ts";
import { isWorker } from "./worker.ts";

/** How the tree looks at a process. */
export interface Eyes {
  /** The process as it is now; null where none with this number started before `before` (ns) exists. */
  image(pid: number, before: number): ProcessImage | null;
  /** CLOCK_MONOTONIC, ns. */
  now(): number;
  /** Variables of its initial environment that name the step, as it is now. */
  environment(pid: number): StepEnvironment;
  /** The same as the kernel noted them at its first exec after `since` and until `time` (ns); null where it has no such note. */
  told(pid: number, since: number, time: number): StepEnvironment | null;
  /** What it executed last, after `since` and until `time` (ns), as the kernel noted it: a file of ours, with what; null: not noted. */
  program(pid: number, since: number, time: number): Pick<ProcessImage, "exe" | "args"> | null;
  /** Steps of those who are connected to container engines while `pid` runs `exe`; null: not known, or it does no more. */
  askers(pid: number, exe: string | null): readonly (StepTag | null)[] | null;
}

/** A process as a scan of /proc met it. */
export interface Met extends ProcessImage {
  pid: number;
  parent: number;
  /** ns, to within 10 ms. */
  startedAt: number;
  threads: number;
  /** When they were counted, ns. */
  countedAt: number;
}

type Entry = { -readonly [Key in keyof ProcessRecord]: ProcessRecord[Key] } & {
  threads: number;
  /** What a scan counted at this time (ns) has earlier events in it. */
  countedAt: number;
  /** How its children name it; renewed when it executes. */
  self: Ancestor;
  /** What it executed last is the kernel's note of that very exec, not what /proc showed after it. */
  isNoted: boolean;
};

/** A start time from /proc may be off by one tick, and the two clocks by another. */
const TICKS = 30e6;
const noPast: readonly Past[] = [];

export class ProcessTree {
  /** Processes not kept because there were too many. */
  overflow = 0;
  readonly #eyes: Eyes;
  readonly #steps = new Steps();
  readonly #askers = new Askers();
  readonly #living = new Map<number, Entry>();
  /** Oldest first. */
  readonly #ended = new Map<number, Entry[]>();
  readonly #endedOrder: Entry[] = [];
  #endedFrom = 0;
  #runner = new Set<number>();
  #listeners: ReadonlySet<number> = new Set();
  #worker = 0;
  /** What the first worker runs; null: not known. */
  #program: string | null = null;

  constructor(eyes: Eyes) {
    this.#eyes = eyes;
  }

  get size(): { living: number; ended: number } {
    return { living: this.#living.size, ended: this.#endedOrder.length - this.#endedFrom };
  }

  /** The worker whose children are steps, and the processes above it that are the runner's own. Before anything else is told. */
  setRunner(worker: number, listeners: readonly number[]): void {
    this.#worker = worker;
    this.#listeners = new Set(listeners);
    this.#runner = new Set([worker, ...listeners]);
  }

  /** Whether it is the runner's worker or listener itself. */
  isRunner(record: ProcessRecord): boolean {
    return this.#runner.has(record.pid) && record.endedAt === null;
  }

  fork(pid: number, tid: number, parent: number, time: number): void {
    const known = this.#living.get(pid);
    if (tid !== pid) {
      if (known !== undefined && time > known.countedAt) known.threads++;
      return;
    }
    // A scan met it before its event was read: it is this one, but only the event knows who forked it.
    const met = known !== undefined && Math.abs(known.startedAt - time) < TICKS && known.startedAt !== time;
    if (known !== undefined && !met) this.#end(known, time);
    if (met && known.parent === parent) {
      known.startedAt = time;
      return;
    }
    const from = this.#living.get(parent);
    const image = met ? known : (from ?? unseen);
    this.#add({
      pid,
      startedAt: time,
      ...imageIn(image),
      ...this.#place(pid, parent, from),
      threads: met ? known.threads : 1,
      countedAt: met ? known.countedAt : 0,
    });
    if (met && parent === this.#worker) this.#name(pid, time);
  }

  exec(pid: number, time: number): void {
    const entry = this.#living.get(pid) ?? this.#unforked(pid, time);
    if (time < entry.seenAt) this.#seenTooLate(entry);
    entry.seenAt = this.#eyes.now();
    const since = entry.past.at(-1)?.until ?? entry.startedAt;
    const seen = this.#eyes.image(pid, time);
    // Who has ended and is not collected yet is there still, and shows nothing.
    const noted = seen === null || seen.exe === null ? this.#noted(since, time, entry, seen) : null;
    entry.isNoted = noted !== null;
    entry.past = [...entry.past, { image: imageIn(entry), until: time }].slice(-recordBounds.past);
    const { container } = entry;
    Object.assign(entry, noted ?? seen ?? { ...unseen, uid: entry.uid, container });
    entry.self = { pid, exe: entry.exe };
    if (entry.step === null)
      entry.asked = this.#askers.executed(entry, container, () => this.#eyes.askers(pid, entry.exe));
    if (this.#isNextWorker(entry, time)) this.#nextJob(pid);
    this.#name(pid, time);
  }

  /**
   * The listener started a worker: the next job of a runner that stays. It starts none while one lives; what is its child meanwhile, where it
   * takes in orphans, was made by a step (CLONE_PARENT), and so is what runs another program of that name.
   */
  #isNextWorker({ exe, parent }: Entry, time: number): boolean {
    if (!isWorker(exe) || !this.#listeners.has(parent) || !this.#runner.has(parent)) return false;
    if (this.#program !== null && exe !== this.#program) return false;
    // Its end may not have been heard.
    return this.#worker === 0 || this.#eyes.image(this.#worker, time) === null;
  }

  #nextJob(pid: number): void {
    this.#worker = pid;
    this.#runner.add(pid);
    this.#steps.nextWorker();
  }

  setUid(pid: number, tid: number, uid: number): void {
    const entry = this.#living.get(pid);
    // A thread may have a user of its own; the process is who its first thread is.
    if (entry !== undefined && tid === pid) entry.uid = uid;
  }

  exit(pid: number, time: number): void {
    const entry = this.#living.get(pid);
    // Earlier than its scan: a thread that was not counted, or the end of the number's last holder.
    if (entry === undefined || time < entry.countedAt) return;
    if (--entry.threads <= 0) this.#end(entry, time);
  }

  /** Takes in what a scan met; `complete` is false where events were lost before it. Parents come before children. */
  meet(met: Met, complete: boolean): void {
    const known = this.#living.get(met.pid);
    if (known !== undefined && Math.abs(known.startedAt - met.startedAt) < TICKS) {
      Object.assign(known, imageIn(met), { threads: met.threads, countedAt: met.countedAt, seenAt: met.countedAt });
      return;
    }
    if (known !== undefined) this.#end(known, met.startedAt);
    const from = this.#living.get(met.parent);
    const place = this.#place(met.pid, met.parent, from);
    // Its parent may be who took it in when its own had ended: then nobody knows whose it was.
    const placed = place.placed && (complete || place.step !== null || this.#runner.has(met.parent));
    const { pid, startedAt, threads, countedAt } = met;
    if (pid === this.#worker) this.#program = met.exe;
    this.#add({ pid, startedAt, threads, countedAt, ...imageIn(met), ...place, placed });
    // What still runs the worker's own program has not executed its own yet.
    if (!complete) this.#steps.lost(pid);
    else if (met.exe !== this.#living.get(this.#worker)?.exe) this.#name(pid, startedAt);
  }

  /** Events were lost: a scan has to follow. */
  lost(): void {
    this.#steps.lost();
  }

  /** Of those that started before `time`, the ones that are not among the processes which exist have ended. */
  keepOnly(existing: ReadonlySet<number>, time: number): void {
    for (const entry of this.#living.values()) {
      if (!existing.has(entry.pid) && entry.startedAt < time) this.#end(entry, time);
    }
  }

  /** Forgets what ended long ago. */
  sweep(now: number): void {
    while (this.#endedFrom < this.#endedOrder.length) {
      const oldest = this.#endedOrder[this.#endedFrom]!;
      const many = this.#endedOrder.length - this.#endedFrom > recordBounds.ended;
      if (!many && now - oldest.endedAt! < recordBounds.endedFor) break;
      this.#endedFrom++;
      const rest = this.#ended.get(oldest.pid)!.filter((each) => each !== oldest);
      if (rest.length === 0) this.#ended.delete(oldest.pid);
      else this.#ended.set(oldest.pid, rest);
    }
    if (this.#endedFrom <= 1024) return;
    this.#endedOrder.splice(0, this.#endedFrom);
    this.#endedFrom = 0;
  }

  /** The process that has this number now. */
  get(pid: number): ProcessRecord | null {
    return this.#living.get(pid) ?? null;
  }

  /**
   * The process that had this number at `time` (ns) as it was then, if it is still remembered: who connects and then executes
   * another program must not pass for that program.
   */
  at(pid: number, time: number): ProcessRecord | null {
    const entry = this.#holder(pid, time);
    const past = entry?.past.find(({ until }) => time < until);
    if (entry === null || past === undefined) return entry;
    // Of what it was before the oldest that is remembered nothing is known.
    const forgotten = past === entry.past[0] && entry.past.length === recordBounds.past;
    return { ...entry, ...(forgotten ? { ...unseen, uid: past.image.uid } : past.image) };
  }

  #holder(pid: number, time: number): Entry | null {
    const living = this.#living.get(pid);
    if (living !== undefined && living.startedAt <= time) return living;
    const ended = this.#ended.get(pid)?.findLast((each) => each.startedAt <= time + TICKS);
    // Who was there then, before whoever came in a moment after it.
    if (ended !== undefined && ended.startedAt <= time && ended.endedAt! >= time) return ended;
    if (living !== undefined && living.startedAt <= time + TICKS) return living;
    return ended !== undefined && ended.endedAt! >= time - TICKS ? ended : null;
  }

  /** Steps that have ended since the last call. */
  takeEndedSteps(): StepTag[] {
    return this.#steps.takeEnded();
  }

  /** The last process of this number that has ended. */
  lastEnded(pid: number): ProcessRecord | null {
    return this.#ended.get(pid)?.at(-1) ?? null;
  }

  /** Living processes, the newest first. */
  newestFirst(): ProcessRecord[] {
    return [...this.#living.values()].toReversed();
  }

  /**
   * It was looked at after it had executed the next program already: what was seen was that one, and what it was before is not
   * known; nor is what those are that it had forked meanwhile.
   */
  #seenTooLate(entry: Entry): void {
    const { args } = entry;
    // A note is of the very exec that it was asked for.
    if (args === unseen.args || entry.isNoted) return;
    for (const each of [...this.#living.values(), ...this.#endedOrder]) {
      if (each.args === args) Object.assign(each, { ...unseen, uid: each.uid }, { self: { pid: each.pid, exe: null } });
    }
  }

  /** Gone already: that it runs its parent's program is known to be wrong. Null where nothing was noted. */
  #noted(since: number, time: number, { pid, uid, container }: Entry, seen: ProcessImage | null): ProcessImage | null {
    const noted = this.#eyes.program(pid, since, time);
    if (noted === null) return null;
    return { uid: seen?.uid ?? uid, container: seen?.container ?? container, ...noted, native: noted.exe !== null };
  }

  #name(pid: number, time: number): void {
    const since = (this.#living.get(pid)?.startedAt ?? time) - TICKS;
    this.#steps.executed(pid, time, this.#eyes.now(), {
      told: () => this.#eyes.told(pid, since, time),
      read: () => this.#eyes.environment(pid),
    });
  }

  #place(
    pid: number,
    parent: number,
    from: Entry | undefined,
  ): Pick<Entry, "parent" | "ancestors" | "step" | "asked" | "placed"> {
    const child = parent === this.#worker && parent !== 0;
    const step = child ? this.#steps.forked(pid) : (from?.step ?? null);
    const above = from === undefined ? [] : [from.self, ...from.ancestors].slice(0, recordBounds.ancestors);
    // Without its parent the tree does not know where it stands; process 0 is the kernel.
    const asked = step === null ? (from?.asked ?? null) : null;
    return { parent, ancestors: above, step, asked, placed: child || (from?.placed ?? parent === 0) };
  }

  #unforked(pid: number, time: number): Entry {
    const place = { parent: 0, ancestors: [], step: null, asked: null, placed: false };
    return this.#add({ pid, startedAt: time, ...unseen, ...place, threads: 1, countedAt: 0 });
  }

  #add(part: Omit<Entry, "self" | "endedAt" | "past" | "seenAt" | "isNoted">): Entry {
    const entry: Entry = {
      ...part,
      isNoted: false,
      endedAt: null,
      past: noPast,
      seenAt: part.countedAt,
      self: { pid: part.pid, exe: part.exe },
    };
    this.#living.delete(entry.pid);
    // A child of the worker is a step's, and while it lives nobody else may be: its end has to be heard, so it has room beyond the bound.
    // One that finds none there either keeps its step from ever ending, and who comes after is that step's.
    const isStep = entry.parent === this.#worker && this.#worker !== 0;
    if (this.#living.size < recordBounds.living * (isStep ? 2 : 1)) this.#living.set(entry.pid, entry);
    else this.overflow++;
    return entry;
  }

  #end(entry: Entry, time: number): void {
    this.#living.delete(entry.pid);
    this.#steps.ended(entry.pid, time);
    this.#runner.delete(entry.pid);
    if (entry.pid === this.#worker) this.#worker = 0;
    entry.endedAt = time;
    this.#endedOrder.push(entry);
    const same = this.#ended.get(entry.pid);
    if (same === undefined) this.#ended.set(entry.pid, [entry]);
    else same.push(entry);
    if (this.#endedOrder.length - this.#endedFrom > 2 * recordBounds.ended) this.sweep(time);
  }
}

function imageIn({ exe, args, uid, container, native }: ProcessImage): ProcessImage {
  return { exe, args, uid, container, native };
}
