/**
 * TCP flows that user space sees packets of, from the SYN until the kernel can forward them alone. The SYN is judged by what is
 * known of the address (`syn.ts`); where the name decides, the handshake goes on and the client's first bytes wait until they
 * show it (`opening.ts`). What they allow goes on and is watched until it has arrived (`delivery.ts`), plain HTTP for the
 * whole connection (`http.ts`). Here: which packet belongs where.
 */
import { ACK, FIN, RST, SYN, type Packet } from "../wire/ip/packet.ts";
import { acknowledges, Deliveries } from "./delivery.ts";
import { nothingShown, type Effects } from "./effects.ts";
import { Endings } from "./endings.ts";
import type { KernelFacts } from "./engine.ts";
import { HttpFlows } from "./http.ts";
import { HttpWatch } from "./http-watch.ts";
import { hasNetworkOptions, MULTIPATH, tcpOptions } from "./insertion.ts";
import { flowKey, reverseKey } from "./key.ts";
import { Openings, type OpeningOptions } from "./opening.ts";
import type { Pending, PendingTable } from "./pending.ts";
import { strictRefusal } from "./refusal.ts";
import { resetReceiver } from "./resets.ts";
import { Syns } from "./syn.ts";
import type { Verdicts } from "./verdicts.ts";

export class TcpFlows {
  readonly #verdicts: Verdicts;
  readonly #pending: PendingTable;
  readonly #effects: Effects;
  readonly #endings: Endings;
  readonly #syns: Syns;
  readonly #openings: Openings;
  readonly #deliveries: Deliveries;
  readonly #http: HttpFlows;
  readonly #watch: HttpWatch;

