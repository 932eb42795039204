/**
 * The connections the kernel forwards by itself: their beginnings and ends as events, what they look like now, and the end
 * of those that the policy no longer allows (threat T8).
 */
import type { EventBody } from "../audit/event.ts";
import { Ledger } from "../datapath/ledger.ts";
import type { EndedFlow, LiveFlow, Settled } from "../datapath/messages.ts";
import type { AddressBook } from "../flow/book.ts";
import { Conntrack, type Flow } from "../kernel/conntrack.ts";
import { RawSender } from "../kernel/raw.ts";
import type { Engine } from "../policy/decision.ts";
import { adoptFlows } from "./adopt-flows.ts";
import { endFlow } from "./end-flows.ts";
import { flowEndEvent, policyChangedEvent } from "./events.ts";

export interface LiveFlowsOptions {
  book: AddressBook;
  engine: () => Engine;
  record: (event: EventBody) => void;
}

export class LiveFlows {
  readonly ledger = new Ledger();
  readonly conntrack = new Conntrack();
  readonly #raw = new RawSender();
  readonly #options: LiveFlowsOptions;

  /** Opens sockets in the thread's network namespace: call it where the connections are. */
  constructor(options: LiveFlowsOptions) {
    this.#options = options;
  }

  /** Records what the data path settled. */
  settled(settled: readonly Settled[], now: number): void {
    for (const { event, live } of settled) {
      this.#options.record(event);
      if (live === null) continue;
      const ended = this.ledger.begin(live, now);
      if (ended !== null) this.#recordEnd(live, ended, now);
    }
  }

  /** Records connections that the kernel has forgotten. */
  ended(ended: readonly EndedFlow[], now: number): void {
    for (const each of ended) {
      const live = this.ledger.end(each, now);
      if (live !== null) this.#recordEnd(live, each, now);
    }
  }

  /** Records the end of every live connection with its counts so far, for an enforcer whose connections end with it. */
  endAll(now: number): void {
    this.ended(this.conntrack.dump().map(countsOf), now);
  }

  /**
   * After the kernel lost notices of ended connections: compares with its table, and records the end of those that are in
   * it no more (their last counts are lost with the notice).
   */
  resync(now: number): void {
    const alive = new Set<LiveFlow>();
    for (const flow of this.conntrack.dump()) {
      const live = this.ledger.get({ ...flow.original, protocol: flow.protocol });
      if (live !== undefined) alive.add(live);
    }
    const gone = [...this.ledger.values()].filter((live) => !alive.has(live) && now - live.since > 1_000);
    this.ended(
      gone.map((live) => ({ ...live, bytesUp: 0, bytesDown: 0, packetsUp: 0, packetsDown: 0 })),
      now,
    );
  }

  /** Ends every live connection that the policy now in force refuses; returns how many. */
  endRefused(): number {
    const refused = [...this.ledger.refusedBy(this.#options.engine())];
    for (const flow of refused) this.#end(flow);
    return refused.length;
  }

  /** Connections from before this process: judged by what is still known of them. */
  adopt(now: number): { kept: number; ended: number } {
    const { kept, refused } = adoptFlows(this.conntrack, this.#options.book, this.#options.engine(), now);
    for (const flow of kept) this.ledger.begin(flow, now);
    for (const flow of refused) this.#end(flow);
    return { kept: kept.length, ended: refused.length };
  }

  close(): void {
    this.conntrack.close();
    this.#raw.close();
  }

  #end(flow: LiveFlow): void {
    endFlow(flow, this.conntrack, this.#raw);
    this.#options.record(policyChangedEvent(flow, this.#options.engine()));
  }

  #recordEnd(live: LiveFlow, ended: EndedFlow, now: number): void {
    this.#options.record(flowEndEvent(live, ended, now, this.#options.engine()));
  }
}

function countsOf(flow: Flow): EndedFlow {
  return {
    ...flow.original,
    bytesUp: flow.counters.original.bytes,
    bytesDown: flow.counters.reply.bytes,
    packetsUp: flow.counters.original.packets,
    packetsDown: flow.counters.reply.packets,
  };
}
