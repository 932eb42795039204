/** One thread of the data path as the main thread has it: what it is told, and whether it has it. */
import type { Worker } from "node:worker_threads";
import { wake } from "../kernel/wait.ts";
import type { HistogramCounts } from "../metrics/histogram.ts";
import type { ToWorker, WorkerStatistics } from "./messages.ts";
import type { Pulse } from "./pulse.ts";

type Command = ToWorker extends infer T ? (T extends ToWorker ? Omit<T, "sequence"> : never) : never;

export class DataThread {
  readonly worker: Worker;
  readonly taken: Int32Array<SharedArrayBuffer>;
  /** Ends its wait; -1 until it has said so. */
  wake = -1;
  statistics: WorkerStatistics | null = null;
  verdictTimes: HistogramCounts | null = null;
  /** Null of the one that judges nothing. */
  pulse: Pulse | null = null;
  /** What will have ended it, where that is known before it has. */
  why = "exited";
  /** By sequence number, what is not confirmed yet. */
  readonly #waiting = new Map<number, () => void>();
  #sequence = 0;
  #isGone = false;

  constructor(worker: Worker, taken: Int32Array<SharedArrayBuffer> = newCount()) {
    this.worker = worker;
    this.taken = taken;
  }

  /** Resolves when the thread has it, or is gone. */
  async tell(command: Command): Promise<void> {
    if (this.#isGone) return;
    const sequence = ++this.#sequence;
    const confirmed = new Promise<void>((resolve) => this.#waiting.set(sequence, resolve));
    this.worker.postMessage({ ...command, sequence });
    wake(this.wake);
    await confirmed;
  }

  /** It has what was told with that number. */
  confirmed(sequence: number): void {
    this.#waiting.get(sequence)?.();
    this.#waiting.delete(sequence);
  }

  /** Nobody waits any more for what it was told or is told from now on. */
  gone(): void {
    this.#isGone = true;
    for (const resolve of this.#waiting.values()) resolve();
    this.#waiting.clear();
  }
}

/** A count that threads share. */
export function newCount(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4));
}
