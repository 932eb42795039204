/**
 * Notices what processes do that no connection shows: shells that somebody elsewhere types into, looks into the runner's memory,
 * tracked files written after checkout, connections of what a step left running or of what belongs to no step. Refuses nothing;
 * what it finds are detections of the record (`docs/detections.md`).
 *
 * For a thread of its own (`observer-worker.ts`), which calls {@link Observer.round} as the kernel's news of processes come, so that
 * who lives for a moment only is seen as well. What is asked of the kernel about a process's deeds is asked before the news are
 * taken in: then whoever did it is known.
 */
import { existsSync } from "node:fs";
import type { DetectionType, EventBody } from "../audit/event.ts";
import { type Bystander, isLister, lookKind } from "../detect/lookers.ts";
import type { KnownOffsets } from "../kernel/btf.ts";
import { KernelError } from "../kernel/libc.ts";
import { type MemoryLook, MemoryWitness } from "../kernel/memory-witness.ts";
import { describeOwner } from "../process/facts.ts";
import type { ProcessRecord, StepTag } from "../process/record.ts";
import { monotonic, type ProcessTable } from "../process/table.ts";
import type { Connected } from "./observer-messages.ts";
import { ShellWatch } from "./shell-watch.ts";
import { SourceWatch } from "./source-watch.ts";

export interface ObserverOptions {
  record: (event: EventBody) => void;
  /** Null: no files are watched. */
  workspace: string | null;
  /** What was looked up of the kernel's types before. */
  types?: KnownOffsets;
}

/** How long it is waited for more looks of one whose program could not be read, ms. */
const manyLooksMs = 1_000;
/** A process that ends with its step may end a little later, ns. */
const graceNs = 1e9;
const mostTold = 2_000;
const shown = 5;
const manyLooks = 5;
const mostLookers = 4_096;

export class Observer {
  /** What it cannot see, in words. */
  readonly limits: string[] = [];
  readonly #table: ProcessTable;
  readonly #options: ObserverOptions;
  readonly #shells: ShellWatch;
  readonly #memory: MemoryWitness | null;
  readonly #sources: SourceWatch | null;
  readonly #told = new Set<string>();
  /** How many looks each process took lately. */
  readonly #lookers = new Map<number, number>();
  #undecided: { look: MemoryLook; record: ProcessRecord | null; target: ProcessRecord; until: number }[] = [];

