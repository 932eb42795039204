/**
 * The exporter as the enforcer's process sees it: started, watched, started again where it dies, told to end. It takes part
 * in no decision and holds nothing: the record on the disk is its queue, and each sink's cursor says how far it is.
 */
import { fork, type ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { SinkConfig } from "../config/sink.ts";
import type { FromExporter, ToExporter } from "./messages.ts";
import { beginning, type SinkStatus } from "./record.ts";

const file = new URL("./process.ts", import.meta.url);
/** Megabytes of JavaScript heap; a batch of each of many sinks fits many times over. */
const heapMegabytes = 256;
/** The system's authorities are trusted beside those that Node carries: a company's own is in the system's alone. */
const systemAuthorities = ["--use-system-ca"].filter((flag) => process.allowedNodeEnvironmentFlags.has(flag));
/** First and longest wait before it is started again, milliseconds. */
const restartMs = { first: 1_000, longest: 30_000 } as const;
/** A process that lived so long died of something new, milliseconds. */
const healthyMs = 60_000;

export interface ExporterOptions {
  /** The state directory whose record is exported. */
  state: string;
  sinks: readonly SinkConfig[];
  /** Something that no retry repairs: for the record. */
  incident: (message: string, data: Record<string, unknown>) => void;
}

export class Exporter {
  readonly #options: ExporterOptions;
  #child: ChildProcess | null = null;
  #status: SinkStatus[];
  #restart: NodeJS.Timeout | null = null;
  #deaths = 0;
  #died: string | null = null;
  #stopping = false;

  constructor(options: ExporterOptions) {
    this.#options = options;
    this.#status = options.sinks.map(({ name }) => unheard(name));
    this.#start();
  }

  /** The sinks as they were told about last, at most about a second ago. */
  status(): readonly SinkStatus[] {
    return this.#status;
  }

  /** What is wrong for good, in words. */
  problems(): string[] {
    const dead = this.#child === null && !this.#stopping;
    return [
      ...(dead ? [`the exporter is not running: ${this.#died ?? "it could not be started"}`] : []),
      ...this.#status.map(({ problem }) => problem).filter((problem) => problem !== null),
    ];
  }

  /**
   * Lets the sinks take what is durable, for at most so long; then the process is gone. A sink that fails is not waited for,
   * but where `patient`.
   */
  async stop(withinMs: number, patient = false): Promise<void> {
    this.#stopping = true;
    if (this.#restart !== null) clearTimeout(this.#restart);
    const child = this.#child;
    if (child === null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.send({ kind: "stop", withinMs, patient } satisfies ToExporter, () => {});
    const late = setTimeout(() => child.kill("SIGKILL"), withinMs + 1_000);
    const waited = new AbortController();
    // A process that waits for a file system is not even killed before that answers: it is left to itself then.
    await Promise.race([gone, sleep(withinMs + 2_000, undefined, { signal: waited.signal }).catch(() => {})]);
    waited.abort();
    clearTimeout(late);
    child.stderr?.destroy();
    if (child.connected) child.disconnect();
    child.unref();
  }

  /** Never throws: no descriptor or no memory for a process is a reason to try again, and none to end what enforces. */
  #start(): void {
    const started = performance.now();
    let child: ChildProcess;
    try {
      child = this.#fork();
    } catch (error) {
      return this.#over((error as Error).message, started);
    }
    this.#child = child;
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2_000)));
    child.on("message", (message: FromExporter) => this.#received(message));
    const over = (how: string) => {
      // Once: a process that could not be made has an error and perhaps no exit.
      if (this.#child === child)
        this.#over(`${how}${said === "" ? "" : `: ${said.trim().split("\n").at(-1)}`}`, started);
    };
    child.on("error", (error) => {
      if (child.pid === undefined) over(error.message);
    });
    child.on("exit", (code, signal) => over(signal ?? `exit code ${code}`));
    const { state, sinks } = this.#options;
    // Secrets cross here, not as arguments or variables that other processes can read.
    child.send({ kind: "start", state, sinks: [...sinks] } satisfies ToExporter, () => {});
  }

  #over(how: string, started: number): void {
    this.#child = null;
    if (this.#stopping) return;
    this.#died = how;
    if (performance.now() - started > healthyMs) this.#deaths = 0;
    const wait = Math.min(restartMs.longest, restartMs.first * 2 ** this.#deaths++);
    this.#options.incident(`the exporter died (${how}); it is started again in ${wait / 1000} s`, {});
    this.#restart = setTimeout(() => this.#start(), wait);
  }

  #fork(): ChildProcess {
    return fork(file, {
      // Its own flags: those of the process it comes from are about something else (tests, debuggers).
      execArgv: [
        "--disable-warning=ExperimentalWarning",
        `--max-old-space-size=${heapMegabytes}`,
        ...systemAuthorities,
      ],
      // A file operation that hangs, or a name lookup, holds one thread: of one sink, never all.
      env: { ...process.env, UV_THREADPOOL_SIZE: String(8 + 2 * this.#options.sinks.length) },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
  }

  #received(message: FromExporter): void {
    if (message.kind === "status") this.#status = message.sinks;
    else this.#options.incident(message.message, message.data);
  }
}

/** Before a sink has been told of. */
function unheard(name: string): SinkStatus {
  const counts = { delivered: 0, failures: 0, failing: 0, lost: 0, rejected: 0 };
  const nothing = { last_error: null, problem: null };
  return { name, to: "", state: "waiting", seq: beginning.seq, lag: 0, lag_seconds: 0, ...counts, ...nothing };
}
