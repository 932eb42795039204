/** Starting the product's threads: by the name of their file, and before it is known what for. */
import { Worker } from "node:worker_threads";
import { SallyportError } from "../errors.ts";
import type { TableBeginning } from "../process/table.ts";
import type { AttributionOptions } from "./attribution.ts";
import type { QueueWorkerPreparation } from "./messages.ts";

export const queueFile = new URL("./queue-worker.ts", import.meta.url);
export const conntrackFile = new URL("./conntrack-worker.ts", import.meta.url);

/**
 * Threads that load their modules while their owner still prepares the place, which takes as long. Give them to
 * `Enforcer.start`, or stop them.
 */
export class SpareThreads {
  readonly #spare: { file: URL; worker: Worker; failure: Error | null }[] = [];

  /** For so many queues; `others` are threads' files of other rooms, which take their first message for what they are to do. */
  constructor(queues: number, others: readonly URL[] = []) {
    for (const file of [conntrackFile, ...Array.from({ length: queues }, () => queueFile), ...others]) {
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

/** Named after its file, as `top -H` shows it. */
export function threadOf(file: URL): Worker {
  return new Worker(file, { name: file.pathname.replace(/^.*\/|\.[jt]s$/g, "") });
}

/** How long a thread may take until it says that it is ready, ms: a busy machine needs some seconds. */
const firstWordMs = 120_000;

/**
 * What a thread says first; rejects with the error that ended it before that. One that says nothing is ended: whoever starts must not
 * wait for ever, neither enforcing nor failing. `name` for whoever reads of it.
 */
export function firstWord<T>(worker: Worker, name: string, withinMs = firstWordMs): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => {
      worker.off("exit", ended);
      reject(new SallyportError("INTERNAL", `${name} was not ready within ${withinMs / 1000} s.`));
      void worker.terminate();
    }, withinMs);
    const ended = () => {
      clearTimeout(late);
      reject(new SallyportError("INTERNAL", `${name} ended before it was ready.`));
    };
    const failed = (error: Error & { code?: string; data?: Record<string, unknown> }) => {
      clearTimeout(late);
      // An error crosses threads as a copy without its class.
      const known = error.name === "SallyportError" && typeof error.code === "string";
      reject(known ? new SallyportError(error.code as "INTERNAL", error.message, error.data ?? {}) : error);
    };
    worker.once("error", failed);
    worker.once("exit", ended);
    worker.once("message", (word: T) => {
      clearTimeout(late);
      worker.off("error", failed);
      worker.off("exit", ended);
      resolve(word);
    });
  });
}
