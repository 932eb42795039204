/**
 * Brings the record to one sink: reads from the sink's own cursor, sends a batch, and moves the cursor only when the sink has
 * taken it. At least once: what a sink may not have is sent again. A sink that hangs, refuses or breaks off is tried again,
 * later and later, for ever; memory stays at one batch meanwhile, because the record itself is the queue.
 *
 * What no retry can bring back is told through `incident`: records that were removed before the sink had them, a chain that
 * is not the one the sink has, one record that the sink calls too large. One courier a sink; they share nothing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { EventKind } from "../audit/event.ts";
import { waitAfter } from "./backoff.ts";
import { type Cursor, oldest } from "./cursor.ts";
import { DeliveryFailure, wordsOf } from "./failure.ts";
import { beginning, type Outgoing, type Position, type SinkStatus } from "./record.ts";
import { Standing } from "./standing.ts";
import { holds, readBatch, type BatchBounds } from "./tail.ts";

/** Takes records somewhere else. One delivery at a time. */
export interface Sink {
  /** Where to, for people; no secrets. */
  readonly to: string;
  /**
   * Resolves when the far end has taken all of them, with how many of them it refused for good; rejects (best with a
   * {@link DeliveryFailure}) where it is not certain that it has. Must end soon after `signal` is aborted.
   */
  deliver(records: readonly Outgoing[], signal: AbortSignal): Promise<{ rejected: number; message: string } | void>;
  /** Ends connections that are kept open. */
  close(): void;
}

export interface CourierOptions {
  state: string;
  name: string;
  sink: Sink;
  cursor: Cursor;
  /** Only events of these kinds are sent; null: all. */
  kinds?: readonly EventKind[] | null;
  /** Number of the last record known to be durable. */
  durable: () => number;
  /** Something that no retry repairs, for the record and for people. */
  incident: (message: string, data: Record<string, unknown>) => void;
  bounds?: BatchBounds;
  /** A delivery that takes longer has failed, milliseconds. */
  timeoutMs?: number;
  /** A problem stands in the status at least so long, milliseconds. */
  problemMs?: number;
  /** From 0 to 1, for the jitter. */
  chance?: () => number;
}

const defaults = { kinds: null, bounds: { records: 500, bytes: 1024 * 1024 }, timeoutMs: 30_000, problemMs: 600_000 };
/** The cursor is written at most this often, milliseconds. */
const saveMs = 500;

export class Courier {
  readonly #options: Required<CourierOptions>;
  readonly #stop = new AbortController();
  #position: Position = beginning;
  #saved: Position = beginning;
  #savedAt = Number.NEGATIVE_INFINITY;
  /** Read and not yet delivered. */
  #batch: Outgoing[] = [];
  /**
   * Records sent at once: halved where that is too much or takes too long (over a thin line a full batch would never arrive),
   * and doubled again up to `most`, which comes back more slowly: not every second attempt shall be one too many.
   */
  #limit: number;
  #most: number;
  #wake: () => void = () => {};
  #state: SinkStatus["state"] = "waiting";
  #counts = { delivered: 0, failures: 0, failing: 0 };
  #lastError: SinkStatus["last_error"] = null;
  readonly #standing: Standing;

  constructor(options: CourierOptions) {
    this.#options = { chance: Math.random, ...defaults, ...options };
    this.#limit = this.#options.bounds.records;
    this.#most = this.#limit;
    this.#standing = new Standing(this.#options);
  }

  /** Runs until {@link stop}. Never rejects. */
  async run(): Promise<void> {
    await this.#begin();
    // At once: retention keeps for a sink what is behind its cursor, and what goes before it begins is no loss of its own.
    await this.#save(true);
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (this.#batch.length === 0) await this.#read();
        if (signal.aborted) break;
        if (this.#batch.length > 0) await this.#deliver();
        else await this.#rest();
      } catch (error) {
        await this.#failed(error);
      }
    }
    await this.#save(true);
    this.#options.sink.close();
  }

  /** More may be durable. */
  wake(): void {
    this.#wake();
  }

  /** Breaks off what is under way. */
  stop(): void {
    this.#stop.abort();
    this.#wake();
  }

  /** True when the sink has everything that is durable. */
  get idle(): boolean {
    return this.#batch.length === 0 && this.#position.seq >= this.#options.durable();
  }

