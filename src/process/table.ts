/**
 * Every process of this machine, alive or just ended: who forked it, what it runs, for whom, in which step. Fed by the kernel's
 * process events; looks into /proc at each exec, at once, because many do not live long. For one thread: `fd` goes into its
 * Waiter, {@link ProcessTable.drain} is called before anything is asked.
 *
 * Where events are lost (`losses`), /proc is read again. What was orphaned meanwhile cannot be told from what never belonged to
 * a step: such records are not `placed`.
 */
import type { KnownOffsets } from "../kernel/btf.ts";
import { type Listening, ProcConnector, type ProcEvent } from "../kernel/proc-connector.ts";
import { EngineClients } from "./engine-clients.ts";
import { masker } from "./mask.ts";
import { Notes, type NotesAt } from "./notes.ts";
import { environmentOf, executableOf, imageOf, listProcesses, statOf, uptimeNanoseconds } from "./read.ts";
import type { ProcessImage, ProcessRecord, StepTag } from "./record.ts";
import { stepVariables } from "./steps.ts";
import { type Met, ProcessTree } from "./tree.ts";
import { findRunner, runnerOf } from "./worker.ts";

export interface TableOptions {
  /** The runner's worker where it is known. */
  worker?: number;
  /** A process of the job, under whose ancestors the worker is looked for; ours by default. */
  startedBy?: number;
  /** Values never to be shown in arguments. */
  secrets?: Iterable<string>;
  /** Told of each process that has executed something, as it is then. */
  onExec?: (record: ProcessRecord) => void;
  /** Told of each process that is there after events were lost; some of them may have executed something meanwhile. */
  onMet?: (record: ProcessRecord) => void;
  /** Told of each process whose first thread ends, with its wait status. */
  onEnd?: (pid: number, status: number) => void;
  /** Room for events that have not been taken in, bytes. */
  eventBuffer?: number;
  /** Another table's {@link ProcessTable.notes}, which outlives this one; null: without. Its own by default. */
  notes?: NotesAt | null;
  /** What was looked up of the kernel's types before, for notes of its own. */
  types?: KnownOffsets;
  /** How many tables of other threads are to begin with what this one reads: {@link ProcessTable.beginnings}. */
  others?: number;
  /** What another thread's table read, with the same worker and secrets. */
  beginning?: TableBeginning;
}

/**
 * What one table of several begins with: reading all of /proc once is enough, where each has listened since before that. To be used by
 * one table, once.
 */
export interface TableBeginning {
  listening: Listening;
  met: ReadonlyMap<number, Met>;
  offset: number;
  scannedAt: number;
}

const TICK = 1e7;
/** How often /proc's list is compared with ours, ns, and how often it is read whole at most. */
const COMPARE = 10e9;
const RESCAN = 1e9;
const MOST_EXECUTED = 4096;

export class ProcessTable {
  /** For the thread's Waiter. */
  readonly fd: number;
  /** How often events were lost and /proc was to be read again. */
  losses = 0;
  /** The runner's worker; null: there is none, and no process has a step. */
  readonly worker: number | null;
  /** For tables of other threads, as many as were asked for. */
  readonly beginnings: readonly TableBeginning[];
  readonly #connector: ProcConnector;
  readonly #notes: Notes;
  readonly #tree: ProcessTree;
  readonly #engineClients: EngineClients;
  readonly #mask: (args: readonly string[]) => string[];
  readonly #onExec: ((record: ProcessRecord) => void) | undefined;
  readonly #onMet: ((record: ProcessRecord) => void) | undefined;
  readonly #onEnd: ((pid: number, status: number) => void) | undefined;
  /** Added to /proc's start times (CLOCK_BOOTTIME) it gives CLOCK_MONOTONIC. */
  #offset = 0;
  #comparedAt = 0;
  #scannedAt = 0;
  #stale = false;
  #news: number[] | null = null;

