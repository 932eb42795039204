/**
 * The first bytes of a TCP flow: they wait in the kernel's queue until they show what the flow is, put together strictly: in any
 * order, from any number of segments, and refused when two segments disagree about the same byte (threat N6). Where nothing
 * could be refused they are only read along, for the record.
 */
import type { Decision } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import { classify, type FirstBytes } from "../wire/first-bytes.ts";
import { FIN, type Packet } from "../wire/ip/packet.ts";
import { isStratum } from "../wire/stratum.ts";
import { StreamHead } from "../wire/stream.ts";
import type { Deliveries } from "./delivery.ts";
import { nothingShown, type Effects, type Shown } from "./effects.ts";
import type { Endings } from "./endings.ts";
import type { HttpFlows } from "./http.ts";
import type { HttpWatch } from "./http-watch.ts";
import { couldMiss } from "./insertion.ts";
import { limits } from "./limits.ts";
import type { Pending, PendingTable } from "./pending.ts";
import { handshakeOnly, strictRefusal, withInvalidName } from "./refusal.ts";
import type { Verdicts } from "./verdicts.ts";

/** Segments read along of a flow that is not held: each costs another look at all of them. */
const mostWatched = 64;

export interface OpeningOptions {
  /** The data path shows the server's answer to the SYN (`KernelFacts.back`, state pending). */
  answersSeen: boolean;
}

export class Openings {
  readonly #verdicts: Verdicts;
  readonly #pending: PendingTable;
  readonly #effects: Effects;
  readonly #endings: Endings;
  readonly #deliveries: Deliveries;
  readonly #http: HttpFlows;
  readonly #watch: HttpWatch;
  readonly #options: OpeningOptions;

  constructor(
    verdicts: Verdicts,
    pending: PendingTable,
    effects: Effects,
    parts: { endings: Endings; deliveries: Deliveries; http: HttpFlows; watch: HttpWatch },
    options: OpeningOptions,
  ) {
    this.#verdicts = verdicts;
    this.#pending = pending;
    this.#effects = effects;
    this.#endings = parts.endings;
    this.#deliveries = parts.deliveries;
    this.#http = parts.http;
    this.#watch = parts.watch;
    this.#options = options;
  }

