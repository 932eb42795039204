/**
 * Whether a thread still goes on, by what it counts up in shared memory. Looked at once a second; what is measured is how many looks in a
 * row found nothing new, and not the time: while this thread or the whole machine stands, nobody looks, and nothing that only takes long
 * is taken for dead.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Worker } from "node:worker_threads";

const lookMs = 1_000;

/** Calls `look` once a second; what it returns ends that. */
export type EverySecond = (look: () => void) => () => void;

export const everySecond: EverySecond = (look) => {
  const timer = setInterval(look, lookMs);
  return () => clearInterval(timer);
};

export class Pulse {
  readonly #beats: Int32Array<SharedArrayBuffer>;
  readonly #end: () => void;
  #seen: number;
  #silence = 0;

  /** `looked` is called after each look with {@link silence}. */
  constructor(beats: Int32Array<SharedArrayBuffer>, looked: (silence: number) => void, every: EverySecond) {
    this.#beats = beats;
    this.#seen = Atomics.load(beats, 0);
    this.#end = every(() => {
      const seen = Atomics.load(this.#beats, 0);
      this.#silence = seen === this.#seen ? this.#silence + 1 : 0;
      this.#seen = seen;
      looked(this.#silence);
    });
  }

  /** For how many looks, so for about how many seconds, there was no sign of life. */
  get silence(): number {
    return this.#silence;
  }

  /** Counts from here on, for a thread that has got something else to do. */
  restart(): void {
    this.#silence = 0;
  }

  end(): void {
    this.#end();
  }
}

/** Ends a thread; resolves after `withinMs` at the latest: in a system call that does not return nothing ends it. */
export async function terminated(worker: Worker, withinMs: number): Promise<void> {
  const done = new AbortController();
  const late = sleep(withinMs, undefined, { signal: done.signal }).catch(() => {});
  await Promise.race([worker.terminate(), late]);
  done.abort();
}
