/**
 * What the DNS firewall's thread has to tell: events written and counted as the data path's threads do, refused names that a flood
 * repeats counted instead of told, and bindings for the book that outlives the process. It is told before the answer leaves that it is
 * about: whatever a client does upon an answer comes later in the record.
 */
import { Aggregator } from "../audit/aggregate.ts";
import { formatTime } from "../audit/clock.ts";
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
  /**
   * While nobody hears it: refusals by source and reason alone, and until somebody does. Told one by one, or once a second, they would
   * pile up at the main thread's port for as long as it stands.
   */
  readonly #unheard = new Aggregator({ maxKeys: 1_500, maxKeysPerSource: 0, windowMs: Number.POSITIVE_INFINITY });
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
    if (this.isHeard) {
      this.#settleUnheard();
      this.#settle(this.#names.push(event, now));
    } else {
      const at = formatTime(now * 1000);
      this.#settle(this.#unheard.push({ first: at, last: at, ...event }, now));
    }
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
    // Also those that came while somebody heard: they are bounded, and stay that way as long as nobody does.
    this.#settle(this.#names.tick(now));
    if (this.isHeard || now === Number.POSITIVE_INFINITY) this.#settleUnheard();
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

  #settleUnheard(): void {
    const message = "The record was far behind: destinations are left out.";
    this.#settle(this.#unheard.tick(Number.POSITIVE_INFINITY).map((event) => ({ ...event, message })));
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
