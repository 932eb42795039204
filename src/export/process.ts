/**
 * The exporter's own process: a courier for each sink. A process and not a thread, because a process has one pool of threads
 * for files and name lookups: a sink on a hung network file system, or behind a resolver that is silent, would hold those
 * that write the record. So also its memory is bounded and given up first, and its work comes after that of the data path.
 *
 * It ends when its parent says so or is gone; signals are the parent's affair.
 */
import { writeFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { join } from "node:path";
import { readHead } from "../audit/segment.ts";
import { sweepUnfinished } from "../audit/small-file.ts";
import { Courier } from "./courier.ts";
import { Cursor } from "./cursor.ts";
import type { FromExporter, ToExporter } from "./messages.ts";
import { openSink } from "./sinks/open.ts";

/** How often it is looked whether more of the record is durable (the head is written once a second), milliseconds. */
const lookMs = 250;
const tellMs = 1_000;

class ExporterProcess {
  readonly #state: string;
  #durable = 0;
  #couriers: Courier[] = [];
  #told = "";
  #isLooking = false;

  constructor(state: string) {
    this.#state = state;
  }

  async run(sinks: Extract<ToExporter, { kind: "start" }>["sinks"]): Promise<void> {
    await sweepUnfinished(join(this.#state, "export"));
    // Not before the head has been read: without it a cursor would seem to be ahead of the record.
    while (!(await this.#look())) await new Promise((resolve) => setTimeout(resolve, lookMs));
    this.#couriers = sinks.map(
      (config) =>
        new Courier({
          state: this.#state,
          name: config.name,
          sink: openSink(config),
          kinds: config.kinds,
          cursor: new Cursor(this.#state, config.name),
          durable: () => this.#durable,
          incident: (message, data) => post({ kind: "incident", message, data }),
        }),
    );
    setInterval(() => {
      // A file system that hangs would take a thread each time, until none is left for the sinks.
      if (this.#isLooking) return;
      this.#isLooking = true;
      void this.#look().finally(() => (this.#isLooking = false));
    }, lookMs);
    setInterval(() => this.#tell(), tellMs);
    await Promise.all(this.#couriers.map((courier) => courier.run()));
    this.#tell();
  }

  /** Gives the sinks a last while, then ends. */
  async stop(withinMs: number, patient: boolean): Promise<void> {
    const end = performance.now() + withinMs;
    while (performance.now() < end) {
      await this.#look();
      // One that fails will hardly recover in a moment; its cursor stands, and the next start goes on from there.
      const now = Date.now();
      const isGivenUp = (courier: Courier) => !patient && courier.status(now).state === "failing";
      const over = this.#couriers.every((courier) => courier.idle || isGivenUp(courier));
      // None: told to stop before it had begun.
      if (over && this.#couriers.length > 0) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (this.#couriers.length === 0) process.disconnect!();
    for (const courier of this.#couriers) courier.stop();
  }

  /** True when the head has been read; a damaged one is written again in a moment, and until then nothing new is sent. */
  async #look(): Promise<boolean> {
    const head = await readHead(this.#state);
    if (head === null || head === "damaged") return false;
    if (head.seq > this.#durable) {
      this.#durable = head.seq;
      for (const courier of this.#couriers) courier.wake();
    }
    return true;
  }

  #tell(): void {
    const now = Date.now();
    const sinks = this.#couriers.map((courier) => courier.status(now));
    const text = JSON.stringify(sinks);
    if (text === this.#told) return;
    this.#told = text;
    post({ kind: "status", sinks });
  }
}

function post(message: FromExporter): void {
  // The parent may have gone in this very moment.
  if (process.connected) process.send!(message, undefined, {}, () => {});
}

/** Before the data path in the queue for memory, behind it in the queue for the processor. */
function stepBack(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", "800");
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Not allowed here: it only matters where both are short.
  }
}

stepBack();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
let exporter: ExporterProcess | null = null;
// At our own end too: nothing of ours is worth staying for, and an open connection would.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.on("message", (message: ToExporter) => {
  if (message.kind === "stop") return void exporter?.stop(message.withinMs, message.patient);
  exporter = new ExporterProcess(message.state);
  void exporter.run(message.sinks).then(() => process.disconnect!());
});
