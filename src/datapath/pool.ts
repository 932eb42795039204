/**
 * The data path's threads as one thing: start, bind names, change the policy, stop. Every change returns when every thread
 * has it. A thread that dies leaves its queue without a listener (the kernel drops) and is started again with the policy
 * and the bindings in force.
 */
import { MessageChannel, type MessagePort, type Worker } from "node:worker_threads";
import type { Progress } from "../audit/progress.ts";
import type { Binding } from "../flow/book.ts";
import type { OverdrawnEntry } from "../flow/overdrawn.ts";
import * as libc from "../kernel/libc.ts";
import { wake } from "../kernel/wait.ts";
import { type HistogramCounts, sumOf } from "../metrics/histogram.ts";
import type { AttributionOptions, Noticed } from "./attribution.ts";
import { DataThread, newCount } from "./data-thread.ts";
import {
  type ConntrackWorkerData,
  type EndedFlows,
  type FromConntrack,
  type FromWorker,
  noStatistics,
  type PolicyAt,
  type QueueWorkerData,
  type Told,
  type ToWorker,
  verdictBounds,
  type WorkerStatistics,
} from "./messages.ts";
import { sendPolicy } from "./policy-parts.ts";
import { type EverySecond, everySecond, Pulse, terminated } from "./pulse.ts";
import { conntrackFile, firstWord, queueFile, type SpareThreads, threadOf } from "./threads.ts";

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
  /** A queue's thread is there: whoever hands addresses out tells it of them first, see {@link QueueLink}. */
  onLink: (link: QueueLink) => void;
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
  /** When it is looked whether the threads go on; left out: once a second. */
  every?: EverySecond;
}

/**
 * The way to one queue's thread for whoever binds names, past everybody else: {@link ToBook} goes there, followed by a {@link wake},
 * and the sequence number comes back. The port closes when the thread is gone.
 */
export interface QueueLink {
  port: MessagePort;
  wake: number;
}

/**
 * Threads that are started again, within a minute and in all. Each that is ended leaves descriptors and programs behind that are the
 * process's: rather than run out of them, and enforce less for it, enforcement is lost, and whoever keeps us begins anew.
 */
const mostRestarts = { minute: 5, ever: 20 } as const;
/**
 * Seconds without a sign of life after which a thread is ended and started again; while it is to stop. It gives one for each packet, and
 * waits a quarter of a second at most; what takes long is to look for a packet's process on a machine with thousands.
 */
const patience = { always: 30, end: 5 } as const;
/** How long it may take to end by force, ms. */
const terminateMs = 5_000;

export class DataPath {
  readonly #options: DataPathOptions;
  readonly #threads: (DataThread | null)[] = [];
  /** Threads on their way to be one of these: until they are told what was changed meanwhile, and have taken it in. */
  readonly #starting = new Set<Promise<void>>();
  #conntrack: DataThread | null = null;
  #policy: PolicyAt;
  #overdrawn: readonly OverdrawnEntry[] = [];
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

  /** Resolves when no thread decides by the old policy any more. */
  async setPolicy(policy: PolicyAt): Promise<void> {
    // Not the one that is sent, whose parts are held as long as it is.
    this.#policy = { ...policy };
    await this.#toAll((thread) => inForce(thread, policy));
  }

  /** Resolves when every thread refuses what these have no budget left for, and nobody else for that. */
  async setOverdrawn(overdrawn: readonly OverdrawnEntry[]): Promise<void> {
    this.#overdrawn = overdrawn;
    await this.#toAll((thread) => thread.tell({ kind: "overdrawn", overdrawn }));
  }

