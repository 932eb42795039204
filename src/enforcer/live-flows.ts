/**
 * The connections the kernel forwards by itself: their beginnings and ends as events, what they look like now, and the end
 * of those that the policy no longer allows (threat T8).
 */
import type { EventBody } from "../audit/event.ts";
import { countsAt, EndedBatch } from "../datapath/ended-batch.ts";
import { flowEndBegun, flowEndParts, flowEndText } from "../datapath/flow-end.ts";
import { FlowKinds, flowKey } from "../datapath/flow-kind.ts";
import { Ledger, Live } from "../datapath/ledger.ts";
import type { EndedCounts, EndedFlows, LiveFlow, PackedFlows } from "../datapath/messages.ts";
import type { AddressBook } from "../flow/book.ts";
import { Conntrack, type Flow } from "../kernel/conntrack.ts";
import { ALLOW, ALLOWED_MASK, isAllowed, PENDING, QUIC, STATE_MASK, stateOf } from "../kernel/mark.ts";
import { hurriedly } from "../kernel/priority.ts";
import { RawSender } from "../kernel/raw.ts";
import type { SocketTable } from "../kernel/socket-table.ts";
import type { OverdrawnEntry } from "../flow/overdrawn.ts";
import type { Engine } from "../policy/decision.ts";
import type { Policy } from "../policy/model.ts";
import { describeFlow } from "./adopt-flows.ts";
import { endFlow } from "./end-flows.ts";
import { policyChangedEvent } from "./events.ts";
import { Rejudging } from "./rejudging.ts";
import { uploadCounters } from "./upload-counters.ts";
import { UploadLimits } from "./upload-limits.ts";

export interface LiveFlowsOptions {
  book: AddressBook;
  engine: () => Engine;
  policy: () => Policy;
  /** Has the data path refuse what these have no budget left for. */
  overdrawn: (entries: readonly OverdrawnEntry[]) => void;
  record: (event: EventBody) => void;
  /** Records the end of a connection, of which the event's text is written. */
  recordEnd: (text: string, ended: EndedCounts) => void;
  /** The sockets of the machine it stands around; null between links. */
  sockets?: SocketTable | null;
}

/** Counting the live connections takes a twentieth of the time at most. */
const patienceFactor = 20;
/** More connections than this are not asked for one by one, to be counted: their beginnings or ends are on the way to us. */
const mostAsked = 1_000;

export class LiveFlows {
  readonly ledger = new Ledger();
  readonly conntrack = new Conntrack();
  readonly #kinds = new FlowKinds();
  readonly #raw = new RawSender();
  readonly #options: LiveFlowsOptions;
  readonly #uploads: UploadLimits;
  /** Ended by us; the kernel remembers them for a while. */
  readonly #ended = new WeakSet<LiveFlow>();
  /** Somebody vouches for them: no policy ends them. */
  readonly #vouched = new WeakSet<LiveFlow>();
  #counted = { at: Number.NEGATIVE_INFINITY, took: 0, count: 0 };