  /** A segment with payload; `sequence` is that of its first byte. */
  segment(id: number, flow: Pending, bytes: Uint8Array, start: number, packet: Packet, sequence: number): void {
    if (flow.hold) {
      if (couldMiss(bytes, start, packet)) return this.#defect(id, flow, "malformed", nothingShown);
      // Another connection of the server's answers these packets, not the one that our SYN began (threat T7).
      if (this.#options.answersSeen && !flow.local && flow.serverFirst === null) {
        return this.#defect(id, flow, "mid_stream", nothingShown);
      }
    }
    const payload = bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
    if (flow.head === null) {
      // Nearly every hello is one segment, or several that the kernel has joined: it is read where it lies.
      if (sequence === (flow.initialSequence + 1) >>> 0) {
        const first = classify(payload);
        flow.segments = 1;
        if (first.state === "done") return this.#judge(id, flow, first, payload);
        flow.segments = 0;
      }
      flow.head = new StreamHead(flow.initialSequence);
      if (flow.hold) this.#pending.setDeadline(flow, this.#verdicts.now + limits.helloMs);
    }
    const { head } = flow;
    const before = head.contiguous().length;
    const added = head.add(sequence, payload);
    if (added === "out_of_window") return this.#outside(id, flow);
    if (added !== "ok") return this.#defect(id, flow, added, nothingShown);
    if (!this.#pending.charge(flow, head.capacity)) return this.#defect(id, flow, "over_limit", nothingShown);
    flow.segments++;
    const prefix = head.contiguous();
    // A repeat of bytes that wait already: they go on without it.
    if (prefix.length === before && flow.hold && isWithin(flow, sequence, payload.length, before)) {
      return this.#effects.drop(id);
    }
    const first = classify(prefix);
    if (first.state === "need_more") return this.#wait(id, flow, packet, sequence, prefix.length);
    if (first.state === "defect") {
      return this.#defect(id, flow, first.reason, { ...nothingShown, application: first.application });
    }
    this.#judge(id, flow, first, prefix);
  }

  /** A FIN without payload. With a gap before it, it must not overtake what fills the gap. */
  fin(id: number, flow: Pending, packet: Packet): void {
    const end = (flow.initialSequence + 1 + (flow.head?.contiguous().length ?? 0)) >>> 0;
    if (((packet.seq - end) | 0) > 0) {
      if (!flow.hold) return this.#effects.accept(id, "pending");
      const soon = this.#verdicts.now + limits.helloMs;
      if (flow.deadline > soon) this.#pending.setDeadline(flow, soon);
      if (!this.#pending.hold(flow, id, packet.seq)) this.#effects.drop(id);
      return;
    }
    if (flow.hold && flow.head !== null) return this.#defect(id, flow, "closed", nothingShown);
    this.#effects.accept(id, "pending");
    this.gone(flow);
  }

  overdue(flow: Pending): void {
    const judged = this.#verdicts.name(flow, "other", null, false);
    if (!flow.hold && judged.passes) {
      return this.#endings.settle(flow, judged, { ...nothingShown, application: flow.head === null ? null : "other" });
    }
    // Whatever the rest of the bytes would have been: slowness is not a way past a rule (threat N6).
    if (flow.head !== null || flow.held.length > 0) {
      return this.#endings.end(flow, strictRefusal(this.#verdicts.engine, "timeout", "name"));
    }
    // The server never answered: nothing of the client's was let out or kept back.
    if (!this.#wasAnswered(flow)) return this.gone(flow);
    if (!judged.passes) return this.#endings.end(flow, { ...judged, reason: "timeout" });
    // A server-first protocol may pass, if it turns out to be one: its client is judged when it speaks.
    const most = flow.since + limits.idleMs;
    if (this.#verdicts.now >= most) this.gone(flow);
    else this.#pending.setDeadline(flow, most);
  }

  /** A new policy decides whether the flow still waits for its bytes. */
  policyChanged(flow: Pending): void {
    const decision = this.#verdicts.reconnect(flow);
    if (decision.answer !== "not_yet") {
      if (decision.passes) this.#endings.settle(flow, decision, nothingShown);
      else this.#endings.end(flow, { ...decision, reason: "policy_changed" });
    } else if (!decision.hold) {
      flow.hold = false;
      if (flow.held.length > 0) flow.leaked = true;
      this.#endings.release(flow, "pending", null);
    } else if (flow.leaked) {
      // Bytes that monitor mode let go unread cannot be judged any more.
      this.#endings.end(flow, strictRefusal(this.#verdicts.engine, "policy_changed", "connect"));
    } else if (!flow.hold) {
      flow.hold = true;
      // Bytes that were refused before may have begun its head: what completes it has no more time than any other.
      const most = flow.head === null ? limits.silentMs : limits.helloMs;
      this.#pending.setDeadline(flow, this.#verdicts.now + most);
    }
  }

  /**
   * The client went away, or its tuple is used anew. Without a byte sent nothing was attempted: the handshake was allowed and
   * that is what the record says (the losing half of Happy Eyeballs, RFC 8305). Bytes that never made a name are a denial.
   */
  gone(flow: Pending): void {
    const tried = flow.head !== null;
    const { engine } = this.#verdicts;
    let decision: Decision = handshakeOnly(engine);
    if (flow.hold && tried) decision = strictRefusal(engine, "closed", "name");
    else if (!flow.hold) {
      const judged = this.#verdicts.name(flow, "other", null, false);
      if (judged.verdict === "would_deny") decision = { ...judged, reason: "closed" };
      else if (tried) decision = judged;
    }
    this.#verdicts.reportFlow(flow, decision, nothingShown, false);
    this.#endings.forget(flow);
  }

  #judge(id: number, flow: Pending, first: FirstBytes & { state: "done" }, prefix: Uint8Array): void {
    const shown: Shown = {
      application: first.application,
      name: first.name.kind === "name" ? first.name.name : null,
      hello: first.tls === null ? null : { ...first.tls, segments: flow.segments },
    };
    if (first.application === "other" && isStratum(prefix)) flow.speaks = "stratum";
    let decision = this.#verdicts.name(flow, first.application, shown.name, first.tls?.ech ?? false);
    // A name that is none (an IP literal, two names, NUL) never matches; the record says what was wrong with it.
    if (first.name.kind === "invalid") decision = withInvalidName(decision);
    if (!decision.passes) return this.#endings.refuse(flow, decision, shown, id);
    if (!flow.hold) {
      // What enforcement would follow request by request is read along.
      const follows =
        first.application === "http" && this.#verdicts.name(flow, "other", null, false).verdict === "would_deny";
      if (follows) return this.#watch.begin(id, flow, prefix, decision, shown);
      this.#verdicts.reportFlow(flow, decision, shown, true);
      return this.#endings.allow(flow, id);
    }
    if (first.application === "http") this.#http.begin(id, flow, prefix, decision, shown);
    else if (!this.#pending.charge(flow, prefix.length)) this.#defect(id, flow, "over_limit", shown);
    else this.#deliveries.begin(id, flow, prefix, decision, shown, first);
  }

  #wait(id: number, flow: Pending, packet: Packet, sequence: number, contiguous: number): void {
    const end = (sequence + packet.payloadLength - flow.initialSequence - 1) | 0;
    const isLast = (packet.flags & FIN) !== 0 && end === contiguous;
    if (!flow.hold) {
      if (flow.segments >= mostWatched) return this.#defect(id, flow, "too_large", nothingShown);
      flow.leaked = true;
      this.#effects.accept(id, "pending");
      if (isLast) this.gone(flow);
    } else if (isLast) this.#defect(id, flow, "closed", nothingShown);
    else if (!this.#pending.hold(flow, id, sequence)) this.#defect(id, flow, "over_limit", nothingShown);
  }

  /** Bytes before the stream's first, or beyond any window. */
  #outside(id: number, flow: Pending): void {
    if (flow.hold) return this.#effects.drop(id);
    flow.leaked = true;
    this.#effects.accept(id, "pending");
  }

  #defect(id: number, flow: Pending, reason: Reason, shown: Shown): void {
    const judged = flow.hold
      ? strictRefusal(this.#verdicts.engine, reason, "name")
      : this.#verdicts.name(flow, "other", null, false);
    const decision = judged.verdict === "allow" ? judged : { ...judged, reason };
    if (!decision.passes) return this.#endings.refuse(flow, decision, shown, id);
    this.#verdicts.reportFlow(flow, decision, { ...shown, application: shown.application ?? "other" }, true);
    this.#endings.allow(flow, id);
  }

  /** Whether the server has answered the SYN, as far as we can tell. */
  #wasAnswered(flow: Pending): boolean {
    return this.#options.answersSeen && !flow.local
      ? flow.serverFirst !== null
      : flow.clientAcknowledged !== null || !flow.repeated;
  }
}

/** The segment lies wholly in the first `length` bytes of the stream. */
function isWithin(flow: Pending, sequence: number, size: number, length: number): boolean {
  return ((sequence - flow.initialSequence - 1) | 0) + size <= length;
}