  status(now: number): SinkStatus {
    const lag = Math.max(0, this.#options.durable() - this.#position.seq);
    const oldest = Date.parse(this.#batch[0]?.event.time ?? "");
    return {
      name: this.#options.name,
      to: this.#options.sink.to,
      state: this.#state,
      seq: this.#position.seq,
      lag,
      lag_seconds: lag === 0 || Number.isNaN(oldest) ? 0 : Math.max(0, Math.round((now - oldest) / 1000)),
      ...this.#counts,
      ...this.#standing.counts,
      last_error: this.#lastError,
      problem: this.#standing.problemAt(this.#position),
    };
  }

  async #begin(): Promise<void> {
    const { state, name, cursor } = this.#options;
    const saved = await cursor.read();
    const durable = this.#options.durable();
    if (saved === null) this.#position = await this.#oldest();
    else if (saved === "damaged") {
      await this.#startOver(`the cursor of sink ${name} is damaged: it is sent everything again`, { durable });
    } else {
      this.#saved = saved;
      this.#position = saved;
      // What cannot be read now is told when it is read again.
      if (saved.seq <= durable && (await holds(state, saved).catch(() => true))) return;
      const message = `sink ${name} has records that the record has not: it is sent everything again`;
      await this.#startOver(message, { seq: saved.seq, durable });
    }
  }

  async #startOver(message: string, data: Record<string, unknown>): Promise<void> {
    this.#standing.tell(message, data, this.#options.durable());
    this.#position = await this.#oldest();
  }

  /** Never rejects: what cannot be listed now is told when it is read. */
  async #oldest(): Promise<Position> {
    return await oldest(this.#options.state).catch(() => ({ ...beginning }));
  }

  async #read(): Promise<void> {
    const { state, bounds, durable } = this.#options;
    const batch = await readBatch(state, this.#position, durable(), bounds);
    for (const trouble of batch.troubles) this.#standing.missing(trouble);
    this.#batch = batch.records;
    if (batch.records.length === 0) this.#position = batch.end;
  }

  async #deliver(): Promise<void> {
    const { sink, kinds, timeoutMs } = this.#options;
    const next = this.#batch.slice(0, this.#limit);
    const records = kinds === null ? next : next.filter(({ event }) => kinds.includes(event.kind));
    if (this.#counts.failing === 0) this.#state = "sending";
    const refused =
      records.length === 0 ? undefined : await this.#within(timeoutMs, (signal) => sink.deliver(records, signal));
    if (refused !== undefined) this.#reject(records, refused.rejected, refused.message);
    this.#taken(next, records.length - (refused?.rejected ?? 0));
    await this.#save(false);
  }

  /** Runs a delivery that is broken off when its time is up, or when the courier stops. */
  async #within<T>(timeoutMs: number, deliver: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const delivery = new AbortController();
    const stop = () => delivery.abort();
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      delivery.abort();
    }, timeoutMs);
    this.#stop.signal.addEventListener("abort", stop);
    try {
      return await deliver(delivery.signal);
    } catch (error) {
      if (!isLate) throw error;
      this.#halve();
      throw new DeliveryFailure(`no answer within ${timeoutMs / 1000} s`);
    } finally {
      clearTimeout(timer);
      this.#stop.signal.removeEventListener("abort", stop);
    }
  }

  #taken(records: readonly Outgoing[], delivered: number): void {
    this.#batch = this.#batch.slice(records.length);
    this.#position = records.at(-1)!.at;
    this.#counts.delivered += delivered;
    this.#counts.failing = 0;
    this.#state = "sending";
    if (this.#limit === this.#most) {
      this.#most = Math.min(this.#options.bounds.records, this.#most + Math.ceil(this.#most / 10));
    }
    this.#limit = Math.min(this.#most, this.#limit * 2);
  }

  #halve(): void {
    this.#limit = Math.ceil(Math.min(this.#limit, this.#batch.length) / 2);
    this.#most = this.#limit;
  }

  #reject(records: readonly Outgoing[], rejected: number, message: string): void {
    this.#standing.reject(records[0]!.event.seq, records.at(-1)!.event.seq, rejected, message);
  }

  async #failed(error: unknown): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const failure = error instanceof DeliveryFailure ? error : null;
    this.#counts.failures++;
    this.#lastError = { at: new Date().toISOString(), message: wordsOf(error) };
    if (failure?.tooLarge === true) {
      const sent = this.#batch.slice(0, this.#limit);
      if (sent.length <= 1) {
        this.#reject(sent, 1, failure.message);
        this.#taken(sent, 0);
      } else this.#halve();
      return;
    }
    this.#counts.failing++;
    this.#state = "failing";
    await this.#save(false);
    const wait = waitAfter(this.#counts.failing, failure?.retryAfterMs ?? null, this.#options.chance());
    await sleep(wait, undefined, { signal: this.#stop.signal }).catch(() => {});
  }

  async #rest(): Promise<void> {
    await this.#save(true);
    if (!this.idle || this.#stop.signal.aborted) {
      // Durable, and not to be found: it is looked for again, not at once.
      await sleep(saveMs, undefined, { signal: this.#stop.signal }).catch(() => {});
      return;
    }
    this.#state = "waiting";
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      // What became durable before this wait began.
      if (!this.idle || this.#stop.signal.aborted) resolve();
    });
  }

  async #save(now: boolean): Promise<void> {
    if (this.#saved === this.#position || (!now && performance.now() - this.#savedAt < saveMs)) return;
    const position = this.#position;
    this.#savedAt = performance.now();
    try {
      await this.#options.cursor.write(position);
      this.#saved = position;
    } catch (error) {
      this.#lastError = { at: new Date().toISOString(), message: `the cursor was not saved: ${wordsOf(error)}` };
    }
  }
}