  /** Opens sockets in the thread's network namespace: call it where the connections are. */
  constructor(options: LiveFlowsOptions) {
    this.#options = options;
    this.#uploads = new UploadLimits({
      policy: options.policy,
      engine: options.engine,
      now: () => Date.now(),
      isLive: (flow) => this.ledger.get(flow) === flow && !this.#ended.has(flow),
      counters: (flows) => uploadCounters(flows, this.ledger, this.conntrack),
      end: (flow) => this.#end(flow),
      tell: options.overdrawn,
      record: options.record,
    });
  }

  /** Takes in what the data path let through; what it records of it is recorded already. */
  begun({ keys, kindOf, since, kinds }: PackedFlows, now: number): void {
    const known = kinds.map((text) => this.#kinds.of(text));
    for (const [i, key] of keys.entries()) {
      const live = Live.of(known[kindOf[i]!]!, key, since[i]!);
      const ended = this.ledger.beginLive(live, now);
      if (this.#uploads.hasLimits) this.#uploads.begun(live.flow);
      if (ended !== null) this.#recordEnd(live, ended, now);
    }
  }

  /** Takes in a connection from before that goes on. `vouched`: no policy ends it. */
  take(live: LiveFlow, vouched: boolean, now: number): void {
    if (vouched) this.#vouched.add(live);
    this.ledger.begin(live, now);
    this.#uploads.adopted(live);
  }

  /** Ends a connection that is not in the ledger. */
  endUnknown(flow: LiveFlow): void {
    this.#end(flow);
  }

  /** Records connections that the kernel has forgotten; `lost`: it could not tell of all of them. */
  ended(ended: EndedFlows, lost: boolean, now: number): void {
    for (const [i, key] of ended.keys.entries()) this.#endedOne(key, countsAt(ended, i), now);
    if (lost) this.resync(now);
  }

  #endedOne(key: string, counts: EndedCounts, now: number): void {
    const live = this.ledger.end(key, counts, now);
    if (live !== null) this.#recordEnd(live, counts, now);
  }

  /** Records the end of every live connection with its counts so far, for an enforcer whose connections end with it. */
  endAll(now: number): void {
    const batch = new EndedBatch();
    for (const flow of this.conntrack.dump()) batch.add(flow);
    this.ended(batch.take(), false, now);
  }

  /**
   * After the kernel lost notices of ended connections: compares with its table, and records the end of those that are in
   * it no more (their last counts are lost with the notice).
   */
  resync(now: number): void {
    const alive = new Set(this.conntrack.dump().map(keyOf));
    const gone = [...this.ledger.entries()].filter(([key, live]) => !alive.has(key) && now - live.since > 1_000);
    const unknown = { bytesUp: 0, bytesDown: 0, packetsUp: 0, packetsDown: 0 };
    for (const [key] of gone) this.#endedOne(key, unknown, now);
  }

  /**
   * Connections that both sides have closed, of those that the data path follows and may reset: once it has, the kernel's state of
   * them says the same. Ask before a policy changes.
   */
  closed(): ReadonlySet<Live> {
    const closed = new Set<Live>();
    for (const flow of this.conntrack.dump({ mark: PENDING, mask: STATE_MASK })) {
      const live = isClosed(flow) ? this.ledger.at(keyOf(flow)) : undefined;
      if (live !== undefined) closed.add(live);
    }
    return closed;
  }

  /**
   * Ends every connection that the kernel forwards and the policy now in force refuses; returns how many of them lived. The
   * kernel's table says which there are: one that this process knows nothing of is judged by its addresses. The data path may
   * have reset some already and leaves it to us to tell; those in `closed` ended before and nobody would notice. UDP flows
   * that go on unread and could not do so if they began now are read from now on.
   */
  endRefused(closed: ReadonlySet<Live>, now: number): number {
    return hurriedly(() => this.#endRefused(closed, now));
  }

  #endRefused(closed: ReadonlySet<Live>, now: number): number {
    const { book, engine } = this.#options;
    const judge = new Rejudging(engine(), (address) => book.names(address, null, now));
    let ended = 0;
    for (const flow of this.conntrack.dump()) {
      if (!isForwarded(flow)) continue;
      const key = keyOf(flow);
      const known = this.ledger.at(key);
      if (known === undefined && !isAllowed(flow.mark)) continue;
      const live = known ?? Live.whole(describeFlow(flow, book, engine(), now));
      if (live.known !== null && this.#vouched.has(live.known)) continue;
      const { passes, isRead } = judge.of(live);
      if (passes) {
        if (isRead && stateOf(flow.mark) === ALLOW) this.conntrack.setMark(flow, QUIC, STATE_MASK);
        continue;
      }
      this.#end(live.flow);
      if (known !== undefined && stateOf(flow.mark) === PENDING ? closed.has(known) : isClosed(flow)) continue;
      this.#options.record(policyChangedEvent(live.flow, engine()));
      ended++;
    }
    this.#uploads.policyChanged(this.ledger.values());
    return ended;
  }

  /**
   * Connections from before this process: ends those that are refused, keeps the others. `before` is what the last process
   * wrote down of them.
   */
  adopt(before: Ledger, now: number): { kept: number; ended: number } {
    const { book, engine } = this.#options;
    let found = 0;
    for (const flow of this.conntrack.dump({ mark: ALLOW, mask: ALLOWED_MASK })) {
      if (!isAlive(flow)) continue;
      const tuple = { ...flow.original, protocol: flow.protocol };
      const known = before.get(tuple) ?? this.ledger.get(tuple);
      const live = known ?? describeFlow(flow, book, engine(), now);
      this.ledger.begin(live, now);
      this.#uploads.adopted(live);
      found++;
    }
    const ended = this.endRefused(new Set(), now);
    return { kept: found - ended, ended };
  }

  /** The live connections as the kernel counts them now. */
  *views(): Generator<{ live: LiveFlow; flow: Flow }> {
    for (const { live, flow } of this.#living(Number.POSITIVE_INFINITY))
      if (flow !== null) yield { live: live.flow, flow };
  }

  /**
   * Only those with a verdict are listed: a flood of undecided ones fills the kernel's table, and reading all of it would keep this
   * thread from everything else. The others are asked for one by one; beyond `most` of them nobody asks, and `flow` is null.
   */
  *#living(most: number): Generator<{ live: Live; flow: Flow | null }> {
    const seen = new Set<string>();
    for (const flow of this.conntrack.dump({ mark: ALLOW, mask: STATE_MASK })) {
      const key = flowKey({ ...flow.original, protocol: flow.protocol });
      const live = this.ledger.at(key);
      if (live === undefined) continue;
      seen.add(key);
      if (isAlive(flow)) yield { live, flow };
    }
    const few = this.ledger.size - seen.size <= most;
    for (const [key, live] of this.ledger.entries()) {
      if (seen.has(key)) continue;
      if (!few) yield { live, flow: null };
      else if (live.copy.transport === "tcp" || live.copy.transport === "udp") {
        const flow = this.conntrack.lookup(live.copy, "original");
        if (flow !== null && isForwarded(flow) && isAlive(flow)) yield { live, flow };
      }
    }
  }

  /** How many live connections there are; with many of them the answer may be some seconds old, since counting takes time. */
  count(now: number): number {
    const { at, took } = this.#counted;
    if (now - at < took * patienceFactor) return this.#counted.count;
    const start = performance.now();
    const count = [...this.#living(mostAsked)].length;
    this.#counted = { at: now, took: performance.now() - start, count };
    return count;
  }

  close(): void {
    this.#uploads.close();
    this.conntrack.close();
    this.#raw.close();
  }

  #end(flow: LiveFlow): void {
    this.#ended.add(flow);
    endFlow(flow, this.conntrack, this.#raw, this.#options.sockets ?? null);
  }

  #recordEnd(live: Live, ended: EndedCounts, now: number): void {
    if (live.known !== null) this.#uploads.ended(live.known, ended);
    const engine = this.#options.engine();
    // What was written at its beginning is true as long as the policy is the same: groups and the policy's hash are in it.
    const parts = live.kind?.policy === engine.hash ? live.kind.end : flowEndParts(live.copy, engine);
    this.#options.recordEnd(flowEndText(flowEndBegun(parts, live.ends), ended, now - live.since), ended);
  }
}

function keyOf({ original, protocol }: Flow): string {
  return flowKey({ ...original, protocol });
}

/** The kernel lets its packets through: those of pending flows are still read, request by request (plain HTTP). */
function isForwarded(flow: Flow): boolean {
  return isAllowed(flow.mark) || stateOf(flow.mark) === PENDING;
}

/** The kernel remembers closed connections for a while; late packets of theirs are not a connection any more. */
function isAlive(flow: Flow): boolean {
  return flow.tcpState !== "TIME_WAIT" && flow.tcpState !== "CLOSE";
}

/** Both sides have closed it; the last acknowledgement may be lost, and come again and again for half a minute. */
function isClosed(flow: Flow): boolean {
  return !isAlive(flow) || flow.tcpState === "LAST_ACK";
}
