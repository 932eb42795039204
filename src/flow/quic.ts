/**
 * QUIC flows after their verdict. The kernel forwards them but for datagrams that begin with a long header, of which each may
 * begin another connection, to another name at the same address (threats N2, N9): those come here. What belongs to a
 * connection that was judged goes on, as long as it says the same; a hello that was not judged is held and judged like the
 * first one. What is refused is refused alone: the connections that were let go live on.
 *
 * A flow is remembered for as long as a handshake takes. After that, and after a restart, an Initial is that of a new
 * connection or opens under no key that we know: then it is dropped.
 */
import type { Decision } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import type { Packet } from "../wire/ip/packet.ts";
import { QuicInitial, quicLimits, type ClientHello } from "../wire/quic/initial.ts";
import { minSeveral } from "../wire/quic/segments.ts";
import { serverName } from "../wire/first-bytes.ts";
import { ja4 } from "../wire/tls/ja4.ts";
import { nothingShown, type Effects, type Shown } from "./effects.ts";
import { couldMiss } from "./insertion.ts";
import { limits } from "./limits.ts";
import type { Pending, PendingTable } from "./pending.ts";
import { strictRefusal, withInvalidName } from "./refusal.ts";
import type { Verdicts } from "./verdicts.ts";

/** What a flow that waits for more datagrams may take: its CRYPTO stream, and another one after a Retry. */
export const waitingBytes = 2 * quicLimits.bytes;

const other: Shown = { ...nothingShown, application: "other" };
const unreadable: Shown = { ...nothingShown, application: "quic" };

export class QuicFlows {
  readonly #verdicts: Verdicts;
  readonly #pending: PendingTable;
  readonly #effects: Effects;

  constructor(verdicts: Verdicts, pending: PendingTable, effects: Effects) {
    this.#verdicts = verdicts;
    this.#pending = pending;
    this.#effects = effects;
  }

  /** Lets a flow go whose first datagrams `id` completes; `name` is what its hello showed, if it had one. */
  begin(id: number, flow: Pending, name: string | null): void {
    flow.stage = "quic";
    flow.quic!.letGo(name);
    this.#goOn(id, flow);
    this.#rest(flow);
  }

  /** Takes up a flow that was let go and is not remembered; false when there is no room. */
  takeUp(flow: Pending): boolean {
    flow.stage = "quic";
    flow.quic = new QuicInitial(true);
    return this.#pending.add(flow, this.#verdicts.now + limits.quicMs);
  }

  /** A datagram of a flow that was let go. */
  datagram(id: number, flow: Pending, bytes: Uint8Array, start: number, packet: Packet): void {
    const payload = bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
    if (beginsNothing(payload)) return this.#effects.accept(id, "quic");
    if (couldMiss(bytes, start, packet)) return this.#defect(id, flow, "malformed");
    flow.segments++;
    const read = flow.quic!.add(payload);
    switch (read.state) {
      case "pass":
        this.#effects.accept(id, "quic");
        if (flow.held.length === 0) this.#rest(flow);
        return;
      case "need_more":
        return this.#wait(id, flow);
      case "not_quic": {
        const decision = this.#verdicts.name(flow, "other", null, false);
        if (decision.passes) this.#effects.accept(id, "quic");
        else this.#refuse(id, flow, decision, other);
        return;
      }
      case "hello":
        return this.#judge(id, flow, read.hello, read.before);
      case "malformed":
      case "overlap":
      case "too_large":
        return this.#defect(id, flow, read.state);
    }
  }

  overdue(flow: Pending): void {
    if (flow.held.length === 0) return this.#pending.remove(flow);
    this.#verdicts.reportFlow(flow, strictRefusal(this.#verdicts.engine, "timeout", "name"), unreadable, false);
    this.#refuseHeld(flow);
    this.#rest(flow);
  }