  /** Listens, then reads /proc. Throws SallyportError KERNEL_FEATURE. */
  constructor(options: TableOptions = {}) {
    const { beginning, eventBuffer } = options;
    this.#connector = new ProcConnector(eventBuffer, beginning?.listening);
    const others = Array.from({ length: options.others ?? 0 }, () => new ProcConnector(eventBuffer));
    this.fd = this.#connector.fd;
    this.#mask = masker(options.secrets);
    this.#onExec = options.onExec;
    this.#onMet = options.onMet;
    this.#onEnd = options.onEnd;
    this.#tree = new ProcessTree({
      image: (pid, before) => this.#look(pid, before),
      now: monotonic,
      environment: (pid) => environmentOf(pid, stepVariables),
      told: (pid, since, time) => this.#notes.told(pid, since, time),
      program: (pid, since, time) => {
        const note = this.#notes.program(pid, since, time);
        return note === null ? null : { ...note, args: this.#mask(note.args) };
      },
      askers: (pid, exe) => {
        const steps = this.#engineClients.steps();
        // Asked last: whoever asked for what it does waits for it until it is done.
        return exe !== null && executableOf(pid) === exe ? steps : null;
      },
    });
    this.#engineClients = new EngineClients(() => this.#tree.newestFirst());
    const met = beginning === undefined ? this.#scan() : this.#begin(beginning);
    const [offset, scannedAt] = [this.#offset, this.#scannedAt];
    this.beginnings = others.map((each) => ({ listening: each.handOver(), met, offset, scannedAt }));
    const runner =
      options.worker === undefined ? findRunner(met, options.startedBy ?? process.pid) : runnerOf(met, options.worker);
    this.worker = runner?.worker ?? null;
    if (runner !== null) this.#tree.setRunner(runner.worker, runner.listeners);
    this.#notes = new Notes(this.worker, options.notes, options.types);
    this.#takeIn(met, true);
    this.drain();
  }

  /** Takes in what happened. Synchronous; without news it costs one system call. */
  drain(): void {
    const { lost } = this.#connector.receive((event) => this.#apply(event));
    const now = monotonic();
    if (lost) {
      this.losses++;
      this.#tree.lost();
      this.#stale = true;
    }
    if (this.#stale && now - this.#scannedAt >= RESCAN) {
      this.#stale = false;
      this.#takeIn(this.#scan(), false);
    } else if (now - this.#comparedAt >= COMPARE) {
      this.#comparedAt = now;
      this.#tree.keepOnly(new Set(listProcesses()), now);
    }
    this.#tree.sweep(now);
  }

  /** Events that were lost without the kernel saying so, seen as gaps in its numbers. */
  get missing(): number {
    return this.#connector.missing;
  }

  get size(): { living: number; ended: number } {
    return this.#tree.size;
  }

  /** The process that has this number now, read from /proc where no event told of it; null where there is none. */
  get(pid: number): ProcessRecord | null {
    const known = this.#tree.get(pid);
    if (known !== null) return known;
    for (const met of this.#ancestry(pid)) if (this.#tree.get(met.pid) === null) this.#tree.meet(met, false);
    return this.#tree.get(pid);
  }

  /** The process that had this number at `time` (CLOCK_MONOTONIC, ns), also one that has ended since. */
  at(pid: number, time: number): ProcessRecord | null {
    return this.#tree.at(pid, time) ?? this.get(pid);
  }

  /** The process that has this number, or else the last one that had it. */
  lately(pid: number): ProcessRecord | null {
    return this.#tree.get(pid) ?? this.#tree.lastEnded(pid) ?? this.get(pid);
  }

  /** Processes that executed something since the last call; from the first call on, some of them where they are very many. */
  takeExecuted(): number[] {
    const executed = this.#news ?? [];
    this.#news = [];
    return executed;
  }

  /** Steps that have ended since the last call. */
  takeEndedSteps(): StepTag[] {
    return this.#tree.takeEndedSteps();
  }

  isRunner(record: ProcessRecord): boolean {
    return this.#tree.isRunner(record);
  }

  newestFirst(): ProcessRecord[] {
    return this.#tree.newestFirst();
  }

  /** What the kernel notes as programs are executed, for tables in other threads. */
  get notes(): NotesAt {
    return this.#notes.at;
  }

  /** Why a step whose first process is over within milliseconds may have no name; null where it has. */
  get unnoted(): string | null {
    return this.#notes.why;
  }

  close(): void {
    this.#connector.close();
    this.#engineClients.close();
    this.#notes.close();
  }

  #apply(event: ProcEvent): void {
    switch (event.kind) {
      case "fork":
        return this.#tree.fork(event.pid, event.tid, event.parent, event.time);
      case "exec":
        if (this.#news !== null && this.#news.length < MOST_EXECUTED) this.#news.push(event.pid);
        return this.#executed(event.pid, event.time);
      case "uid":
        return this.#tree.setUid(event.pid, event.tid, event.effective);
      case "exit":
        if (event.tid === event.pid) this.#onEnd?.(event.pid, event.status);
        return this.#tree.exit(event.pid, event.time);
      case "listening":
      case "other":
    }
  }

  #executed(pid: number, time: number): void {
    this.#tree.exec(pid, time);
    const record = this.#onExec === undefined ? null : this.#tree.get(pid);
    if (record !== null) this.#onExec!(record);
  }

