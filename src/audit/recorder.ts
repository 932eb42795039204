/**
 * The record, kept by a thread of its own: hashing and files take no turn of the event loop that serves DNS. What is recorded crosses
 * as text, in batches. This is the main thread's end of it; the other is `recorder-thread.ts`, and the work is `spool.ts`'s, whose
 * promises hold: `append` never throws and never waits, what `flush` confirmed survives a power cut, and what was appended a flush
 * interval ago survives kill -9.
 *
 * Memory is bounded: what was handed over and not taken yet is measured (`progress.ts`). Who makes many events looks there and
 * waits; what comes all the same, far beyond that bound, is not kept but counted, and the record tells of it. Where the thread
 * dies the record stands still, everything is counted from then on, and `status` says so; whoever makes events goes on.
 */
import { Worker } from "node:worker_threads";
import { SallyportError } from "../errors.ts";
import { type Bodies, BodyWriter } from "./body.ts";
import { formatTime } from "./clock.ts";
import type { EventBody } from "./event.ts";
import { claimRecord, type StateLock } from "./lock.ts";
import { abandon, behindBy, mostBehind, newProgress, post, type Progress } from "./progress.ts";
import type { FromRecorder, RecorderOrder, RecorderSetup, Standing, ToRecorder } from "./recorder-messages.ts";
import type { SpoolOptions } from "./spool-options.ts";
import type { SpoolStatus } from "./spool-status.ts";

export type RecorderOptions = Omit<SpoolOptions, "clock">;

/** Begins a thread of this file, or has begun one that has heard nothing yet. */
export type StartThread = (file: URL) => Worker;

/** What is recorded one by one is gathered for so long, ms, or until there is so much of it (UTF-16 units). */
const gatherMs = 5;
const gatherUnits = 64 * 1024;
/** Most that waits between the threads, where those who made it could not wait. */
const mostHeld = 4 * mostBehind;

export const recorderFile = new URL("./recorder-thread.ts", import.meta.url);

export class Recorder {
  /** For threads that make many events. */
  readonly progress: Progress;
  /** Number of the first record that this one makes. */
  readonly first: number;
  readonly #worker: Worker;
  readonly #claim: StateLock;
  readonly #gathered = new BodyWriter();
  #timer: NodeJS.Timeout | undefined;
  #standing: Standing;
  /** Events handed over since the start; those that found no room, and how many of these the thread was told of. */
  #posted = 0;
  #missed = 0;
  #missedSince = 0;
  #told = 0;
  /** Events that came when it was closed. */
  #late = 0;
  readonly #waiting = new Map<number, (ok: boolean) => void>();
  #sequence = 0;
  #closing: Promise<SpoolStatus> | null = null;
  #dead: { why: string; since: number } | null = null;