  statistics(): WorkerStatistics {
    const sum = noStatistics();
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
    for (const thread of this.#threads) thread?.pulse?.restart();
    const running = this.#threads.filter((thread) => thread !== null);
    await Promise.all(running.map((thread) => thread.tell({ kind: "stop" })));
    if (this.#conntrack !== null) {
      this.#conntrack.worker.postMessage({ kind: "stop", sequence: 0 } satisfies ToWorker);
      wake(this.#conntrack.wake);
    }
    await Promise.all(
      [...this.#threads, this.#conntrack].map(async (thread) => {
        thread?.pulse?.end();
        if (thread !== null) await terminated(thread.worker, terminateMs);
      }),
    );
  }

  /**
   * Resolves when every thread has it, those that are being started as well: their queue's backlog is theirs to judge. At once while they
   * stop: their descriptors may be other files' by then.
   */
  async #toAll(tell: (thread: DataThread) => Promise<void>): Promise<void> {
    if (this.#stopping) return;
    const running = this.#threads.filter((thread) => thread !== null);
    await Promise.all([...running.map(tell), ...this.#starting]);
  }

  /** Resolves when it judges by what is in force then. Rejects with what ended it before. */
  async #startQueue(i: number): Promise<void> {
    const started = this.#started(i);
    const settled = started.catch(() => {}).finally(() => this.#starting.delete(settled));
    this.#starting.add(settled);
    await started;
  }

  async #started(i: number): Promise<void> {
    const { who = null } = this.#options;
    const { port1: ours, port2: names } = new MessageChannel();
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
      beats: newCount(),
      recorded: this.#options.recorded,
      names,
    };
    const worker = this.#newWorker(queueFile, data, [names]);
    const thread = new DataThread(worker, data.taken);
    const { wake: descriptor, queue } = await ready<{ wake: number; queue: number }>(worker, ours);
    thread.wake = descriptor;
    if (this.#stopping) {
      // All that was there is stopped already; this one would go on, and hold its queue.
      ours.close();
      await worker.terminate();
      return;
    }
    // Between the snapshot and now the policy or the bindings may have changed.
    this.#threads[i] = thread;
    worker.on("message", (message: FromWorker) => this.#received(thread, message));
    worker.on("error", (error) => (thread.why = String(error)));
    // Always comes, and when nothing of the thread runs any more.
    worker.on("exit", () => this.#died(i, thread, queue));
    const looked = (silence: number) => this.#looked(i, thread, silence);
    thread.pulse = new Pulse(data.beats, looked, this.#options.every ?? everySecond);
    const told = this.#policy === data.policy ? [] : [inForce(thread, { ...this.#policy })];
    told.push(thread.tell({ kind: "overdrawn", overdrawn: this.#overdrawn }));
    told.push(thread.tell({ kind: "bind", bindings: this.#options.bindings() }));
    this.#options.onLink({ port: ours, wake: thread.wake });
    await Promise.all(told);
  }

  async #startConntrack(): Promise<DataThread> {
    const data: ConntrackWorkerData = { namespace: this.#options.namespace };
    const worker = this.#newWorker(conntrackFile, data);
    const thread = new DataThread(worker);
    thread.wake = (await ready(worker)).wake;
    worker.on("message", (message: FromConntrack) => {
      if (message.kind === "ended") this.#options.onEnded(message.ended, message.lost);
    });
    worker.on("error", (error) => {
      if (!this.#stopping) this.#options.onFailure(`the connection watcher failed: ${String(error)}`, true);
    });
    return thread;
  }

  #newWorker(file: URL, data: QueueWorkerData | ConntrackWorkerData, ports: MessagePort[] = []): Worker {
    const worker = this.#options.spare?.take(file) ?? threadOf(file);
    worker.postMessage(data, ports);
    return worker;
  }

  #received(thread: DataThread, message: FromWorker): void {
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
      thread.confirmed(message.sequence);
    }
  }

  /** Its queue fills up meanwhile, and what does not fit is dropped. */
  #looked(i: number, thread: DataThread, silence: number): void {
    if (silence < (this.#stopping ? patience.end : patience.always)) return;
    thread.pulse?.end();
    thread.why = `it hung, without a sign of life for ${silence} seconds`;
    const missing = `data-path thread ${i} hung when it was to end: what it had not told is missing`;
    if (this.#stopping) this.#options.onFailure(missing, false);
    // Else nobody would end, nor a change be in force, as long as it hangs.
    const isGone = () => this.#threads[i] !== thread;
    void terminated(thread.worker, terminateMs).then(() => {
      if (isGone()) return;
      thread.gone();
      if (!this.#stopping) this.#options.onFailure(`data-path thread ${i} cannot be ended: ${thread.why}`, true);
    });
  }

  #died(i: number, thread: DataThread, queue: number): void {
    thread.pulse?.end();
    thread.gone();
    if (this.#threads[i] !== thread) return;
    if (this.#stopping) return;
    // Descriptors are the process's: the kernel would go on filling the queue, and let nobody else listen to it. The one that wakes the
    // thread stays: others may write to it until they hear of this.
    libc.close(queue);
    this.#threads[i] = null;
    if (thread.statistics !== null) this.#past.push({ ...thread.statistics, pending: 0, pendingBytes: 0 });
    if (thread.verdictTimes !== null) this.#pastTimes.push(thread.verdictTimes);
    const now = Date.now();
    this.#deaths.push(now);
    const lately = this.#deaths.filter((at) => now - at < 60_000).length;
    const fatal = lately > mostRestarts.minute || this.#deaths.length > mostRestarts.ever;
    this.#options.onFailure(`data-path thread ${i} died: ${thread.why}`, fatal);
    if (fatal) return;
    this.#startQueue(i).catch((error: unknown) => this.#options.onFailure(String(error), true));
  }
}

/** Resolves when the thread judges by this policy, or is gone. */
function inForce(thread: DataThread, policy: PolicyAt): Promise<void> {
  return sendPolicy(policy, (part) => thread.tell({ kind: "policy", part }));
}

/** The thread's descriptors once it is set up; rejects with the error that ended it before that, and closes what led to it. */
async function ready<T extends { wake: number }>(worker: Worker, link?: MessagePort): Promise<T> {
  try {
    return await firstWord(worker, "A data-path thread");
  } catch (error) {
    link?.close();
    throw error;
  }
}
