/**
 * The data path's threads as one thing: start, bind names, change the policy, stop. Every change returns when every thread
 * has it. A thread that dies leaves its queue without a listener (the kernel drops) and is started again with the policy
 * and the bindings in force.
 */
import { Worker } from "node:worker_threads";
import type { Progress } from "../audit/progress.ts";
import { SallyportError } from "../errors.ts";
import type { Binding } from "../flow/book.ts";
import type { OverdrawnEntry } from "../flow/overdrawn.ts";
import { wake } from "../kernel/wait.ts";
import { type HistogramCounts, sumOf } from "../metrics/histogram.ts";
import type { TableBeginning } from "../process/table.ts";
import type { AttributionOptions, Noticed } from "./attribution.ts";
import {
  type ConntrackWorkerData,
  type EndedFlows,
  type FromConntrack,
  type FromWorker,
  type PolicyAt,
  type QueueWorkerData,
  type QueueWorkerPreparation,
  type Told,
  type ToWorker,
  verdictBounds,
  type WorkerStatistics,
} from "./messages.ts";

export interface DataPathOptions {
  namespace: string | null;
  queueBase: number;
  /** Threads, one queue each. */
  queues: number;
  policy: PolicyAt;
  /** All sources are one where names are believed; see `AddressBook`. */
  oneSource?: boolean;
  /** Tell whose each flow is. */
  who?: AttributionOptions | null;
  /** The bindings in force, for a thread that starts. */
  bindings: () => Binding[];
  /** How far the record is behind, which is given what `onTold` brings. */
  recorded: Progress;
  onTold: (told: Told) => void;
  /** Programs that `who` wants to hear of. */
  onNoticed?: (noticed: Noticed[]) => void;
  /** Connections that ended; `lost` when the kernel had to drop some of these notices. */
  onEnded: (ended: EndedFlows, lost: boolean) => void;
  /** Threads begun earlier; the data path sees to them from then on. */
  spare?: SpareThreads;
  /** Something of ours failed: a thread died (and starts again, unless it dies over and over: then `fatal`), or a packet made it fail. */
  onFailure: (message: string, fatal: boolean) => void;
}

interface Thread {
  worker: Worker;
  wake: number;
  statistics: WorkerStatistics | null;
  verdictTimes: HistogramCounts | null;
  /** Sequence numbers not yet confirmed. */
  waiting: Map<number, () => void>;
  taken: Int32Array<SharedArrayBuffer>;
}

type Command = ToWorker extends infer T ? (T extends ToWorker ? Omit<T, "sequence"> : never) : never;

const restartsPerMinute = 5;

const queueFile = new URL("./queue-worker.ts", import.meta.url);
const conntrackFile = new URL("./conntrack-worker.ts", import.meta.url);

/**
 * Threads that load their modules while their owner still prepares the place, which takes as long. Give them to
 * {@link DataPath.start}, or stop them.
 */
export class SpareThreads {
  readonly #spare: { file: URL; worker: Worker; failure: Error | null }[] = [];

  /** For so many queues; `others` are threads' files of other rooms, which take their first message for what they are to do. */
  constructor(queues: number, others: readonly URL[] = []) {
    const files = [conntrackFile, ...others];
    for (let i = 0; i < queues; i++) files.push(queueFile);
    for (const file of files) {
      const each = { file, worker: threadOf(file), failure: null as Error | null };
      each.worker.once("error", (error: Error) => (each.failure = error));
      this.#spare.push(each);
    }
  }

  /**
   * Has the first queue's thread open what tells whose packets are whose, which takes as long as all the rest of its start. What it is
   * given to start with must be the same; `beginning` is what another thread's table has read.
   */
  prepare(who: AttributionOptions, beginning?: TableBeginning): void {
    const prepare: QueueWorkerPreparation = { ...who, ...(beginning === undefined ? {} : { beginning }) };
    this.#spare.find(({ file }) => file === queueFile)?.worker.postMessage({ prepare });
  }

  /** One of these, or a new one where none is left. Throws what ended it meanwhile. */
  take(file: URL): Worker {
    const i = this.#spare.findIndex((each) => each.file.href === file.href);
    if (i < 0) return threadOf(file);
    const { worker, failure } = this.#spare.splice(i, 1)[0]!;
    if (failure !== null) throw failure;
    return worker;
  }

  /** Ends those that nobody took. By word, not by force: koffi aborts the process when it is interrupted while it loads. */
  async stop(): Promise<void> {
    const ended = this.#spare.splice(0).map(async ({ worker, failure }) => {
      if (failure !== null) return;
      const exit = new Promise((resolve) => worker.once("exit", resolve));
      worker.postMessage(null);
      await exit;
    });
    await Promise.all(ended);
  }
}

