/**
 * TCP flows without a verdict. The SYN is judged by what is known of the address; where the name decides, the handshake
 * goes on and the client's first bytes wait in the kernel's queue until they show it, put together strictly: in any
 * order, from any number of segments, and refused when two segments disagree about the same byte (threat N6).
 */
import type { Application, Decision } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import { classify, type FirstBytes } from "../wire/first-bytes.ts";
import { ACK, FIN, RST, SYN, type Packet } from "../wire/ip/packet.ts";
import { StreamHead } from "../wire/stream.ts";
import type { Effects, HelloFacts } from "./effects.ts";
import type { KernelFacts } from "./engine.ts";
import { HttpFlows } from "./http.ts";
import { couldMiss, timestampOf } from "./insertion.ts";
import { flowKey } from "./key.ts";
import { limits } from "./limits.ts";
import type { Pending, PendingTable } from "./pending.ts";
import { defaultRefusal, handshakeOnly, strictRefusal } from "./refusal.ts";
import { resetClient, resetReceiver, resetServer } from "./resets.ts";
import type { Verdicts } from "./verdicts.ts";

export class TcpFlows {
  readonly #verdicts: Verdicts;
  readonly #pending: PendingTable;
  readonly #effects: Effects;
  readonly #http: HttpFlows;

  constructor(verdicts: Verdicts, pending: PendingTable, effects: Effects) {
    this.#verdicts = verdicts;
    this.#pending = pending;
    this.#effects = effects;
    this.#http = new HttpFlows(verdicts, pending, effects);
  }

  packet(id: number, bytes: Uint8Array, start: number, packet: Packet, kernel: KernelFacts): void {
    const key = flowKey(packet);
    const flow = this.#pending.get(key);
    if ((packet.flags & (SYN | ACK | RST | FIN)) === SYN) return this.#syn(id, key, flow, bytes, start, packet, kernel);
    if (flow === undefined) return this.#unknown(id, key, packet, kernel);
    if ((packet.flags & RST) !== 0) {
      this.#gone(flow);
      return packet.payloadLength === 0 ? this.#effects.accept(id, "pending") : this.#effects.drop(id);
    }
    if ((packet.flags & SYN) !== 0) return this.#effects.drop(id);
    flow.clientAcknowledged = packet.ack;
    flow.touched = this.#verdicts.now;
    if (flow.settled !== null) return this.#carryOut(flow, flow.settled, id);
    if (packet.payloadLength === 0) return this.#bare(id, flow, packet);
    if (flow.follow !== null) return this.#http.segment(id, flow, bytes, start, packet);
    this.#payload(id, flow, bytes, start, packet);
  }

  overdue(flow: Pending): void {
    if (flow.follow !== null) return this.#http.overdue(flow);
    if (flow.settled !== null) return this.#pending.remove(flow);
    // Nothing readable came in time. What an opaque rule allows anyway, or monitor mode, goes on; the rest ends.
    const judged = this.#verdicts.name(flow, "other", null);
    if (!judged.passes) return this.#end(flow, { ...judged, reason: "timeout" });
    this.#verdicts.reportFlow(flow, judged, null, null, null, true);
    const held = this.#pending.release(flow);
    for (const id of held) this.#effects.accept(id, "allow");
    if (held.length > 0) return this.#pending.removeAllowed(flow, this.#verdicts.now);
    flow.settled = judged;
    this.#pending.setDeadline(flow, this.#verdicts.now + limits.idleMs);
  }

  policyChanged(flow: Pending): void {
    const changed: Reason = "policy_changed";
    if (flow.follow !== null) return this.#http.policyChanged(flow);
    if (flow.settled !== null) {
      const decision = this.#verdicts.name(flow, "other", null);
      if (!decision.passes) this.#end(flow, { ...decision, reason: changed });
      return;
    }
    const decision = this.#verdicts.reconnect(flow);
    if (decision.answer !== "not_yet") {
      if (!decision.passes) this.#end(flow, { ...decision, reason: changed });
      return;
    }
    // Bytes that monitor mode let go unread cannot be judged any more.
    if (decision.hold && flow.leaked) return this.#end(flow, strictRefusal(this.#verdicts.engine, changed, "connect"));
    flow.hold = decision.hold;
  }

