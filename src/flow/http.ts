/**
 * Plain-HTTP connections under an enforced policy: they never get a verdict for good, because the next request may ask for
 * another host (threat N4). Every request is judged before a byte of its head goes on; the first one that is refused ends the
 * connection. Segments that leave a gap wait until it is filled, so that nothing reaches the server unread.
 */
import type { Decision } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import { FIN, type Packet } from "../wire/ip/packet.ts";
import { patience } from "./delivery.ts";
import type { Effects, Shown } from "./effects.ts";
import type { Endings } from "./endings.ts";
import { HttpFollow, type Taken } from "./http-follow.ts";
import { couldMiss } from "./insertion.ts";
import { limits } from "./limits.ts";
import type { Held, Pending, PendingTable } from "./pending.ts";
import { strictRefusal } from "./refusal.ts";
import type { Verdicts } from "./verdicts.ts";

const isUnread = (held: Held) => held.unread !== null;
const isRead = (held: Held) => held.unread === null;

export class HttpFlows {
  readonly #verdicts: Verdicts;
  readonly #pending: PendingTable;
  readonly #effects: Effects;
  readonly #endings: Endings;

  constructor(verdicts: Verdicts, pending: PendingTable, effects: Effects, endings: Endings) {
    this.#verdicts = verdicts;
    this.#pending = pending;
    this.#effects = effects;
    this.#endings = endings;
  }

  /** Starts to follow a flow whose first request `decision` allows; `prefix` is the stream so far, `id` completed the head. */
  begin(id: number, flow: Pending, prefix: Uint8Array, decision: Decision, shown: Shown): void {
    const follow = (flow.follow = new HttpFollow((flow.initialSequence + 1) >>> 0));
    const refused = this.#judge(flow, this.#take(flow, prefix));
    if (refused !== null) return this.#refuse(id, flow, refused);
    this.#verdicts.reportFlow(flow, decision, shown, true);
    flow.stage = "http";
    flow.head = null;
    this.#charge(flow);
    // What waits behind a gap was not read; the client sends it again.
    for (const held of this.#pending.release(flow, ({ sequence }) => ((sequence - follow.next) | 0) > 0)) {
      this.#effects.drop(held.id);
    }
    this.#watch(flow);
    this.#goOn(id, flow, follow.next);
  }

  /** A later segment of a followed flow. */
  segment(id: number, flow: Pending, bytes: Uint8Array, start: number, packet: Packet): void {
    if (packet.payloadLength === 0) return this.#bare(id, flow, packet);
    if (couldMiss(bytes, start, packet)) return this.#refuse(id, flow, "malformed");
    const follow = flow.follow!;
    const payload = bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
    const placed = follow.place(packet.seq, payload);
    if (placed.state === "ahead") return this.#keepAhead(id, flow, packet, payload);
    if (placed.state === "unknown") return this.#effects.drop(id);
    if (placed.state === "overlap") {
      // A keep-alive probe may carry one byte of garbage just before what comes next (RFC 9293 section 3.8.4).
      const isProbe = payload.length === 1 && ((packet.seq + 1) | 0) === (follow.next | 0);
      return isProbe ? this.#effects.drop(id) : this.#refuse(id, flow, "overlap");
    }
    // A repeat of bytes that wait already: they go on without it.
    if (placed.fresh.length === 0 && follow.midHead) return this.#effects.drop(id);
    const refused = this.#judge(flow, this.#take(flow, placed.fresh)) ?? this.#takeWaiting(flow);
    if (refused !== null) return this.#refuse(id, flow, refused);
    if ((packet.flags & FIN) !== 0) {
      if (follow.midHead) return this.#refuse(id, flow, "closed");
      this.#watch(flow);
    }
    this.#goOn(id, flow, packet.seq);
  }