  constructor(verdicts: Verdicts, pending: PendingTable, effects: Effects, options: OpeningOptions) {
    this.#verdicts = verdicts;
    this.#pending = pending;
    this.#effects = effects;
    const endings = (this.#endings = new Endings(verdicts, pending, effects));
    const deliveries = (this.#deliveries = new Deliveries(verdicts, pending, effects, endings));
    const http = (this.#http = new HttpFlows(verdicts, pending, effects, endings));
    const watch = (this.#watch = new HttpWatch(verdicts, pending, effects, endings));
    this.#openings = new Openings(verdicts, pending, effects, { endings, deliveries, http, watch }, options);
    this.#syns = new Syns(verdicts, pending, effects, endings, this.#openings);
  }

  packet(id: number, bytes: Uint8Array, start: number, packet: Packet, kernel: KernelFacts): void {
    const key = flowKey(packet);
    let flow = this.#pending.get(key);
    if (flow !== undefined && kernel.state === "deny") {
      // Ended from outside, by its mark: a new policy refuses what was reported as live.
      this.#endings.forget(flow);
      flow = undefined;
    }
    if ((packet.flags & (SYN | ACK | RST | FIN)) === SYN) {
      return this.#syns.packet(id, key, flow, bytes, start, packet, kernel);
    }
    if (flow === undefined) return this.#stranger(id, key, packet, kernel);
    if ((packet.flags & RST) !== 0) return this.#reset(id, flow, packet);
    // A simultaneous open, or nonsense.
    if ((packet.flags & SYN) !== 0) return flow.hold ? this.#effects.drop(id) : this.#effects.accept(id, "pending");
    flow.touched = this.#verdicts.now;
    if ((packet.flags & FIN) !== 0) flow.closing = true;
    const answered = acknowledges(flow, packet);
    if (flow.hold) {
      // No client needs them, and they could carry more than many a payload.
      if (packet.payloadLength === 0 && hasNetworkOptions(start, packet)) return this.#effects.drop(id);
      if (flow.multipath && (tcpOptions(bytes, packet) & MULTIPATH) !== 0) return this.#multipath(id, flow, packet);
    }
    switch (flow.stage) {
      case "settled":
        return this.#endings.allow(flow, id);
      case "delivering":
        return this.#deliveries.segment(id, flow, bytes, start, packet, answered);
      case "http":
        if (!flow.hold) return this.#watch.segment(id, flow, bytes, packet);
        return this.#http.segment(id, flow, bytes, start, packet);
      case "opening":
        if (packet.payloadLength > 0) return this.#openings.segment(id, flow, bytes, start, packet, packet.seq);
        if ((packet.flags & FIN) !== 0) return this.#openings.fin(id, flow, packet);
        return this.#effects.accept(id, "pending");
    }
  }

  /** The server's SYN+ACK, on its way to the client: proof that the connection is the one our SYN began. */
  answer(id: number, bytes: Uint8Array, packet: Packet): void {
    const flow = this.#pending.get(reverseKey(packet));
    this.#effects.accept(id, "pending");
    if (flow === undefined || flow.stage !== "opening" || flow.head !== null) return;
    if (packet.ack !== (flow.initialSequence + 1) >>> 0) return;
    flow.serverFirst = (packet.seq + 1) >>> 0;
    if ((tcpOptions(bytes, packet) & MULTIPATH) === 0) flow.multipath = false;
  }

  overdue(flow: Pending): void {
    switch (flow.stage) {
      case "settled":
        return this.#pending.remove(flow);
      case "delivering":
        return this.#deliveries.overdue(flow);
      case "http":
        return flow.hold ? this.#http.overdue(flow) : this.#watch.overdue(flow);
      case "opening":
        return this.#openings.overdue(flow);
    }
  }

  policyChanged(flow: Pending): void {
    if (flow.stage === "opening") return this.#openings.policyChanged(flow);
    const connect = this.#verdicts.reconnect(flow);
    const isHeld = connect.answer === "not_yet" && connect.hold;
    const passes = connect.answer === "not_yet" || connect.passes;
    // Who keeps the live flows asks the same question of each and reports its end; ours is only to stop at once.
    if (flow.stage === "settled" ? !passes : !this.#verdicts.stillPasses(flow.reported!))
      return this.#endings.abort(flow);
    if (flow.stage === "http" && !flow.hold) {
      if (!isHeld) return;
      // Every byte was read as enforcement reads them, unless a head has begun that is already under way.
      if (flow.follow!.midHead) {
        return this.#endings.end(flow, strictRefusal(this.#verdicts.engine, "policy_changed", "connect"));
      }
      flow.hold = true;
      return this.#http.policyChanged(flow);
    }
    if (flow.stage !== "settled") {
      // Where nothing can be refused any more (monitor mode), what waits goes on.
      if (passes && !isHeld) return this.#endings.handOver(flow);
      return flow.stage === "http" ? this.#http.policyChanged(flow) : undefined;
    }
    if (!isHeld) return;
    if (flow.leaked) return this.#endings.end(flow, strictRefusal(this.#verdicts.engine, "policy_changed", "connect"));
    // It has not said a byte: it starts over under the new policy.
    flow.stage = "opening";
    this.#openings.policyChanged(flow);
  }

  /** A segment of a connection this engine holds nothing about. */
  #stranger(id: number, key: string, packet: Packet, kernel: KernelFacts): void {
    const isEmpty = packet.payloadLength === 0;
    const isReset = (packet.flags & RST) !== 0;
    if (kernel.state === "deny") {
      if (isReset) return this.#effects.drop(id);
      resetReceiver(this.#effects, packet);
      return this.#effects.refuse(id);
    }
    // Queued while the connection's mark was still pending, or was becoming another between two of the kernel's rules.
    if (this.#endings.allowed.get(key, this.#verdicts.now) !== undefined) return this.#effects.accept(id, "allow");
    if (isReset && isEmpty) return this.#effects.accept(id, "pending");
    // The tail of a handshake or of a close: no payload, nothing to judge.
    if (kernel.state === "pending" && isEmpty) return this.#effects.accept(id, "pending");
    const decision = this.#verdicts.unread(packet, kernel.local, "mid_stream", this.#verdicts.ownerOf(packet));
    this.#verdicts.report(packet, kernel.local, decision, decision.passes);
    if (decision.passes) return this.#effects.accept(id, "allow");
    if (isReset) return this.#effects.drop(id);
    resetReceiver(this.#effects, packet);
    this.#effects.refuse(id);
  }

  /** A reset whose payload, if any, must not leave either. */
  #reset(id: number, flow: Pending, packet: Packet): void {
    const mayPass = packet.payloadLength === 0 || !flow.hold;
    if (flow.stage === "opening") this.#openings.gone(flow);
    else this.#endings.forget(flow);
    if (mayPass) this.#effects.accept(id, "pending");
    else this.#effects.drop(id);
  }

  /**
   * Multipath TCP (RFC 8684) that the server may have accepted: its options order the bytes anew, on this connection and on
   * others. Without them in the handshake's last segment the server falls back to plain TCP; with data they are refused.
   */
  #multipath(id: number, flow: Pending, packet: Packet): void {
    if (packet.payloadLength === 0) return this.#effects.drop(id);
    const { application, name, hello } = flow.reported ?? nothingShown;
    const decision = strictRefusal(this.#verdicts.engine, "malformed", "name");
    this.#endings.refuse(flow, decision, { application, name, hello }, id);
  }
}