  #syn(
    id: number,
    key: string,
    known: Pending | undefined,
    bytes: Uint8Array,
    start: number,
    packet: Packet,
    kernel: KernelFacts,
  ): void {
    const isRepeat = known !== undefined && known.initialSequence === packet.seq && packet.payloadLength === 0;
    if (isRepeat && known.follow === null) return this.#effects.accept(id, "pending");
    // The tuple is used again: whatever it was allowed before counts for nothing (threat T7).
    this.#pending.allowed.forget(key);
    if (known !== undefined) this.#gone(known);
    const decision = this.#verdicts.connect(packet, kernel.local);
    if (decision.answer !== "not_yet") return this.#verdicts.settle(id, packet, kernel, decision);
    const flow: Pending = {
      key,
      source: packet.source,
      sourcePort: packet.sourcePort,
      destination: packet.destination,
      destinationPort: packet.destinationPort,
      local: kernel.local,
      transport: "tcp",
      protocol: packet.protocol,
      hold: decision.hold,
      leaked: false,
      initialSequence: packet.seq,
      clientNext: (packet.seq + 1) >>> 0,
      clientAcknowledged: 0,
      timestamp: timestampOf(bytes, packet),
      head: null,
      quic: null,
      held: [],
      segments: 0,
      bytes: 0,
      touched: this.#verdicts.now,
      closing: false,
      deadline: this.#verdicts.now + (decision.hold ? limits.silentMs : limits.observeMs),
      follow: null,
      settled: null,
    };
    if (!this.#pending.add(flow)) {
      const over = decision.hold
        ? strictRefusal(this.#verdicts.engine, "over_limit", "connect")
        : defaultRefusal(this.#verdicts.engine, packet.source, "over_limit", "connect");
      return this.#verdicts.settle(id, packet, kernel, over);
    }
    if (packet.payloadLength === 0) return this.#effects.accept(id, "pending");
    // TCP Fast Open (RFC 7413): the SYN's bytes reach the server at once, so they must settle the name by themselves.
    this.#payload(id, flow, bytes, start, packet);
  }

  /** A segment of a connection this engine holds nothing about. */
  #unknown(id: number, key: string, packet: Packet, kernel: KernelFacts): void {
    if (kernel.state === "pending" && this.#pending.allowed.has(key, this.#verdicts.now)) {
      return this.#effects.accept(id, "allow");
    }
    const empty = packet.payloadLength === 0;
    if ((packet.flags & RST) !== 0) {
      return empty && kernel.state !== "deny" ? this.#effects.accept(id, "pending") : this.#effects.drop(id);
    }
    if (kernel.state === "deny") {
      resetReceiver(this.#effects, packet);
      return this.#effects.refuse(id);
    }
    // The tail of a handshake or of a close: no payload, nothing to judge.
    if (kernel.state === "pending" && empty) return this.#effects.accept(id, "pending");
    const decision = defaultRefusal(this.#verdicts.engine, packet.source, "mid_stream", "connect");
    this.#verdicts.report(packet, kernel.local, decision, decision.passes);
    if (decision.passes) return this.#effects.accept(id, "allow");
    resetReceiver(this.#effects, packet);
    this.#effects.refuse(id);
  }

  #bare(id: number, flow: Pending, packet: Packet): void {
    if ((packet.flags & FIN) === 0) return this.#effects.accept(id, "pending");
    if (flow.follow !== null) return this.#http.closing(id, flow);
    if (flow.held.length > 0) this.#effects.drop(id);
    else this.#effects.accept(id, "pending");
    this.#gone(flow);
  }

  #payload(id: number, flow: Pending, bytes: Uint8Array, start: number, packet: Packet): void {
    const isSyn = (packet.flags & SYN) !== 0;
    if (flow.hold && couldMiss(bytes, start, packet, flow.timestamp)) return this.#defect(id, flow, "malformed");
    if (flow.head === null) {
      flow.head = new StreamHead(flow.initialSequence);
      if (flow.hold) this.#pending.setDeadline(flow, this.#verdicts.now + limits.helloMs);
    }
    const payload = bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
    const added = flow.head.add((packet.seq + (isSyn ? 1 : 0)) >>> 0, payload);
    if (added === "out_of_window") return flow.hold ? this.#effects.drop(id) : this.#effects.accept(id, "pending");
    if (added !== "ok") return this.#defect(id, flow, added);
    if (!this.#pending.keep(flow, payload.length)) return this.#defect(id, flow, "over_limit");
    flow.segments++;
    const prefix = flow.head.contiguous();
    const first = classify(prefix);
    if (first.state === "need_more") return this.#wait(id, flow, isSyn);
    if (first.state === "defect") return this.#defect(id, flow, first.reason);
    const decision = this.#judge(flow, first);
    if (!decision.passes) return this.#refuse(flow, decision, first, id);
    this.#verdicts.reportFlow(flow, decision, first.application, shown(first), hello(first, flow), true);
    if (first.application === "http" && flow.hold) return this.#http.begin(id, flow, prefix);
    for (const held of this.#pending.release(flow)) this.#effects.accept(held, "allow");
    this.#effects.accept(id, "allow");
    this.#pending.removeAllowed(flow, this.#verdicts.now);
  }

  #judge(flow: Pending, first: FirstBytes & { state: "done" }): Decision {
    const decision = this.#verdicts.name(flow, first.application, shown(first));
    // A name that is none (an IP literal, two names, NUL) never matches; the record says what was wrong with it.
    return first.name.kind === "invalid" && decision.verdict !== "allow"
      ? { ...decision, reason: "invalid_name" }
      : decision;
  }

  #wait(id: number, flow: Pending, isSyn: boolean): void {
    if (!flow.hold) {
      flow.leaked = true;
      return this.#effects.accept(id, "pending");
    }
    if (isSyn) return this.#defect(id, flow, "syn_data");
    if (!this.#pending.hold(flow, id)) this.#defect(id, flow, "over_limit");
  }

  #defect(id: number, flow: Pending, reason: Reason): void {
    const decision = flow.hold
      ? strictRefusal(this.#verdicts.engine, reason, "name")
      : { ...this.#verdicts.name(flow, "other", null), reason };
    if (!decision.passes) return this.#refuse(flow, decision, null, id);
    this.#verdicts.reportFlow(flow, decision, "other", null, null, true);
    this.#effects.accept(id, "allow");
    this.#pending.removeAllowed(flow, this.#verdicts.now);
  }

  /** Ends a flow with a packet in hand: the kernel answers its sender, we tell the server. */
  #refuse(flow: Pending, decision: Decision, first: (FirstBytes & { state: "done" }) | null, id: number): void {
    const application: Application | null = first?.application ?? null;
    const name = first === null ? null : shown(first);
    this.#verdicts.reportFlow(flow, decision, application, name, first === null ? null : hello(first, flow), false);
    resetServer(this.#effects, flow);
    for (const held of this.#pending.release(flow)) this.#effects.drop(held);
    this.#effects.refuse(id);
    this.#pending.remove(flow);
  }

  /** Ends a flow without a packet in hand: both ends get a reset of ours. */
  #end(flow: Pending, decision: Decision): void {
    this.#verdicts.reportFlow(flow, decision, null, null, null, false);
    this.#discard(flow);
  }

  #discard(flow: Pending): void {
    for (const held of this.#pending.release(flow)) this.#effects.drop(held);
    if (flow.clientAcknowledged !== 0) {
      resetServer(this.#effects, flow);
      resetClient(this.#effects, flow);
    }
    this.#pending.remove(flow);
  }

  /**
   * The client went away, or its tuple is used anew. Without a byte sent nothing was attempted: the handshake was allowed and
   * that is what the record says (the losing half of Happy Eyeballs, RFC 8305). Bytes that never made a name are a denial.
   */
  #gone(flow: Pending): void {
    if (flow.follow === null && flow.settled === null) {
      const tried = flow.head !== null;
      const judged = this.#verdicts.name(flow, "other", null);
      const decision: Decision =
        tried || judged.verdict === "would_deny"
          ? { ...judged, reason: "closed" }
          : handshakeOnly(this.#verdicts.engine);
      if (tried && !judged.passes) return this.#end(flow, decision);
      this.#verdicts.reportFlow(flow, decision, null, null, null, false);
    }
    for (const held of this.#pending.release(flow)) this.#effects.drop(held);
    this.#pending.remove(flow);
  }

  #carryOut(flow: Pending, decision: Decision, id: number): void {
    this.#effects.accept(id, decision.passes ? "allow" : "pending");
    if (decision.passes) this.#pending.removeAllowed(flow, this.#verdicts.now);
    else this.#pending.remove(flow);
  }
}

function shown(first: FirstBytes & { state: "done" }): string | null {
  return first.name.kind === "name" ? first.name.name : null;
}

function hello(first: FirstBytes & { state: "done" }, flow: Pending): HelloFacts | null {
  if (first.tls === null) return null;
  return { ...first.tls, segments: flow.segments };
}