  overdue(flow: Pending): void {
    // A request head that never ends (threat N6).
    if (flow.follow!.midHead) return this.#end(flow, strictRefusal(this.#verdicts.engine, "timeout", "name"));
    // A gap that nobody filled: the client will have to send it all again.
    for (const held of this.#pending.release(flow, isUnread)) this.#effects.drop(held.id);
    this.#charge(flow);
    const until = flow.touched + patience(flow);
    if (this.#verdicts.now >= until) this.#pending.remove(flow);
    else this.#pending.setDeadline(flow, until);
  }

  /** Its first request still passes; the last one must, too. */
  policyChanged(flow: Pending): void {
    const decision = this.#verdicts.name(flow, "http", flow.follow!.host);
    if (!decision.passes) this.#end(flow, { ...decision, reason: "policy_changed" });
  }

  #bare(id: number, flow: Pending, packet: Packet): void {
    if ((packet.flags & FIN) === 0) return this.#effects.accept(id, "pending");
    const follow = flow.follow!;
    // With a gap before it, or after a head's beginning, it would end the stream too early.
    if (((packet.seq - follow.next) | 0) > 0) return this.#effects.drop(id);
    if (follow.midHead) return this.#refuse(id, flow, "closed");
    this.#effects.accept(id, "pending");
    this.#watch(flow);
  }

  /** Holds a segment that leaves a gap, or lets the client send it again. */
  #keepAhead(id: number, flow: Pending, packet: Packet, payload: Uint8Array): void {
    const isKept = flow.held.some(
      ({ sequence, unread }) => sequence === packet.seq && unread?.length === payload.length,
    );
    if (isKept || (packet.flags & FIN) !== 0) return this.#effects.drop(id);
    if (!this.#pending.charge(flow, flow.charged + payload.length)) return this.#effects.drop(id);
    if (flow.held.length === 0) this.#pending.setDeadline(flow, this.#verdicts.now + limits.helloMs);
    if (!this.#pending.hold(flow, id, packet.seq, new Uint8Array(payload))) {
      this.#charge(flow);
      this.#effects.drop(id);
    }
  }

  /** Reads the waiting segments that no gap keeps back any more. */
  #takeWaiting(flow: Pending): Decision | Reason | null {
    for (let i = 0; i < flow.held.length; i++) {
      const held = flow.held[i]!;
      if (held.unread === null) continue;
      const placed = flow.follow!.place(held.sequence, held.unread);
      if (placed.state === "ahead") continue;
      if (placed.state === "overlap") return "overlap";
      held.unread = null;
      const refused = placed.state === "unknown" ? null : this.#judge(flow, this.#take(flow, placed.fresh));
      if (refused !== null) return refused;
      i = -1;
    }
    return null;
  }

  #take(flow: Pending, bytes: Uint8Array): Taken {
    const follow = flow.follow!;
    const wanted = follow.wanted(bytes.length, limits.historyBytes);
    // Without the memory it keeps less to compare with, and old retransmissions are dropped.
    if (wanted > follow.memory && this.#pending.charge(flow, wanted + unreadBytes(flow))) follow.grow(wanted);
    return follow.take(bytes);
  }

  #charge(flow: Pending): boolean {
    return this.#pending.charge(flow, flow.follow!.memory + unreadBytes(flow));
  }

  /** Judges every request that began; the decision or reason that ends the connection, or null. */
  #judge(flow: Pending, taken: Taken): Decision | Reason | null {
    for (const host of taken.hosts) {
      const decision = this.#verdicts.name(flow, "http", host);
      if (!decision.passes) return flow.reported === null ? decision : { ...decision, reason: "host_changed" };
    }
    if (taken.defect) return "malformed";
    // What goes through a tunnel cannot be judged, and a server that builds none reads the next request (threat T12).
    return taken.tunnel ? "not_protocol" : null;
  }

  /** Lets the packet in hand and all that were read go on in the stream's order, unless a head has begun and not ended. */
  #goOn(id: number, flow: Pending, sequence: number): void {
    const follow = flow.follow!;
    if (follow.midHead) {
      if (!follow.isWaiting) this.#pending.setDeadline(flow, this.#verdicts.now + limits.helloMs);
      follow.isWaiting = true;
      if (!this.#charge(flow) || !this.#pending.hold(flow, id, sequence)) this.#refuse(id, flow, "over_limit");
      return;
    }
    this.#charge(flow);
    follow.isWaiting = false;
    flow.clientNext = follow.next;
    if (flow.held.length === 0) return this.#effects.accept(id, "pending");
    const ready = [...this.#pending.release(flow, isRead), { id, sequence, unread: null }];
    ready.sort((a, b) => (a.sequence - b.sequence) | 0);
    for (const held of ready) this.#effects.accept(held.id, "pending");
  }

  #refuse(id: number, flow: Pending, why: Decision | Reason): void {
    const decision = typeof why === "string" ? strictRefusal(this.#verdicts.engine, why, "name") : why;
    this.#endings.refuse(flow, decision, this.#shown(flow), id);
  }

  #end(flow: Pending, decision: Decision): void {
    this.#endings.end(flow, decision, this.#shown(flow));
  }

  #shown(flow: Pending): Shown {
    return { application: "http", name: flow.follow!.host, hello: null };
  }

  #watch(flow: Pending): void {
    this.#pending.setDeadline(flow, this.#verdicts.now + patience(flow));
  }
}

function unreadBytes(flow: Pending): number {
  let bytes = 0;
  for (const { unread } of flow.held) bytes += unread?.length ?? 0;
  return bytes;
}