  /** Who keeps the live flows ends this one where the new policy refuses it; here it is only no longer followed. */
  policyChanged(flow: Pending): void {
    const decision = this.#verdicts.reconnect(flow);
    if (decision.answer === "not_yet" && decision.hold) return;
    if (decision.answer === "deny" && !decision.passes) this.#refuseHeld(flow);
    else for (const held of this.#pending.release(flow)) this.#effects.accept(held.id, "allow");
    this.#pending.remove(flow);
  }

  #wait(id: number, flow: Pending): void {
    const isFirst = flow.held.length === 0;
    const fits = this.#pending.charge(flow, flow.quic!.memory + waitingBytes);
    if (!fits || !this.#pending.hold(flow, id, 0)) return this.#defect(id, flow, "over_limit");
    if (isFirst) this.#pending.setDeadline(flow, this.#verdicts.now + limits.helloMs);
  }

  #judge(id: number, flow: Pending, hello: ClientHello, before: { name: string | null } | null): void {
    const { shown, isInvalid } = showQuic(hello, flow.segments);
    // RFC 8446 section 4.1.2: the answer to a HelloRetryRequest asks for the same name (threat N10).
    if (before !== null && before.name !== shown.name) {
      return this.#refuse(id, flow, strictRefusal(this.#verdicts.engine, "host_changed", "name"), shown);
    }
    const decision = this.#verdicts.name(flow, "quic", shown.name, hello.ech);
    if (!decision.passes) {
      return this.#refuse(id, flow, isInvalid ? withInvalidName(decision) : decision, shown);
    }
    // The same name again is the same attempt: after a Retry, or with the other version.
    if (flow.reported?.application !== "quic" || flow.reported.name !== shown.name) {
      this.#verdicts.reportFlow(flow, decision, shown, true);
    }
    flow.quic!.letGo(shown.name);
    this.#goOn(id, flow);
    this.#rest(flow);
  }

  /**
   * Nothing is answered: an ICMP error about a stray retransmission would end a connection that is alive.
   */
  #defect(id: number, flow: Pending, reason: Reason): void {
    this.#verdicts.reportFlow(flow, strictRefusal(this.#verdicts.engine, reason, "name"), unreadable, false);
    this.#effects.drop(id);
    this.#refuseHeld(flow);
    this.#rest(flow);
  }

  #refuse(id: number, flow: Pending, decision: Decision, shown: Shown): void {
    this.#verdicts.reportFlow(flow, decision, shown, false);
    this.#refuseHeld(flow);
    this.#effects.refuse(id);
    this.#rest(flow);
  }

  #refuseHeld(flow: Pending): void {
    flow.quic!.refuse();
    for (const held of this.#pending.release(flow)) this.#effects.refuse(held.id);
  }

  #goOn(id: number, flow: Pending): void {
    for (const held of this.#pending.release(flow)) this.#effects.accept(held.id, "quic");
    this.#effects.accept(id, "quic");
  }

  /** Nothing waits. Kept for the retransmissions to come, if there is room: without it they are dropped. */
  #rest(flow: Pending): void {
    flow.segments = 0;
    if (!this.#pending.charge(flow, flow.quic!.memory)) return this.#pending.remove(flow);
    this.#pending.setDeadline(flow, this.#verdicts.now + limits.quicMs);
  }
}

/** A short header up to the end: 1-RTT data, which begins no connection. The ruleset knows them by the same signs. */
export function beginsNothing(payload: Uint8Array): boolean {
  return payload.length === 0 || ((payload[0]! & 0x80) === 0 && payload.length < minSeveral);
}

/** What an event says of a QUIC hello. `isInvalid`: something stands where the name should. */
export function showQuic(hello: ClientHello, segments: number): { shown: Shown; isInvalid: boolean } {
  const name = serverName(hello);
  const { alpn, ech, bytes } = hello;
  const facts = { version: "QUIC", alpn, ech, ja4: ja4(hello, "quic"), bytes, segments };
  const shown: Shown = { application: "quic", name: name.kind === "name" ? name.name : null, hello: facts };
  return { shown, isInvalid: name.kind === "invalid" };
}
