/**
 * How a TCP flow leaves the table: let go on, refused with a packet in hand, ended without one, or forgotten. The only place
 * that gives held packets their verdicts, so that each gets exactly one.
 */
import type { Decision } from "../policy/decision.ts";
import { nothingShown, type Effects, type FlowMark, type Shown } from "./effects.ts";
import { limits } from "./limits.ts";
import type { Pending, PendingTable } from "./pending.ts";
import { Recent } from "./recent.ts";
import { resetClient, resetServer } from "./resets.ts";
import type { Verdicts } from "./verdicts.ts";

/** How long packets of an allowed flow may stand in the queue since before its verdict, ms. */
const lateMs = 5_000;

export class Endings {
  /**
   * Initial sequence numbers of flows that the kernel has forwarded for a moment. Packets of theirs may still stand in the queue
   * (a tail loss probe, RFC 8985; a window update): they must neither be refused as strangers nor put the mark back.
   */
  readonly allowed = new Recent<number>(lateMs);
  readonly #verdicts: Verdicts;
  readonly #pending: PendingTable;
  readonly #effects: Effects;

  constructor(verdicts: Verdicts, pending: PendingTable, effects: Effects) {
    this.#verdicts = verdicts;
    this.#pending = pending;
    this.#effects = effects;
  }

  /** Lets the held packets go on, in order of arrival, and then the one in hand. */
  release(flow: Pending, mark: FlowMark, id: number | null): void {
    for (const held of this.#pending.release(flow)) this.#effects.accept(held.id, mark);
    if (id !== null) this.#effects.accept(id, mark);
  }

  /** The kernel forwards the flow from this packet on. */
  allow(flow: Pending, id: number | null): void {
    this.release(flow, "allow", id);
    this.#pending.remove(flow);
    this.allowed.set(flow.key, flow.initialSequence, this.#verdicts.now);
  }

  /** Decided without a packet in hand: the held ones carry it out, or the next one will. */
  settle(flow: Pending, decision: Decision, shown: Shown): void {
    this.#verdicts.reportFlow(flow, decision, shown, true);
    this.handOver(flow);
    if (flow.stage === "settled") this.#pending.setDeadline(flow, this.#verdicts.now + limits.idleMs);
  }

  /** The kernel forwards the flow from the held packets on, or from its next one where none is held. */
  handOver(flow: Pending): void {
    flow.stage = "settled";
    flow.hold = false;
    flow.head = null;
    flow.judged = null;
    flow.follow = null;
    flow.after = null;
    this.#pending.charge(flow, 0);
    if (flow.held.length > 0) this.allow(flow, null);
  }

  /** Refuses with a packet in hand: the kernel answers its sender, we tell the server. */
  refuse(flow: Pending, decision: Decision, shown: Shown, id: number): void {
    this.#verdicts.reportFlow(flow, decision, shown, false);
    resetServer(this.#effects, flow);
    this.forget(flow);
    this.#effects.refuse(id);
  }

  /** Ends a flow without a packet in hand: both ends get a reset of ours. */
  end(flow: Pending, decision: Decision, shown: Shown = nothingShown): void {
    this.#verdicts.reportFlow(flow, decision, shown, false);
    this.abort(flow);
  }

  /** The same for a flow whose end somebody else reports. */
  abort(flow: Pending): void {
    resetServer(this.#effects, flow);
    resetClient(this.#effects, flow);
    this.forget(flow);
  }

  /** Nothing of the flow is kept, and nothing held of it goes on. */
  forget(flow: Pending): void {
    for (const held of this.#pending.release(flow)) this.#effects.drop(held.id);
    this.#pending.remove(flow);
  }
}
