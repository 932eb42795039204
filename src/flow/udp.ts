/**
 * UDP flows. Most are judged by their first datagram's address and port; where a `quic` rule could allow the flow, its first
 * datagrams wait until the Initial packets show the ClientHello's name (threat N9), and what may begin another connection
 * later is read too (`quic.ts`). In monitor mode one look at the first datagrams, for the record.
 */
import type { Decision } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import type { Packet } from "../wire/ip/packet.ts";
import { QuicInitial } from "../wire/quic/initial.ts";
import { nothingShown, type Effects, type Shown } from "./effects.ts";
import type { KernelFacts } from "./engine.ts";
import { couldMiss } from "./insertion.ts";
import { flowKey } from "./key.ts";
import { limits } from "./limits.ts";
import type { Pending, PendingTable } from "./pending.ts";
import { beginsNothing, QuicFlows, showQuic, waitingBytes } from "./quic.ts";
import { Recent } from "./recent.ts";
import { strictRefusal, withInvalidName } from "./refusal.ts";
import type { Verdicts } from "./verdicts.ts";

const other: Shown = { ...nothingShown, application: "other" };

/** How long datagrams of an allowed flow may stand in the queue since before its verdict, ms. */
const lateMs = 1_000;

/** A UDP flow as its sender knows it. */
export type DatagramEnds = Pick<Packet, "source" | "sourcePort" | "destination" | "destinationPort">;

export class UdpFlows {
  readonly #verdicts: Verdicts;
  readonly #pending: PendingTable;
  readonly #effects: Effects;

  readonly #quic: QuicFlows;

  /** Flows allowed a moment ago that nobody follows, by the policy that allowed them. */
  readonly #allowed = new Recent<string>(lateMs);

  constructor(verdicts: Verdicts, pending: PendingTable, effects: Effects) {
    this.#verdicts = verdicts;
    this.#pending = pending;
    this.#effects = effects;
    this.#quic = new QuicFlows(verdicts, pending, effects);
  }

