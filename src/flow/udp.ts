/**
 * UDP flows. Most are judged by their first datagram's address and port; where a `quic` rule could allow the flow, its first
 * datagrams wait until the Initial packets show the ClientHello's name (threat N9). In monitor mode one look at the first
 * datagrams, for the record.
 */
import type { Decision } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import type { Packet } from "../wire/ip/packet.ts";
import { QuicInitial } from "../wire/quic/initial.ts";
import { serverName } from "../wire/first-bytes.ts";
import type { Effects, HelloFacts } from "./effects.ts";
import type { KernelFacts } from "./engine.ts";
import { couldMiss } from "./insertion.ts";
import { flowKey } from "./key.ts";
import { limits } from "./limits.ts";
import type { Pending, PendingTable } from "./pending.ts";
import { defaultRefusal, strictRefusal } from "./refusal.ts";
import type { Verdicts } from "./verdicts.ts";

export class UdpFlows {
  readonly #verdicts: Verdicts;
  readonly #pending: PendingTable;
  readonly #effects: Effects;

  constructor(verdicts: Verdicts, pending: PendingTable, effects: Effects) {
    this.#verdicts = verdicts;
    this.#pending = pending;
    this.#effects = effects;
  }

  packet(id: number, bytes: Uint8Array, start: number, packet: Packet, kernel: KernelFacts): void {
    const key = flowKey(packet);
    const known = this.#pending.get(key);
    if (known !== undefined) return this.#datagram(id, known, bytes, start, packet);
    // Refused before and still sending on a connection the kernel keeps: no second event.
    if (kernel.state === "deny") return this.#effects.refuse(id);
    const decision = this.#verdicts.connect(packet, kernel.local);
    if (decision.answer !== "not_yet") return this.#verdicts.settle(id, packet, kernel, decision);
    const flow: Pending = {
      key,
      source: packet.source,
      sourcePort: packet.sourcePort,
      destination: packet.destination,
      destinationPort: packet.destinationPort,
      local: kernel.local,
      transport: "udp",
      protocol: packet.protocol,
      hold: decision.hold,
      leaked: false,
      initialSequence: 0,
      clientNext: 0,
      clientAcknowledged: 0,
      timestamp: null,
      head: null,
      quic: new QuicInitial(),
      held: [],
      segments: 0,
      bytes: 0,
      deadline: this.#verdicts.now + (decision.hold ? limits.helloMs : limits.observeMs),
      touched: this.#verdicts.now,
      closing: false,
      follow: null,
      settled: null,
    };
    if (!this.#pending.add(flow)) {
      const over = decision.hold
        ? strictRefusal(this.#verdicts.engine, "over_limit", "connect")
        : defaultRefusal(this.#verdicts.engine, packet.source, "over_limit", "connect");
      return this.#verdicts.settle(id, packet, kernel, over);
    }
    this.#datagram(id, flow, bytes, start, packet);
  }

  overdue(flow: Pending): void {
    const judged = this.#verdicts.name(flow, "other", null);
    const decision: Decision = judged.passes ? judged : { ...judged, reason: "timeout" };
    this.#verdicts.reportFlow(flow, decision, "other", null, null, decision.passes);
    for (const id of this.#pending.release(flow)) {
      if (decision.passes) this.#effects.accept(id, "allow");
      else this.#effects.refuse(id);
    }
    this.#pending.remove(flow);
  }

  policyChanged(flow: Pending): void {
    const decision = this.#verdicts.reconnect(flow);
    if (decision.answer === "not_yet") {
      if (decision.hold && flow.leaked)
        return this.#refuse(flow, strictRefusal(this.#verdicts.engine, "policy_changed", "connect"), null, null);
      flow.hold = decision.hold;
      return;
    }
    if (!decision.passes) this.#refuse(flow, { ...decision, reason: "policy_changed" }, null, null);
  }

  #datagram(id: number, flow: Pending, bytes: Uint8Array, start: number, packet: Packet): void {
    if (flow.hold && couldMiss(bytes, start, packet, null)) return this.#defect(id, flow, "malformed");
    const payload = bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
    if (!this.#pending.keep(flow, payload.length)) return this.#defect(id, flow, "over_limit");
    flow.segments++;
    const read = flow.quic!.add(payload);
    if (read.state === "need_more") {
      if (!flow.hold) {
        flow.leaked = true;
        return this.#effects.accept(id, "pending");
      }
      if (!this.#pending.hold(flow, id)) this.#defect(id, flow, "over_limit");
      return;
    }
    if (read.state === "not_quic") {
      const decision = this.#verdicts.name(flow, "other", null);
      return this.#settle(id, flow, decision, "other", null, null);
    }
    if (read.state !== "hello") return this.#defect(id, flow, read.state);
    const shown = serverName(read.hello);
    const name = shown.kind === "name" ? shown.name : null;
    const judged = this.#verdicts.name(flow, "quic", name);
    const decision: Decision =
      shown.kind === "invalid" && judged.verdict !== "allow" ? { ...judged, reason: "invalid_name" } : judged;
    const hello: HelloFacts = {
      version: "QUIC",
      alpn: read.hello.alpn,
      ech: read.hello.ech,
      bytes: flow.bytes,
      segments: flow.segments,
    };
    this.#settle(id, flow, decision, "quic", name, hello);
  }

  #defect(id: number, flow: Pending, reason: Reason): void {
    const decision = flow.hold
      ? strictRefusal(this.#verdicts.engine, reason, "name")
      : { ...this.#verdicts.name(flow, "other", null), reason };
    this.#settle(id, flow, decision, "other", null, null);
  }

  #settle(
    id: number,
    flow: Pending,
    decision: Decision,
    application: "quic" | "other",
    name: string | null,
    hello: HelloFacts | null,
  ): void {
    if (!decision.passes) {
      this.#refuse(flow, decision, name, hello);
      return this.#effects.refuse(id);
    }
    this.#verdicts.reportFlow(flow, decision, application, name, hello, true);
    for (const held of this.#pending.release(flow)) this.#effects.accept(held, "allow");
    this.#effects.accept(id, "allow");
    this.#pending.remove(flow);
  }

  #refuse(flow: Pending, decision: Decision, name: string | null, hello: HelloFacts | null): void {
    this.#verdicts.reportFlow(flow, decision, hello === null ? "other" : "quic", name, hello, false);
    for (const held of this.#pending.release(flow)) this.#effects.refuse(held);
    this.#pending.remove(flow);
  }
}