export class DataPath {
  readonly #options: DataPathOptions;
  readonly #threads: (Thread | null)[] = [];
  #conntrack: Thread | null = null;
  #policy: PolicyAt;
  #overdrawn: readonly OverdrawnEntry[] = [];
  #sequence = 0;
  #stopping = false;
  #deaths: number[] = [];
  /** Statistics of threads that died. */
  readonly #past: WorkerStatistics[] = [];
  readonly #pastTimes: HistogramCounts[] = [];

  private constructor(options: DataPathOptions) {
    this.#options = options;
    this.#policy = options.policy;
  }

  /** Binds every queue. Rejects with QUEUE_IN_USE and the like; nothing is left behind then. */
  static async start(options: DataPathOptions): Promise<DataPath> {
    const path = new DataPath(options);
    try {
      const queues = Array.from({ length: options.queues }, (_, i) => path.#startQueue(i));
      // Each to its end: a thread that is still starting while the rest is undone would stay.
      const [conntrack, ...others] = await Promise.allSettled([path.#startConntrack(), ...queues]);
      if (conntrack.status === "fulfilled") path.#conntrack = conntrack.value;
      for (const each of [conntrack, ...others]) if (each.status === "rejected") throw each.reason;
    } catch (error) {
      await path.stop();
      throw error;
    }
    return path;
  }

  /** Resolves when every thread has the bindings: only then may the answer that made them leave. */
  async bind(bindings: Binding[]): Promise<void> {
    await this.#broadcast({ kind: "bind", bindings });
  }

  /** Resolves when no thread decides by the old policy any more. */
  async setPolicy(policy: PolicyAt): Promise<void> {
    this.#policy = policy;
    await this.#broadcast({ kind: "policy", policy });
  }

  /** Resolves when every thread refuses what these have no budget left for, and nobody else for that. */
  async setOverdrawn(overdrawn: readonly OverdrawnEntry[]): Promise<void> {
    this.#overdrawn = overdrawn;
    await this.#broadcast({ kind: "overdrawn", overdrawn });
  }

  statistics(): WorkerStatistics {
    const sum: WorkerStatistics = {
      packets: 0,
      pending: 0,
      pendingBytes: 0,
      allowed: 0,
      denied: 0,
      wouldDeny: 0,
      lateVerdicts: 0,
      failures: 0,
    };
    for (const each of [...this.#past, ...this.#threads.map((thread) => thread?.statistics ?? null)]) {
      if (each === null) continue;
      for (const key of Object.keys(sum) as (keyof WorkerStatistics)[]) sum[key] += each[key];
    }
    return sum;
  }

  /** How long packets were with us, of all threads since the start. */
  verdictTimes(): HistogramCounts {
    const now = this.#threads.map((thread) => thread?.verdictTimes ?? null).filter((times) => times !== null);
    return sumOf(verdictBounds.length, [...this.#pastTimes, ...now]);
  }

  /** How many queue threads run. */
  get running(): number {
    return this.#threads.filter((thread) => thread !== null).length;
  }

  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    await this.#broadcast({ kind: "stop" });
    if (this.#conntrack !== null) {
      this.#conntrack.worker.postMessage({ kind: "stop", sequence: 0 } satisfies ToWorker);
      wake(this.#conntrack.wake);
    }
    await Promise.all(
      [...this.#threads, this.#conntrack].map(async (thread) => {
        if (thread !== null) await thread.worker.terminate();
      }),
    );
  }

  /** Resolves when every thread has it; at once while they stop: their descriptors may be other files' by then. */
  async #broadcast(command: Command): Promise<void> {
    if (this.#stopping && command.kind !== "stop") return;
    const confirmed: Promise<void>[] = [];
    for (const thread of this.#threads) {
      if (thread === null) continue;
      const sequence = ++this.#sequence;
      confirmed.push(new Promise((resolve) => thread.waiting.set(sequence, resolve)));
      thread.worker.postMessage({ ...command, sequence });
      wake(thread.wake);
    }
    await Promise.all(confirmed);
  }

  async #startQueue(i: number): Promise<void> {
    const { who = null } = this.#options;
    const data: QueueWorkerData = {
      queue: this.#options.queueBase + i,
      queues: this.#options.queues,
      namespace: this.#options.namespace,
      policy: this.#policy,
      bindings: this.#options.bindings(),
      oneSource: this.#options.oneSource === true,
      // One thread tells of programs: all of them hear of the same.
      who: who === null ? null : i === 0 ? who : { ...who, notice: [] },
      overdrawn: this.#overdrawn,
      taken: newCount(),
      recorded: this.#options.recorded,
    };
    const worker = this.#newWorker(queueFile, data);
    const { taken } = data;
    const thread: Thread = { worker, wake: -1, statistics: null, verdictTimes: null, waiting: new Map(), taken };
    thread.wake = await ready(worker);
    // Between the snapshot and now the policy or the bindings may have changed.
    this.#threads[i] = thread;
    worker.on("message", (message: FromWorker) => this.#received(thread, message));
    worker.on("error", (error) => this.#died(i, thread, String(error)));
    worker.on("exit", () => this.#died(i, thread, "exited"));
    const tell = (command: Command) => worker.postMessage({ ...command, sequence: ++this.#sequence });
    if (this.#policy !== data.policy) tell({ kind: "policy", policy: this.#policy });
    tell({ kind: "overdrawn", overdrawn: this.#overdrawn });
    tell({ kind: "bind", bindings: this.#options.bindings() });
    wake(thread.wake);
  }

  async #startConntrack(): Promise<Thread> {
    const data: ConntrackWorkerData = { namespace: this.#options.namespace };
    const worker = this.#newWorker(conntrackFile, data);
    const thread: Thread = {
      worker,
      wake: await ready(worker),
      statistics: null,
      verdictTimes: null,
      waiting: new Map(),
      taken: newCount(),
    };
    worker.on("message", (message: FromConntrack) => {
      if (message.kind === "ended") this.#options.onEnded(message.ended, message.lost);
    });
    worker.on("error", (error) => {
      if (!this.#stopping) this.#options.onFailure(`the connection watcher failed: ${String(error)}`, true);
    });
    return thread;
  }

  #newWorker(file: URL, data: QueueWorkerData | ConntrackWorkerData): Worker {
    const worker = this.#options.spare?.take(file) ?? threadOf(file);
    worker.postMessage(data);
    return worker;
  }

  #received(thread: Thread, message: FromWorker): void {
    if (message.kind === "settled") {
      thread.statistics = message.statistics;
      thread.verdictTimes = message.verdictTimes;
      this.#options.onTold(message.told);
      // In the next turn of the event loop: files and sockets have theirs in between.
      setImmediate(() => {
        Atomics.add(thread.taken, 0, 1);
        Atomics.notify(thread.taken, 0);
      });
    } else if (message.kind === "noticed") {
      this.#options.onNoticed?.(message.noticed);
    } else if (message.kind === "failure") {
      this.#options.onFailure(`a packet was dropped by a defect: ${message.message}`, false);
    } else if (message.kind === "done") {
      thread.waiting.get(message.sequence)?.();
      thread.waiting.delete(message.sequence);
    }
  }

  #died(i: number, thread: Thread, why: string): void {
    for (const resolve of thread.waiting.values()) resolve();
    thread.waiting.clear();
    if (this.#threads[i] !== thread) return;
    if (this.#stopping) return;
    this.#threads[i] = null;
    if (thread.statistics !== null) this.#past.push({ ...thread.statistics, pending: 0, pendingBytes: 0 });
    if (thread.verdictTimes !== null) this.#pastTimes.push(thread.verdictTimes);
    const now = Date.now();
    this.#deaths = [...this.#deaths.filter((at) => now - at < 60_000), now];
    const fatal = this.#deaths.length > restartsPerMinute;
    this.#options.onFailure(`data-path thread ${i} died: ${why}`, fatal);
    if (fatal) return;
    this.#startQueue(i).catch((error: unknown) => this.#options.onFailure(String(error), true));
  }
}

/** Named after its file, as `top -H` shows it. */
function threadOf(file: URL): Worker {
  return new Worker(file, { name: file.pathname.replace(/^.*\/|\.[jt]s$/g, "") });
}

function newCount(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** The thread's wake descriptor once it is set up; rejects with the error that ended it before that. */
function ready(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.once("message", (message: { kind: string; wake: number }) => resolve(message.wake));
    worker.once("error", (error: Error & { code?: string; data?: Record<string, unknown> }) => {
      // An error crosses threads as a copy without its class.
      const known = error.name === "SallyportError" && typeof error.code === "string";
      reject(known ? new SallyportError(error.code as "INTERNAL", error.message, error.data ?? {}) : error);
    });
    worker.once("exit", () => reject(new SallyportError("INTERNAL", "A data-path thread ended before it was ready.")));
  });
}
