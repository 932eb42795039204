/**
 * SYNs. Each is judged anew, whatever its ports were allowed before (threat T7), and where the name decides its flow is watched
 * from there on. A SYN must not give us another idea of where the stream begins than the server has: we would judge bytes
 * that the server discards as old, and it would read others. So only the first SYN of a connection, as the kernel knows
 * connections, says where that is; and data inside a SYN decides nothing, since a server may ignore it (RFC 7413).
 */
import type { Decision } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import type { Packet } from "../wire/ip/packet.ts";
import type { Effects } from "./effects.ts";
import type { Endings } from "./endings.ts";
import type { KernelFacts } from "./engine.ts";
import { hasNetworkOptions, MULTIPATH, tcpOptions } from "./insertion.ts";
import { limits } from "./limits.ts";
import type { Openings } from "./opening.ts";
import type { Pending, PendingTable } from "./pending.ts";
import { Recent } from "./recent.ts";
import { strictRefusal } from "./refusal.ts";
import type { Verdicts } from "./verdicts.ts";

/** How long a repeated SYN is the same attempt, ms. */
const repeatMs = 70_000;
/** Two SYNs within this time may both have stood in the queue before the kernel heard of the first one's verdict, ms. */
const racingMs = 5_000;

export class Syns {
  readonly #verdicts: Verdicts;
  readonly #pending: PendingTable;
  readonly #effects: Effects;
  readonly #endings: Endings;
  readonly #openings: Openings;
  /** Attempts let through and reported: a repeat is judged again but is no news. */
  readonly #attempts = new Recent<{ sequence: number; decision: Decision }>(repeatMs);

  constructor(verdicts: Verdicts, pending: PendingTable, effects: Effects, endings: Endings, openings: Openings) {
    this.#verdicts = verdicts;
    this.#pending = pending;
    this.#effects = effects;
    this.#endings = endings;
    this.#openings = openings;
  }

  packet(
    id: number,
    key: string,
    known: Pending | undefined,
    bytes: Uint8Array,
    start: number,
    packet: Packet,
    kernel: KernelFacts,
  ): void {
    if (known !== undefined && this.#isOfKnown(id, known, packet, kernel)) return;
    const { now } = this.#verdicts;
    const isLate = this.#endings.allowed.get(key, now) === packet.seq;
    const decision = this.#verdicts.connect(packet, kernel.local);
    if (decision.answer !== "not_yet") return this.#settle(id, key, packet, kernel, decision);
    if (decision.hold) {
      // A repeat that was overtaken by its own connection, or something that wants to look like one.
      if (isLate) return this.#effects.drop(id);
      // A connection that the kernel knows and we do not: where its stream began is not for this SYN to say.
      if (kernel.state !== "none") return this.#deny(id, packet, kernel, "mid_stream");
      // Dropped, not refused: a client of TCP Fast Open tries again without data.
      if (packet.payloadLength > 0) return this.#deny(id, packet, kernel, "syn_data");
      if (hasNetworkOptions(start, packet)) return this.#deny(id, packet, kernel, "malformed");
    } else if (isLate) return this.#effects.accept(id, "allow");
    this.#endings.allowed.forget(key);
    const flow = this.#verdicts.begin(key, packet, kernel.local, decision.hold);
    flow.multipath = (tcpOptions(bytes, packet) & MULTIPATH) !== 0;
    if (!this.#pending.add(flow, now + (decision.hold ? limits.silentMs : limits.observeMs))) {
      return this.#overLimit(id, flow, packet, kernel);
    }
    if (packet.payloadLength === 0) this.#effects.accept(id, "pending");
    else this.#openings.segment(id, flow, bytes, start, packet, (packet.seq + 1) >>> 0);
  }

  /** A SYN on the ports of a flow we know; false when the flow is over and the SYN begins another. */
  #isOfKnown(id: number, flow: Pending, packet: Packet, kernel: KernelFacts): boolean {
    const isSame = flow.initialSequence === packet.seq;
    const isUntouched = flow.stage === "opening" && flow.head === null && flow.held.length === 0;
    if (isSame && (isUntouched || !flow.hold)) {
      if (packet.payloadLength > 0 && flow.hold) this.#effects.drop(id);
      else this.#repeat(id, flow, kernel);
      return true;
    }
    const isNew = kernel.state === "none" && !(isUntouched && this.#verdicts.now - flow.since < racingMs);
    if (flow.hold && !isNew) {
      this.#effects.drop(id);
      return true;
    }
    if (flow.stage === "opening") this.#openings.gone(flow);
    else this.#endings.forget(flow);
    return false;
  }

  #repeat(id: number, flow: Pending, kernel: KernelFacts): void {
    if (kernel.state === "none") flow.serverFirst = flow.clientAcknowledged = null;
    if (flow.stage === "opening" && flow.serverFirst === null) {
      flow.repeated = true;
      if (flow.hold) this.#pending.setDeadline(flow, this.#verdicts.now + limits.handshakeMs);
    }
    this.#effects.accept(id, "pending");
  }

  #settle(id: number, key: string, packet: Packet, kernel: KernelFacts, decision: Decision): void {
    this.#endings.allowed.forget(key);
    if (!decision.passes) return this.#verdicts.settle(id, packet, kernel, decision);
    const { now } = this.#verdicts;
    const before = this.#attempts.get(key, now);
    this.#attempts.set(key, { sequence: packet.seq, decision }, now);
    const isRepeat = before !== undefined && before.sequence === packet.seq && isAlike(before.decision, decision);
    if (isRepeat) this.#effects.accept(id, "allow");
    else this.#verdicts.settle(id, packet, kernel, decision);
  }

  /** No room to look at its bytes. Where nothing could be refused they need not be looked at. */
  #overLimit(id: number, flow: Pending, packet: Packet, kernel: KernelFacts): void {
    if (flow.hold) {
      return this.#verdicts.settle(id, packet, kernel, strictRefusal(this.#verdicts.engine, "over_limit", "connect"));
    }
    const judged = this.#verdicts.name(flow, "other", null, false);
    const decision: Decision = judged.verdict === "allow" ? judged : { ...judged, reason: "over_limit" };
    this.#verdicts.settle(id, packet, kernel, decision);
  }

  #deny(id: number, packet: Packet, kernel: KernelFacts, reason: Reason): void {
    this.#verdicts.report(packet, kernel.local, strictRefusal(this.#verdicts.engine, reason, "connect"), false);
    if (reason === "syn_data") this.#effects.drop(id);
    else this.#effects.refuse(id);
  }
}

function isAlike(a: Decision, b: Decision): boolean {
  return a.rule === b.rule && a.verdict === b.verdict && a.reason === b.reason && a.policy === b.policy;
}
