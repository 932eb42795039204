/**
 * What a data-path thread has settled, on its way to the main thread: gathered for some milliseconds, because each message wakes that
 * thread, and held back where it or the record is behind.
 */
import { behindBy, mostBehind, type Progress } from "../audit/progress.ts";
import type { EventBody } from "../audit/event.ts";
import type { Engine } from "../policy/decision.ts";
import { type FromWorker, type LiveFlow, mostUntaken, type ShownName } from "./messages.ts";
import { batchSize, Outbox } from "./outbox.ts";

/** What was settled is told this often, ms, or when a batch has gathered. */
export const tellMs = 10;
/**
 * What is settled and cannot be told yet, because the main thread or the record is behind. Beyond it no packet is judged until some of it is
 * told: packets wait in the kernel's queue, which drops what it has no room for. Nothing is judged that would not be recorded.
 */
const mostUntold = 16_384;

type Settled = Extract<FromWorker, { kind: "settled" }>;

export interface TellerOptions {
  post: (message: Settled) => void;
  /** How many messages the main thread has taken: shared memory, and what waits on it is woken by each. */
  taken: Int32Array<SharedArrayBuffer>;
  recorded: Progress;
  /** What goes with each message, as it is then. */
  figures: () => Pick<Settled, "statistics" | "verdictTimes">;
}

export class Teller {
  readonly #options: TellerOptions;
  readonly #outbox = new Outbox();
  #tellAt = Number.POSITIVE_INFINITY;
  #told = 0;

  constructor(options: TellerOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#outbox.size === 0;
  }

  /** Nothing more may be settled before some of it is told. */
  get isBehind(): boolean {
    return this.#outbox.size >= mostUntold;
  }

  /** Waits until the main thread has taken something, so many ms at most. */
  waitUntilTaken(ms: number): void {
    const { taken } = this.#options;
    Atomics.wait(taken, 0, Atomics.load(taken, 0), ms);
  }

  settle(event: EventBody, live: LiveFlow | null, engine: Engine, now: number): void {
    if (this.isEmpty) this.#tellAt = now + tellMs;
    this.#outbox.settle(event, live, engine);
  }

  named(judged: ShownName, now: number): void {
    const wasEmpty = this.isEmpty;
    this.#outbox.show(judged, now);
    if (wasEmpty && !this.isEmpty) this.#tellAt = now + tellMs;
  }

  /** Tells what is due, as much as the main thread and the record have time for. */
  tellDue(now: number): void {
    if (now < this.#tellAt && this.#outbox.size < batchSize) return;
    while (!this.isEmpty && this.#isHeard) this.tell();
  }

  tellAll(): void {
    while (!this.isEmpty) this.tell();
  }

  /** Tells the oldest of what is settled, or the figures alone. */
  tell(): void {
    const told = this.#outbox.take();
    if (this.isEmpty) this.#tellAt = Number.POSITIVE_INFINITY;
    this.#told = (this.#told + 1) | 0;
    this.#options.post({ kind: "settled", told, ...this.#options.figures() });
  }

  get #isHeard(): boolean {
    const { taken, recorded } = this.#options;
    return ((this.#told - Atomics.load(taken, 0)) | 0) < mostUntaken && behindBy(recorded) < mostBehind;
  }
}
