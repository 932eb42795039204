/**
 * Plain-HTTP connections in monitor mode: every packet goes on at once, and the requests are read along, so that the record has
 * each host that enforcement would judge, not only the first (threat N4). What cannot be read any further is said once, and
 * the kernel forwards the rest. A policy that enforces takes the connection over where the reading stands.
 */
import type { Decision } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import type { Packet } from "../wire/ip/packet.ts";
import { patience } from "./delivery.ts";
import type { Effects, Shown } from "./effects.ts";
import type { Endings } from "./endings.ts";
import { HttpFollow, type Taken } from "./http-follow.ts";
import { limits } from "./limits.ts";
import type { Pending, PendingTable } from "./pending.ts";
import type { Verdicts } from "./verdicts.ts";

export class HttpWatch {
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

  /** Starts to read along a flow whose first request is in `prefix`, the stream so far; `id` completed its head. */
  begin(id: number, flow: Pending, prefix: Uint8Array, decision: Decision, shown: Shown): void {
    flow.follow = new HttpFollow((flow.initialSequence + 1) >>> 0);
    this.#verdicts.reportFlow(flow, decision, shown, true);
    flow.stage = "http";
    flow.head = null;
    const isReadable = this.#take(flow, prefix, 1);
    this.#goOn(id, flow, isReadable);
  }

  segment(id: number, flow: Pending, bytes: Uint8Array, packet: Packet): void {
    if (packet.payloadLength === 0) return this.#goOn(id, flow, true);
    const payload = bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
    const placed = flow.follow!.place(packet.seq, payload);
    // A gap: what fills it may come by another way, and nothing may wait for it here.
    if (placed.state === "ahead") return this.#goOn(id, flow, false);
    this.#goOn(id, flow, placed.state !== "fresh" || this.#take(flow, placed.fresh, 0));
  }

  overdue(flow: Pending): void {
    const until = flow.touched + patience(flow);
    if (this.#verdicts.now >= until) this.#endings.handOver(flow);
    else this.#pending.setDeadline(flow, until);
  }

  /** Reads bytes that continue the stream, and tells what enforcement would refuse; false where it can read no further. */
  #take(flow: Pending, fresh: Uint8Array, told: number): boolean {
    const follow = flow.follow!;
    const wanted = follow.wanted(fresh.length, limits.historyBytes);
    if (wanted > follow.memory && this.#pending.charge(flow, wanted)) follow.grow(wanted);
    const before = follow.host;
    const taken: Taken = follow.take(fresh);
    this.#pending.charge(flow, follow.memory);
    let last = before;
    for (const [i, host] of taken.hosts.entries()) {
      if (i >= told && host !== last) this.#tellHost(flow, host);
      last = host;
    }
    if (taken.defect) this.#tellDefect(flow, "malformed");
    else if (taken.tunnel) this.#tellDefect(flow, "not_protocol");
    return !taken.defect && !taken.tunnel;
  }

  /** Records a host that would be refused; of an allowed one nothing, the connection has its event. */
  #tellHost(flow: Pending, host: string | null): void {
    const judged = this.#verdicts.name(flow, "http", host, false);
    if (judged.verdict === "would_deny") this.#report(flow, { ...judged, reason: "host_changed" }, host);
  }

  /** Records that nobody can say what follows, where that would be refused. */
  #tellDefect(flow: Pending, reason: Reason): void {
    const judged = this.#verdicts.name(flow, "other", null, false);
    if (judged.verdict === "would_deny") this.#report(flow, { ...judged, reason }, flow.follow!.host);
  }

  #report(flow: Pending, decision: Decision, host: string | null): void {
    this.#verdicts.reportFlow(flow, decision, { application: "http", name: host, hello: null }, false);
  }

  #goOn(id: number, flow: Pending, isReadable: boolean): void {
    if (!isReadable) return this.#endings.allow(flow, id);
    this.#effects.accept(id, "pending");
    flow.clientNext = flow.follow!.next;
    this.#pending.setDeadline(flow, this.#verdicts.now + patience(flow));
  }
}