  private constructor(worker: Worker, claim: StateLock, progress: Progress, standing: Standing) {
    this.#worker = worker;
    this.#claim = claim;
    this.progress = progress;
    this.#standing = standing;
    this.first = standing.status.seq + 1;
    worker.on("message", (message: FromRecorder) => this.#received(message));
    worker.on("error", (error) => this.#died(String(error)));
    worker.on("exit", () => this.#died("it ended"));
  }

  /** As `Spool.open`; rejects with the same. */
  static async open(options: RecorderOptions, startThread: StartThread = newThread): Promise<Recorder> {
    const claim = claimRecord(options.directory);
    const progress = newProgress();
    let worker: Worker | null = null;
    try {
      worker = startThread(recorderFile);
      worker.postMessage({ options, progress } satisfies RecorderSetup);
      return new Recorder(worker, claim, progress, await opened(worker));
    } catch (error) {
      await worker?.terminate();
      claim.release();
      throw error;
    }
  }

  /** Records an event. Never throws, never waits. */
  append(body: EventBody): void {
    this.#gathered.add(body);
    this.#gather();
  }

  /** Records an event whose text is there already, as `bodyText` writes it. */
  appendText(text: string): void {
    this.#gathered.addText(text);
    this.#gather();
  }

  /** Records a batch, after what was appended before it. */
  appendAll(bodies: Bodies): void {
    if (bodies.lines === 0) return;
    this.#handOver();
    this.#post(bodies);
  }

  /** As the thread said last: of everything that was appended before a `flush` or a `look` that has resolved. */
  status(): SpoolStatus {
    const { status, taken, missed } = this.#standing;
    const waiting = this.#missed - missed;
    if (this.#dead === null && waiting === 0) return { ...status, lost: status.lost + this.#late };
    // Where it is dead: what is not known to have arrived has not.
    const losing = this.#dead === null ? waiting : waiting + this.#posted - taken;
    const { since = this.#missedSince, why = null } = this.#dead ?? {};
    return {
      ...status,
      degraded: true,
      since: status.since ?? formatTime(since * 1000),
      fault: why === null ? (status.fault ?? "its thread is slower than the events") : `its thread failed: ${why}`,
      losing: status.losing + losing,
      lost: status.lost + losing + this.#late,
    };
  }

  /** Asks how it stands, with everything that was appended so far. */
  async look(): Promise<SpoolStatus> {
    await this.#ask({ kind: "look" });
    return this.status();
  }

  /** Resolves when everything appended so far is durable; while the disk fails it waits. */
  async flush(): Promise<void> {
    await this.#ask({ kind: "flush" });
  }

  /** Records an event and resolves true when it is durable; false where it was lost. While the disk fails it waits. */
  async confirm(body: EventBody): Promise<boolean> {
    return await this.#ask({ kind: "confirm", body });
  }

  /** Segments of so many bytes were deleted, by whoever is charged with it (`retention.ts`). */
  forget(bytes: number): void {
    this.#send({ kind: "forget", bytes });
  }

  /** As `Spool.close`: writes what is left, and never rejects. */
  async close(): Promise<SpoolStatus> {
    this.#closing ??= this.#close();
    return await this.#closing;
  }

  async #close(): Promise<SpoolStatus> {
    await this.#ask({ kind: "close" });
    const status = this.status();
    await this.#worker.terminate();
    this.#claim.release();
    return status;
  }

  #gather(): void {
    if (this.#gathered.length >= gatherUnits) this.#handOver();
    else this.#timer ??= setTimeout(() => this.#handOver(), gatherMs);
  }

  #handOver(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#gathered.lines > 0) this.#post(this.#gathered.take());
  }

  #post(bodies: Bodies): void {
    if (this.#closing !== null) {
      this.#late += bodies.events;
      return;
    }
    if (this.#dead !== null || behindBy(this.progress) > mostHeld) {
      if (this.#missed === this.#told) this.#missedSince = Date.now();
      this.#missed += bodies.events;
      return;
    }
    this.#tellMissed();
    this.#posted += bodies.events;
    post(this.progress, bodies.text.length);
    this.#send({ kind: "bodies", bodies });
  }

  #tellMissed(): void {
    if (this.#missed === this.#told || this.#dead !== null) return;
    this.#send({ kind: "missed", events: this.#missed - this.#told });
    this.#told = this.#missed;
  }

  #send(message: ToRecorder): void {
    if (this.#dead === null) this.#worker.postMessage(message);
  }

  /** Resolves false where there is no thread any more. */
  async #ask(order: RecorderOrder): Promise<boolean> {
    if (this.#closing === null) this.#handOver();
    if (this.#dead !== null) return false;
    this.#tellMissed();
    return await new Promise((resolve) => {
      const sequence = ++this.#sequence;
      this.#waiting.set(sequence, resolve);
      this.#send({ ...order, sequence });
    });
  }

  #received(message: FromRecorder): void {
    if (message.kind !== "answer" && message.kind !== "standing") return;
    this.#standing = message.standing;
    if (message.kind === "standing") return this.#tellMissed();
    this.#waiting.get(message.sequence)?.(message.ok);
    this.#waiting.delete(message.sequence);
  }

  #died(why: string): void {
    const isExpected = this.#closing !== null && this.#waiting.size === 0;
    if (this.#dead !== null || isExpected) return;
    this.#dead = { why, since: Date.now() };
    abandon(this.progress);
    for (const resolve of this.#waiting.values()) resolve(false);
    this.#waiting.clear();
  }
}

function newThread(file: URL): Worker {
  return new Worker(file, { name: "recorder" });
}

/** How the record stood when it was opened; rejects with why it was not. */
function opened(worker: Worker): Promise<Standing> {
  return new Promise((resolve, reject) => {
    worker.once("message", (message: FromRecorder) => {
      if (message.kind === "opened") resolve(message.standing);
      else if (message.kind === "failed")
        reject(new SallyportError(message.code ?? "INTERNAL", message.message, message.data));
    });
    worker.once("error", reject);
    worker.once("exit", () =>
      reject(new SallyportError("INTERNAL", "The thread that keeps the record ended at once.")),
    );
  });
}