  #look(pid: number, before: number): ProcessImage | null {
    const image = imageOf(pid, this.#mask);
    // Asked last: if it is old enough now, it was the same one all the while.
    const stat = statOf(pid);
    return stat === null || this.#started(stat.startTicks) > before + 3 * TICK ? null : image;
  }

  #started(ticks: number): number {
    return ticks * TICK + this.#offset;
  }

  #meet(pid: number): Met | null {
    const stat = statOf(pid);
    // Ended and not collected: its event has been told.
    if (stat === null || (stat.state === "Z" && stat.threads <= 1)) return null;
    const countedAt = monotonic();
    const startedAt = this.#started(stat.startTicks);
    const image = this.#look(pid, startedAt);
    return image === null ? null : { ...image, pid, parent: stat.parent, startedAt, threads: stat.threads, countedAt };
  }

  #scan(): Map<number, Met> {
    const offset = monotonic() - uptimeNanoseconds();
    // /proc/uptime has hundredths; a difference below that is none.
    this.#offset = Math.abs(offset) < 2 * TICK ? 0 : offset;
    this.#scannedAt = this.#comparedAt = monotonic();
    const met = new Map<number, Met>();
    for (const pid of listProcesses()) {
      const each = this.#meet(pid);
      if (each !== null) met.set(pid, each);
    }
    return met;
  }

  /** As if it had scanned itself, when the other did. */
  #begin({ met, offset, scannedAt }: TableBeginning): ReadonlyMap<number, Met> {
    this.#offset = offset;
    this.#scannedAt = this.#comparedAt = scannedAt;
    return met;
  }

  #takeIn(scan: ReadonlyMap<number, Met>, complete: boolean): void {
    const done = new Set<number>();
    const takeIn = (met: Met): void => {
      if (done.has(met.pid)) return;
      done.add(met.pid);
      const parent = scan.get(met.parent);
      if (parent !== undefined) takeIn(parent);
      this.#tree.meet(met, complete);
    };
    for (const met of scan.values()) takeIn(met);
    if (complete) return;
    this.#tree.keepOnly(new Set(scan.keys()), this.#scannedAt);
    if (this.#onMet === undefined) return;
    for (const pid of scan.keys()) {
      const record = this.#tree.get(pid);
      if (record !== null) this.#onMet(record);
    }
  }

  /** `pid` and what is above it up to a process that is known, from the top down. */
  #ancestry(pid: number): Met[] {
    const line: Met[] = [];
    for (let at = pid; at !== 0 && line.length < 64 && (at === pid || this.#tree.get(at) === null);) {
      const met = this.#meet(at);
      if (met === null) break;
      line.unshift(met);
      at = met.parent;
    }
    return line;
  }
}

/** CLOCK_MONOTONIC in ns, as the kernel's events have it. */
export function monotonic(): number {
  return Number(process.hrtime.bigint());
}
