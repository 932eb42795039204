/**
 * Notices what processes do that no connection shows: shells that somebody elsewhere types into, looks into the runner's memory,
 * tracked files written after checkout, connections of what a step left running or of what belongs to no step. Refuses nothing;
 * what it finds are detections of the record (`docs/detections.md`).
 *
 * It takes in the kernel's news of processes as they come, so that who lives for a moment only is seen as well.
 */
import { existsSync } from "node:fs";
import type { DetectionType, EventBody } from "../audit/event.ts";
import { type Bystander, isLister, lookKind } from "../detect/lookers.ts";
import { KernelError, pollLater } from "../kernel/libc.ts";
import { type MemoryLook, MemoryWitness } from "../kernel/memory-witness.ts";
import { describeOwner } from "../process/facts.ts";
import type { ProcessRecord, StepTag } from "../process/record.ts";
import { monotonic, type ProcessTable } from "../process/table.ts";
import { ShellWatch } from "./shell-watch.ts";
import { SourceWatch } from "./source-watch.ts";

export interface ObserverOptions {
  record: (event: EventBody) => void;
  /** Null: no files are watched. */
  workspace: string | null;
}

/** News are waited for this long, and taken in at most this often, ms. */
const waitMs = 500;
const pauseMs = 2;
/** A process that ends with its step may end a little later, ns. */
const graceNs = 1e9;
const mostTold = 2_000;
const shown = 5;
const manyLooks = 5;
const POLLIN = 1;

export class Observer {
  /** What it cannot see, in words. */
  readonly limits: string[] = [];
  readonly #table: ProcessTable;
  readonly #options: ObserverOptions;
  readonly #shells: ShellWatch;
  readonly #memory: MemoryWitness | null;
  readonly #sources: SourceWatch | null;
  readonly #told = new Set<string>();
  readonly #news = Buffer.alloc(8);
  #closed = false;

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
      table.worker === null ? null : tried("the memory of the runner's worker is", () => MemoryWitness.attach());
    const { workspace } = options;
    this.#sources =
      workspace === null ? null : tried("files of the workspace are", () => new SourceWatch(workspace, table));
    this.#news.writeInt32LE(table.fd, 0);
    this.#news.writeUInt16LE(POLLIN, 4);
    table.takeExecuted();
    void this.#listen();
  }

  /** An event of the record: who connected. */
  see(event: EventBody): void {
    const { kind, process: who, destination } = event;
    if (kind !== "connection" || who === undefined || !who.certain || who.runner) return;
    this.#table.drain();
    const record = this.#table.lately(who.pid);
    if (record === null) return;
    this.#shells.connected(who.pid);
    const where = destination?.name ?? destination?.ip ?? "unknown";
    const evidence = { destination: where, port: destination?.port ?? null };
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
    this.#round(true);
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
    this.#closed = true;
    this.#memory?.close();
    this.#sources?.close();
  }

  async #listen(): Promise<void> {
    while (!this.#closed) {
      await pollLater(this.#news, 1, waitMs);
      if (this.#closed) return;
      this.#round(false);
      await new Promise((done) => setTimeout(done, pauseMs));
    }
  }

  #round(isLast: boolean): void {
    const now = performance.now();
    this.#table.drain();
    for (const pid of this.#table.takeExecuted()) this.#shells.executed(pid, now);
    this.#shells.tick(now);
    this.#looks(this.#memory?.take() ?? []);
    const sources = this.#sources;
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

  #looks(looks: readonly MemoryLook[]): void {
    if (looks.length === 0) return;
    const runner = this.#table.newestFirst().filter((each) => this.#table.isRunner(each));
    for (const { pid, target, way, time } of looks) {
      const whose = runner.find((each) => each.pid === target || existsSync(`/proc/${each.pid}/task/${target}`));
      if (whose === undefined || runner.some((each) => each.pid === pid)) continue;
      const record = this.#table.at(pid, time) ?? this.#table.lately(pid);
      const kind = lookKind(way);
      if (kind === "environment") {
        if (record === null || isLister(bystander(record))) continue;
        // Gone before its program could be read: who went through all processes is taken for a lister.
        if (record.exe === null && looks.filter((each) => each.pid === pid).length >= manyLooks) continue;
      }
      if (!this.#isFirst(`memory ${pid} ${kind} ${record?.startedAt}`)) continue;
      const type = kind === "memory" ? "worker_memory" : "worker_environment";
      const name = record === null ? `process ${pid}` : nameOf(record);
      const text = `${name} ${kind === "memory" ? "reaches into the memory" : "reads the environment or the layout"} of the runner (${way})`;
      this.#tell(type, record, { way, target: whose.pid, target_exe: whose.exe, pid }, text);
    }
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