  constructor(table: ProcessTable, options: ObserverOptions) {
    this.#table = table;
    this.#options = options;
    this.#shells = new ShellWatch(table, (record, { how, remote, relay }) => {
      const by = relay === null ? "" : ` by way of ${relay.exe ?? relay.pid}`;
      this.#tell("reverse_shell", record, { how, remote, relay }, `${nameOf(record)} is a shell for ${remote}${by}`);
    });
    const tried = <T>(what: string, make: () => T): T | null => {
      try {
        return make();
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        this.limits.push(`${what} not watched: ${error.message}`);
        return null;
      }
    };
    this.#memory =
      table.worker === null
        ? null
        : tried("the memory of the runner's worker is", () => MemoryWitness.attach(options.types));
    const { workspace } = options;
    this.#sources =
      workspace === null ? null : tried("files of the workspace are", () => new SourceWatch(workspace, table));
    table.takeExecuted();
  }

  /** A process that is certain, and not the runner, connected. */
  connected({ pid, where, port }: Connected): void {
    this.#table.drain();
    const record = this.#table.lately(pid);
    if (record === null) return;
    this.#shells.connected(pid);
    const evidence = { destination: where, port };
    const { step } = record;
    if (step !== null) {
      if (!hasOutlived(record, step) || !this.#isFirst(`background ${record.pid} ${record.startedAt}`)) return;
      const text = `${nameOf(record)}, which step ${step.name ?? step.pid} left running, connects to ${where}`;
      this.#tell("background_connection", record, evidence, text);
    } else if (this.#isOutside(record) && this.#isFirst(`outside ${record.exe}`)) {
      this.#tell(
        "outside_connection",
        record,
        evidence,
        `${nameOf(record)}, which belongs to no step, connects to ${where}`,
      );
    }
  }

  /** The job is about to end: tells what is left of it. */
  finish(): void {
    this.round(true);
    const left = new Map<StepTag, ProcessRecord[]>();
    const ours = new Set([process.pid, ...(this.#table.get(process.pid)?.ancestors ?? []).map(({ pid }) => pid)]);
    for (const record of this.#table.newestFirst()) {
      const { step, pid, ancestors } = record;
      if (step === null || !hasOutlived(record, step) || ours.has(pid)) continue;
      if (ancestors.some((above) => above.pid === process.pid)) continue;
      left.set(step, [...(left.get(step) ?? []), record]);
    }
    for (const [step, records] of left) {
      if (!this.#isFirst(`left ${step.pid} ${step.endedAt}`)) continue;
      const examples = records.slice(0, shown).map(({ pid, exe, args }) => ({ pid, exe, args }));
      const text = `step ${step.name ?? step.pid} left ${records.length} processes running: ${records.slice(0, shown).map(nameOf).join(", ")}`;
      this.#tell("left_running", records[0]!, { count: records.length, examples }, text);
    }
  }

  close(): void {
    this.#memory?.close();
    this.#sources?.close();
  }

  /** Takes in what happened since the last time; `isLast`: tells also what it would wait for. */
  round(isLast = false): void {
    const sources = this.#sources;
    const looks = this.#memory?.take() ?? [];
    sources?.read();
    this.#table.drain();
    const now = performance.now();
    for (const pid of this.#table.takeExecuted()) this.#shells.executed(pid, now);
    this.#shells.tick(now);
    this.#looks(looks, now);
    this.#decide(isLast ? Number.POSITIVE_INFINITY : now);
    sources?.take();
    for (const step of this.#table.takeEndedSteps()) sources?.ended(step);
    for (const { step, count, examples, programs, writer } of sources?.findings(isLast) ?? []) {
      const who = step === null ? "something outside of the steps" : `step ${step.name ?? step.pid}`;
      const text = `${who} wrote ${count} files after they were checked out: ${examples.join(", ")}`;
      this.#tell("source_overwritten", writer, { count, examples, programs }, text);
    }
  }

  /** What this observer could not watch since it began, in words. */
  get gaps(): string[] {
    return [...this.limits, ...(this.#sources?.limits ?? [])];
  }

  #looks(looks: readonly MemoryLook[], now: number): void {
    if (looks.length === 0) return;
    for (const { pid } of looks) {
      const count = this.#lookers.get(pid) ?? 0;
      this.#lookers.delete(pid);
      this.#lookers.set(pid, count + 1);
      if (this.#lookers.size > mostLookers) this.#lookers.delete(this.#lookers.keys().next().value!);
    }
    const runner = this.#table.newestFirst().filter((each) => this.#table.isRunner(each));
    for (const look of looks) {
      const { pid, target, way, time } = look;
      const whose = runner.find((each) => each.pid === target || existsSync(`/proc/${each.pid}/task/${target}`));
      if (whose === undefined || runner.some((each) => each.pid === pid)) continue;
      const record = this.#table.at(pid, time) ?? this.#table.lately(pid);
      if (lookKind(way) === "memory") this.#tellLook(look, record, whose);
      else if (record !== null && isLister(bystander(record))) continue;
      else if (record === null || record.exe === null)
        this.#undecided.push({ look, record, target: whose, until: now + manyLooksMs });
      else this.#tellLook(look, record, whose);
    }
    if (this.#undecided.length > mostLookers) this.#decide(Number.POSITIVE_INFINITY);
  }

  /** Gone before its program could be read: who went through all processes is taken for a lister. */
  #decide(now: number): void {
    if (this.#undecided.length === 0) return;
    const due = this.#undecided.filter(({ until }) => now >= until);
    this.#undecided = this.#undecided.filter(({ until }) => now < until);
    for (const { look, record, target } of due)
      if ((this.#lookers.get(look.pid) ?? 0) < manyLooks) this.#tellLook(look, record, target);
  }

  #tellLook({ pid, way }: MemoryLook, record: ProcessRecord | null, target: ProcessRecord): void {
    const kind = lookKind(way);
    if (!this.#isFirst(`memory ${pid} ${kind} ${record?.startedAt}`)) return;
    const type = kind === "memory" ? "worker_memory" : "worker_environment";
    const name = record === null ? `process ${pid}` : nameOf(record);
    const text = `${name} ${kind === "memory" ? "reaches into the memory" : "reads the environment or the layout"} of the runner (${way})`;
    this.#tell(type, record, { way, target: target.pid, target_exe: target.exe, pid }, text);
  }

  /** Neither a step's, nor the machine's own, nor what the runner itself was started by. */
  #isOutside(record: ProcessRecord): boolean {
    const { placed, uid, container, native, pid } = record;
    if (!placed || container !== null || (uid === 0 && native)) return false;
    const { worker } = this.#table;
    return worker !== null && this.#table.get(worker)?.ancestors.some((above) => above.pid === pid) !== true;
  }

  #isFirst(key: string): boolean {
    if (this.#told.has(key) || this.#told.size >= mostTold) return false;
    this.#told.add(key);
    return true;
  }

  #tell(type: DetectionType, record: ProcessRecord | null, evidence: Record<string, unknown>, message: string): void {
    const owner = record === null ? null : { record, uid: record.uid, certain: true, by: "call" as const };
    const who = describeOwner(owner, this.#table);
    this.#options.record({
      kind: "detection",
      ...(who === null ? {} : { process: who }),
      detection: { type, ...evidence },
      message,
    });
  }
}

/** Whether it goes on, or went on, well after its step's end. */
function hasOutlived({ startedAt, endedAt }: ProcessRecord, { endedAt: stepEnd }: StepTag): boolean {
  if (stepEnd === null) return false;
  if (startedAt > stepEnd) return true;
  return (endedAt ?? monotonic()) > stepEnd + graceNs;
}

function nameOf({ exe, pid }: ProcessRecord): string {
  return exe ?? `process ${pid}`;
}

function bystander({ exe, native, step, container }: ProcessRecord): Bystander {
  return { exe: native ? exe : null, isOfJob: step !== null || container !== null };
}
