/**
 * The observer as the agent's main thread has it: started, told who connected, asked to finish. What it finds goes into the record as
 * it comes. If it ends by itself that is told: a job is not quietly watched by nobody.
 */
import type { Worker } from "node:worker_threads";
import type { EventBody } from "../audit/event.ts";
import type { SpareThreads } from "../datapath/threads.ts";
import { SallyportError } from "../errors.ts";
import type { KnownOffsets } from "../kernel/btf.ts";
import { wake } from "../kernel/wait.ts";
import type { ProcessTable, TableBeginning } from "../process/table.ts";
import type { FromObserver, ObserverData, ToObserver } from "./observer-messages.ts";
import type { AgentOrder } from "./order.ts";

export const observerFile = new URL("./observer-worker.ts", import.meta.url);
/** It answers in milliseconds, unless the machine is starved, ms. */
const finishMs = 20_000;

export interface Telling {
  record: (event: EventBody) => void;
  /** It is gone, by itself. */
  onFailure: (message: string) => void;
}

/** What an observer begins with, besides an order. */
export interface ObserverMeans {
  processes: ProcessTable;
  beginning: TableBeginning | undefined;
  types: KnownOffsets | undefined;
  spare: SpareThreads;
}

type ObserverThreadOptions = ObserverData & Telling & Pick<ObserverMeans, "spare">;

/** An observer that is being started: its thread takes its time, beside whatever else is. */
export interface Observing {
  /** Rejects with what kept it from observing. */
  readonly started: Promise<ObserverThread>;
  /** What is started beside it; where that fails it is ended. */
  beside<T>(other: Promise<T>): Promise<T>;
  /** Ends it, once it has started. Never by force: koffi aborts the process when it is interrupted while it loads. */
  stop(): Promise<void>;
}

/** Starts to observe the processes of an agent's order. */
export function observe(order: AgentOrder, means: ObserverMeans, telling: Telling): Observing {
  const { beginning, types, spare } = means;
  const { worker, notes } = means.processes;
  const { secrets, file_monitoring, workspace } = order;
  const started = ObserverThread.start({
    ...telling,
    ...(beginning === undefined ? {} : { beginning }),
    ...(types === undefined ? {} : { types }),
    spare,
    worker,
    notes,
    secrets,
    workspace: file_monitoring ? workspace : null,
  });
  const stop = () =>
    started.then(
      (observer) => observer.stop(),
      () => {},
    );
  // Whoever waits for it hears of it.
  started.catch(() => {});
  const beside = <T>(other: Promise<T>) =>
    other.catch(async (error: unknown) => {
      await stop();
      throw error;
    });
  return { started, beside, stop };
}

export class ObserverThread {
  /** What it cannot see, in words. */
  readonly limits: readonly string[];
  /** The same, and what it could not watch since, as of the last {@link ObserverThread.finish}. */
  gaps: readonly string[];
  readonly #worker: Worker;
  readonly #wake: number;
  readonly #record: (event: EventBody) => void;
  #isGone = false;
  #finished: (() => void)[] = [];

  private constructor(worker: Worker, wakeDescriptor: number, limits: string[], options: ObserverThreadOptions) {
    this.#worker = worker;
    this.#wake = wakeDescriptor;
    this.gaps = this.limits = limits;
    this.#record = options.record;
    worker.on("message", (message: FromObserver) => this.#received(message));
    worker.on("error", (error: Error) => this.#ended(options, error.message));
    worker.on("exit", () => this.#ended(options, "it exited"));
  }

  /** Observes when it resolves. Rejects with what kept it from that. */
  static async start(options: ObserverThreadOptions): Promise<ObserverThread> {
    const { record: _, onFailure: __, spare, ...data } = options;
    const worker = spare.take(observerFile);
    worker.postMessage(data satisfies ObserverData);
    return await new Promise((resolve, reject) => {
      const ended = () => reject(new SallyportError("INTERNAL", "The observer's thread ended before it was ready."));
      const failed = (error: Error & { code?: string }) => {
        // An error crosses threads as a copy without its class.
        const isOurs = error.name === "SallyportError" && typeof error.code === "string";
        reject(isOurs ? new SallyportError(error.code as "INTERNAL", error.message) : error);
      };
      worker.once("exit", ended);
      worker.once("error", failed);
      worker.once("message", (message: FromObserver) => {
        worker.off("exit", ended);
        worker.off("error", failed);
        if (message.kind === "ready") resolve(new ObserverThread(worker, message.wake, message.limits, options));
        else ended();
      });
    });
  }

  /** An event of the record: who connected. */
  see({ kind, process: who, destination }: EventBody): void {
    if (kind !== "connection" || who === undefined || !who.certain || who.runner) return;
    const where = destination?.name ?? destination?.ip ?? "unknown";
    this.#post({ kind: "connected", connected: { pid: who.pid, where, port: destination?.port ?? null } });
  }

  /** Resolves when all that there is to tell is recorded; what did not come in time is a gap. */
  async finish(): Promise<void> {
    if (this.#isGone) return;
    const late = "what processes did was not told to the end: the observer did not answer";
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.gaps = [...this.gaps, late];
        resolve();
      }, finishMs);
      this.#finished.push(() => {
        clearTimeout(timer);
        resolve();
      });
      this.#post({ kind: "finish" });
    });
  }

  /** Resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#isGone) return;
    const exit = new Promise((resolve) => this.#worker.once("exit", resolve));
    this.#post({ kind: "stop" });
    this.#isGone = true;
    await exit;
  }

  #post(message: ToObserver): void {
    // Its descriptor may be another file's by then.
    if (this.#isGone) return;
    this.#worker.postMessage(message);
    wake(this.#wake);
  }

  #received(message: FromObserver): void {
    if (message.kind === "record") this.#record(message.event);
    else if (message.kind === "finished") {
      this.gaps = message.gaps;
      this.#release();
    }
  }

  #ended({ onFailure }: ObserverThreadOptions, why: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#release();
    onFailure(`what processes do is no longer watched: ${why}`);
  }

  #release(): void {
    for (const done of this.#finished.splice(0)) done();
  }
}
