/**
 * The thread that keeps the record: a spool, and whoever has something for it at the other end of a port (`recorder.ts`). Messages are
 * taken in their order, so many in a turn of the event loop that the files have theirs in between.
 */
import { parentPort } from "node:worker_threads";
import { SallyportError } from "../errors.ts";
import { type Progress, take } from "./progress.ts";
import type { FromRecorder, RecorderOrder, RecorderSetup, Standing, ToRecorder } from "./recorder-messages.ts";
import { Spool } from "./spool.ts";

/** UTF-16 units of text taken in one turn: some milliseconds. */
const unitsPerTurn = 1024 * 1024;
/** How it stands is told so often, ms, where it is not as it was. */
const tellMs = 250;

const port = parentPort!;
const post = (message: FromRecorder) => port.postMessage(message);

class RecorderThread {
  readonly #spool: Spool;
  readonly #progress: Progress;
  #queue: ToRecorder[] = [];
  #next = 0;
  #scheduled = false;
  #taken = 0;
  #missed = 0;
  #told = "";
  /** How it stood when it was closed. */
  #final: Standing | null = null;

  constructor(spool: Spool, progress: Progress) {
    this.#spool = spool;
    this.#progress = progress;
  }

  run(): void {
    port.on("message", (message: ToRecorder) => {
      this.#queue.push(message);
      this.#schedule();
    });
    setInterval(() => this.#tell(), tellMs).unref();
    post({ kind: "opened", standing: this.#standing() });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    let units = 0;
    while (this.#next < this.#queue.length && units < unitsPerTurn) units += this.#take(this.#queue[this.#next++]!);
    if (this.#next < this.#queue.length) return this.#schedule();
    this.#queue = [];
    this.#next = 0;
  }

  /** Units of text that it brought. */
  #take(message: ToRecorder): number {
    switch (message.kind) {
      case "bodies": {
        const { bodies } = message;
        this.#spool.appendAll(bodies);
        this.#taken += bodies.events;
        take(this.#progress, bodies.text.length);
        return bodies.text.length;
      }
      case "missed":
        this.#missed += message.events;
        this.#spool.missed(message.events);
        return 0;
      case "forget":
        this.#spool.forget(message.bytes);
        return 0;
      default:
        void this.#answer(message, message.sequence);
        return 0;
    }
  }

  async #answer(order: RecorderOrder, sequence: number): Promise<void> {
    const ok = order.kind === "confirm" ? await this.#spool.confirm(order.body) : await this.#obey(order.kind);
    post({ kind: "answer", sequence, ok, standing: this.#standing() });
  }

  async #obey(kind: Exclude<RecorderOrder["kind"], "confirm">): Promise<boolean> {
    if (kind === "flush") await this.#spool.flush();
    if (kind === "close") await this.#close();
    return true;
  }

  async #close(): Promise<void> {
    const status = await this.#spool.close();
    this.#final = { status, taken: this.#taken, missed: this.#missed };
  }

  #standing(): Standing {
    return this.#final ?? { status: this.#spool.status(), taken: this.#taken, missed: this.#missed };
  }

  #tell(): void {
    const standing = this.#standing();
    const text = JSON.stringify(standing);
    if (text === this.#told) return;
    this.#told = text;
    post({ kind: "standing", standing });
  }
}

async function keep({ options, progress }: RecorderSetup): Promise<void> {
  // The claim on the directory is the other end's.
  const claim = { directory: options.directory, release: () => {} };
  try {
    new RecorderThread(await Spool.open(options, claim), progress).run();
  } catch (error) {
    const { code = null, data = {} } = error instanceof SallyportError ? error : {};
    post({ kind: "failed", code, message: (error as Error).message, data });
  }
}

// Not `workerData`: a thread is started before it is known what for, so that its modules are loaded by then. Null: it is not needed.
port.once("message", (setup: RecorderSetup | null) => {
  if (setup !== null) void keep(setup);
});
