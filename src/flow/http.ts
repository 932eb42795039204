/**
 * Plain-HTTP connections under an enforced policy: they never get a verdict for good, because the next request may ask for
 * another host (threat N4). Every request is judged before the packet that completes its head goes on; the first one that
 * is refused ends the connection.
 */
import type { Decision } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import { FIN, type Packet } from "../wire/ip/packet.ts";
import type { Effects } from "./effects.ts";
import { HttpFollow, type Taken } from "./http-follow.ts";
import { couldMiss } from "./insertion.ts";
import { limits } from "./limits.ts";
import type { Pending, PendingTable } from "./pending.ts";
import { strictRefusal } from "./refusal.ts";
import { resetClient, resetServer } from "./resets.ts";
import type { Verdicts } from "./verdicts.ts";

export class HttpFlows {
  readonly #verdicts: Verdicts;
  readonly #pending: PendingTable;
  readonly #effects: Effects;

  constructor(verdicts: Verdicts, pending: PendingTable, effects: Effects) {
    this.#verdicts = verdicts;
    this.#pending = pending;
    this.#effects = effects;
  }

  /** Starts to follow a flow whose first request was allowed and reported; `prefix` is the stream so far. */
  begin(id: number, flow: Pending, prefix: Uint8Array): void {
    flow.follow = new HttpFollow((flow.initialSequence + 1) >>> 0);
    this.#pending.setDeadline(flow, this.#verdicts.now + limits.idleMs);
    this.#requests(id, flow, flow.follow.take(prefix));
  }

  /** A segment with payload of a followed flow. */
  segment(id: number, flow: Pending, bytes: Uint8Array, start: number, packet: Packet): void {
    if (couldMiss(bytes, start, packet, flow.timestamp)) return this.#refuse(id, flow, "malformed");
    const payload = bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
    const placed = flow.follow!.place(packet.seq, payload);
    if (placed.state === "ahead" || placed.state === "unknown") return this.#effects.drop(id);
    if (placed.state === "overlap") return this.#refuse(id, flow, "overlap");
    // A repeat of bytes that still wait must not overtake them.
    if (placed.fresh.length === 0 && flow.held.length > 0) return this.#effects.drop(id);
    if ((packet.flags & FIN) !== 0) this.#close(flow);
    this.#requests(id, flow, flow.follow!.take(placed.fresh));
  }

  /** The client has said all it will; retransmissions may still come. */
  closing(id: number, flow: Pending): void {
    this.#effects.accept(id, "pending");
    this.#close(flow);
  }

  overdue(flow: Pending): void {
    const now = this.#verdicts.now;
    // A request head that never ends (threat N6).
    if (flow.held.length > 0) return this.#end(flow, strictRefusal(this.#verdicts.engine, "timeout", "name"));
    const most = flow.closing ? limits.closingMs : limits.idleMs;
    if (now - flow.touched >= most) this.#pending.remove(flow);
    else this.#pending.setDeadline(flow, flow.touched + most);
  }

  policyChanged(flow: Pending): void {
    const decision = this.#verdicts.name(flow, "http", flow.follow!.host);
    if (!decision.passes) this.#end(flow, { ...decision, reason: "policy_changed" });
  }

  /** Lets the packet go on once every request that began in it is allowed. */
  #requests(id: number, flow: Pending, taken: Taken): void {
    const refused = this.#judge(flow, taken);
    if (refused !== null) return this.#refuse(id, flow, refused);
    const follow = flow.follow!;
    if (follow.midHead) {
      if (flow.held.length === 0) this.#pending.setDeadline(flow, this.#verdicts.now + limits.helloMs);
      if (!this.#pending.hold(flow, id)) this.#refuse(id, flow, "over_limit");
      return;
    }
    const mark = taken.opaque ? "allow" : "pending";
    for (const held of this.#pending.release(flow)) this.#effects.accept(held, mark);
    this.#effects.accept(id, mark);
    flow.clientNext = follow.next;
    if (taken.opaque) this.#pending.removeAllowed(flow, this.#verdicts.now);
  }

  /** Judges every request that began; the decision or reason that ends the connection, or null. */
  #judge(flow: Pending, taken: Taken): Decision | Reason | null {
    for (const host of taken.hosts) {
      const decision = this.#verdicts.name(flow, "http", host);
      if (!decision.passes) return { ...decision, reason: "host_changed" };
    }
    return taken.defect ? "malformed" : null;
  }

  /** Ends the connection with a packet in hand: the kernel answers its sender, we tell the server. */
  #refuse(id: number, flow: Pending, why: Decision | Reason): void {
    const decision = typeof why === "string" ? strictRefusal(this.#verdicts.engine, why, "name") : why;
    this.#verdicts.reportFlow(flow, decision, "http", flow.follow!.host, null, false);
    resetServer(this.#effects, flow);
    for (const held of this.#pending.release(flow)) this.#effects.drop(held);
    this.#effects.refuse(id);
    this.#pending.remove(flow);
  }

  #end(flow: Pending, decision: Decision): void {
    this.#verdicts.reportFlow(flow, decision, "http", flow.follow!.host, null, false);
    resetServer(this.#effects, flow);
    resetClient(this.#effects, flow);
    for (const held of this.#pending.release(flow)) this.#effects.drop(held);
    this.#pending.remove(flow);
  }

  #close(flow: Pending): void {
    flow.closing = true;
    this.#pending.setDeadline(flow, this.#verdicts.now + limits.closingMs);
  }
}