  packet(id: number, bytes: Uint8Array, start: number, packet: Packet, kernel: KernelFacts): void {
    const key = flowKey(packet);
    const known = this.#pending.get(key);
    if (known !== undefined && kernel.state !== "deny") return this.#datagram(id, known, bytes, start, packet);
    // Ended from outside, by its mark.
    if (known !== undefined) this.#refuseHeld(known);
    if (kernel.state === "quic") return this.#unremembered(id, key, bytes, start, packet, kernel);
    // It stood in the queue while its flow was allowed.
    const isLate = this.#allowed.get(key, this.#verdicts.now) === this.#verdicts.engine.hash;
    if (isLate && kernel.state !== "deny") return this.#effects.accept(id, "allow");
    const decision = this.#verdicts.connect(packet, kernel.local);
    // Refused before and still sending on a connection that the kernel keeps: no second event.
    if (kernel.state === "deny" && (decision.answer === "not_yet" ? decision.hold : !decision.passes)) {
      return this.#effects.refuse(id);
    }
    if (decision.answer !== "not_yet") return this.#verdicts.settle(id, packet, kernel, decision);
    const flow = this.#verdicts.begin(key, packet, kernel.local, decision.hold);
    flow.quic = new QuicInitial();
    if (!this.#pending.add(flow, this.#verdicts.now + (decision.hold ? limits.helloMs : limits.observeMs))) {
      const judged = decision.hold
        ? strictRefusal(this.#verdicts.engine, "over_limit", "connect")
        : this.#verdicts.name(flow, "other", null, false);
      return this.#verdicts.settle(id, packet, kernel, withReason(judged, "over_limit"));
    }
    this.#datagram(id, flow, bytes, start, packet);
  }

  /** Whatever is known of this flow holds no longer: somebody else sends on it. */
  forget(flow: DatagramEnds): void {
    const key = flowKey({ ...flow, transport: "udp" });
    const known = this.#pending.get(key);
    if (known !== undefined) this.#refuseHeld(known);
    this.#allowed.forget(key);
  }

  overdue(flow: Pending): void {
    if (flow.stage === "quic") return this.#quic.overdue(flow);
    if (flow.stage === "settled") return this.#pending.remove(flow);
    if (flow.hold) return this.#refuse(flow, strictRefusal(this.#verdicts.engine, "timeout", "name"), other);
    const judged = this.#verdicts.name(flow, "other", null, false);
    if (judged.passes) this.#allowNext(flow, judged);
    else this.#refuse(flow, judged, other);
  }

  policyChanged(flow: Pending): void {
    if (flow.stage === "quic") return this.#quic.policyChanged(flow);
    const decision = this.#verdicts.reconnect(flow);
    const isHeld = decision.answer === "not_yet" && decision.hold;
    // Reported as live; its keeper decides about it.
    if (flow.stage === "settled") {
      if (decision.answer === "deny" && !decision.passes) this.#pending.remove(flow);
    } else if (decision.answer !== "not_yet") {
      if (decision.passes) this.#allowNext(flow, decision);
      else this.#refuse(flow, { ...decision, reason: "policy_changed" }, nothingShown);
    } else if (isHeld && flow.leaked) {
      this.#refuse(flow, strictRefusal(this.#verdicts.engine, "policy_changed", "connect"), nothingShown);
    } else {
      flow.hold = isHeld;
      if (isHeld) return;
      if (flow.held.length > 0) flow.leaked = true;
      for (const held of this.#pending.release(flow)) this.#effects.accept(held.id, "pending");
    }
  }

  /** A datagram of a flow that was let go long ago, or by a former process of ours, and that could begin a connection. */
  #unremembered(id: number, key: string, bytes: Uint8Array, start: number, packet: Packet, kernel: KernelFacts): void {
    const payload = bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
    if (beginsNothing(payload)) return this.#effects.accept(id, "quic");
    const decision = this.#verdicts.connect(packet, kernel.local);
    // What the flow is does not matter any more; it has its event.
    const passes = decision.answer === "not_yet" ? !decision.hold : decision.passes;
    if (passes) return this.#effects.accept(id, "allow");
    if (decision.answer !== "not_yet") return this.#verdicts.settle(id, packet, kernel, decision);
    const flow = this.#verdicts.begin(key, packet, kernel.local, true);
    if (this.#quic.takeUp(flow)) return this.#quic.datagram(id, flow, bytes, start, packet);
    this.#verdicts.settle(id, packet, kernel, strictRefusal(this.#verdicts.engine, "over_limit", "connect"));
  }

  #datagram(id: number, flow: Pending, bytes: Uint8Array, start: number, packet: Packet): void {
    if (flow.stage === "quic") return this.#quic.datagram(id, flow, bytes, start, packet);
    if (flow.stage === "settled") {
      this.#effects.accept(id, "allow");
      return this.#pending.remove(flow);
    }
    flow.segments++;
    if (flow.hold && couldMiss(bytes, start, packet)) return this.#defect(id, flow, "malformed");
    const payload = bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
    const read = flow.quic!.add(payload);
    switch (read.state) {
      case "need_more":
        return this.#wait(id, flow);
      case "not_quic":
        return this.#settle(id, flow, this.#verdicts.name(flow, "other", null, false), other);
      case "hello": {
        const { shown, isInvalid } = showQuic(read.hello, flow.segments);
        const decision = this.#verdicts.name(flow, "quic", shown.name, read.hello.ech);
        return this.#settle(id, flow, isInvalid ? withInvalidName(decision) : decision, shown);
      }
      // Not before something was let go.
      case "pass":
      case "malformed":
      case "overlap":
      case "too_large":
        return this.#defect(id, flow, read.state === "pass" ? "malformed" : read.state);
    }
  }

  #wait(id: number, flow: Pending): void {
    if (!this.#pending.charge(flow, waitingBytes)) return this.#defect(id, flow, "over_limit");
    if (!flow.hold) {
      flow.leaked = true;
      this.#effects.accept(id, "pending");
    } else if (!this.#pending.hold(flow, id, 0)) this.#defect(id, flow, "over_limit");
  }

  #defect(id: number, flow: Pending, reason: Reason): void {
    const decision = flow.hold
      ? strictRefusal(this.#verdicts.engine, reason, "name")
      : withReason(this.#verdicts.name(flow, "other", null, false), reason);
    this.#settle(id, flow, decision, other);
  }

  #settle(id: number, flow: Pending, decision: Decision, shown: Shown): void {
    if (!decision.passes) {
      this.#refuse(flow, decision, shown);
      return this.#effects.refuse(id);
    }
    this.#verdicts.reportFlow(flow, decision, shown, true);
    // Whatever it is so far, a datagram to come could be refused for its name.
    if (flow.hold) return this.#quic.begin(id, flow, shown.name);
    for (const held of this.#pending.release(flow)) this.#effects.accept(held.id, "allow");
    this.#effects.accept(id, "allow");
    this.#pending.remove(flow);
    this.#allowed.set(flow.key, this.#verdicts.engine.hash, this.#verdicts.now);
  }

  /** Allowed without a datagram in hand: the held ones carry it out, or the next one will. */
  #allowNext(flow: Pending, decision: Decision): void {
    this.#verdicts.reportFlow(flow, decision, decision.stage === "connect" ? nothingShown : other, true);
    flow.stage = "settled";
    flow.hold = false;
    flow.quic = null;
    this.#pending.charge(flow, 0);
    const held = this.#pending.release(flow);
    for (const { id } of held) this.#effects.accept(id, "allow");
    if (held.length > 0) this.#pending.remove(flow);
    else this.#pending.setDeadline(flow, this.#verdicts.now + limits.closingMs);
  }

  #refuse(flow: Pending, decision: Decision, shown: Shown): void {
    this.#verdicts.reportFlow(flow, decision, shown, false);
    this.#refuseHeld(flow);
  }

  #refuseHeld(flow: Pending): void {
    for (const held of this.#pending.release(flow)) this.#effects.refuse(held.id);
    this.#pending.remove(flow);
  }
}

/** What was wrong, where no rule allows it anyway. */
function withReason(decision: Decision, reason: Reason): Decision {
  return decision.verdict === "allow" ? decision : { ...decision, reason };
}
