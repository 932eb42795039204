/**
 * What the DNS firewall's thread has to tell: events written and counted as the data path's threads do, refused names that a flood
 * repeats counted instead of told, and bindings for the book that outlives the process. It is told before the answer leaves that it is
 * about: whatever a client does upon an answer comes later in the record.
 */
import { Aggregator } from "../audit/aggregate.ts";
import type { EventBody } from "../audit/event.ts";
import type { Told } from "../datapath/messages.ts";
import { Outbox } from "../datapath/outbox.ts";
import type { Binding } from "../flow/book.ts";
import type { Engine } from "../policy/decision.ts";
import { judgedInDns } from "./judged-in-dns.ts";

export interface DnsToldOptions {
  /** The policy in force now. */
  engine: () => Engine;
  tell: (told: Told, bindings: Binding[]) => void;
  /** What was told so far and is not taken yet, in events and names. */
  untaken: () => number;
}

/** What the main thread may be behind by, in events and names: beyond it nobody finds a place, and refusals are only counted. */
const mostUntaken = 16_384;

export class DnsTold {
  readonly #options: DnsToldOptions;
  readonly #names = new Aggregator({ maxKeys: 1_500, maxKeysPerSource: 500 });
  readonly #outbox = new Outbox();
  #bindings: Binding[] = [];
  /** What leaves when all this is told. */
  #leaving: (() => void)[] = [];
  #isDue = false;

  constructor(options: DnsToldOptions) {
    this.#options = options;
  }

  /** False while the main thread is far behind. */
  get isHeard(): boolean {
    return this.#options.untaken() + this.#outbox.size < mostUntaken;
  }

  /** An event of one query. */
  record(event: EventBody): void {
    const now = Date.now();
    this.#settle(this.#names.push(event, now));
    const judged = judgedInDns(event);
    if (judged !== null) this.#outbox.show({ ...judged, process: event.process ?? null }, now);
    this.#due();
  }

  /** Bindings that every data-path thread has. */
  bound(bindings: readonly Binding[]): void {
    this.#bindings.push(...bindings);
    this.#due();
  }

  /** Runs `send` when everything recorded so far is told: within this turn of the event loop. */
  release(send: () => void): void {
    this.#leaving.push(send);
    this.#due();
  }

  /** Refusals whose window has closed by `now` (ms; Infinity: all). */
  tick(now: number): void {
    this.#settle(this.#names.tick(now));
    this.#due();
  }

  /** Tells everything, and lets go what waited for it. */
  flush(): void {
    this.#isDue = false;
    while (this.#outbox.size > 0 || this.#bindings.length > 0) {
      this.#options.tell(this.#outbox.take(), this.#bindings);
      this.#bindings = [];
    }
    for (const send of this.#leaving.splice(0)) send();
  }

  #settle(events: readonly EventBody[]): void {
    const engine = this.#options.engine();
    for (const event of events) this.#outbox.settle(event, null, engine);
  }

  /** Once a turn: what comes in one goes in few messages, and each of them wakes the main thread. */
  #due(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => this.flush());
  }
}
