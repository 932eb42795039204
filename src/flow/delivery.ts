/**
 * From the verdict until the judged bytes have arrived. The client could still send other bytes in their place: a packet can be
 * lost behind us (or be made to be: too large for the path, unacceptable to the server's stack), and then the server reads
 * whatever comes next for those sequence numbers (threats N2, N6, T7). So the flow stays with us until the client
 * acknowledges something that the server said after it: the server has then read what we judged. Until then every segment
 * that touches the judged bytes must repeat them.
 *
 * An acknowledgement cannot be made up upwards: one of bytes that the server never sent is INVALID to the kernel's connection
 * tracking. It can be made up downwards; therefore, where the server's answer to the SYN was seen, its number counts.
 */
import type { Decision } from "../policy/decision.ts";
import { ACK, FIN, type Packet } from "../wire/ip/packet.ts";
import type { Effects, Shown } from "./effects.ts";
import type { Endings } from "./endings.ts";
import { couldMiss } from "./insertion.ts";
import { limits } from "./limits.ts";
import type { Pending, PendingTable } from "./pending.ts";
import { strictRefusal } from "./refusal.ts";
import type { Verdicts } from "./verdicts.ts";

export class Deliveries {
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

  /** Lets the judged bytes of an allowed flow go on; `id` completed them. */
  begin(id: number, flow: Pending, judged: Uint8Array, decision: Decision, shown: Shown): void {
    this.#verdicts.reportFlow(flow, decision, shown, true);
    flow.stage = "delivering";
    flow.judged = new Uint8Array(judged);
    flow.head = null;
    flow.clientNext = (flow.clientNext + judged.length) >>> 0;
    this.#endings.release(flow, "pending", id);
    this.#pending.setDeadline(flow, this.#verdicts.now + patience(flow));
  }

  /** Any later segment of the flow. `answered`: it acknowledges more than any before it. */
  segment(id: number, flow: Pending, bytes: Uint8Array, start: number, packet: Packet, answered: boolean): void {
    if (packet.payloadLength > 0) {
      const offset = (packet.seq - flow.initialSequence - 1) | 0;
      const judged = flow.judged!;
      // Bytes before the stream (the garbage of a keep-alive probe) are for nobody.
      if (offset < 0) return this.#effects.drop(id);
      if (offset < judged.length) {
        const repeat = bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
        if (couldMiss(bytes, start, packet)) return this.#refuse(id, flow, "malformed");
        if (!startsAlike(judged.subarray(offset), repeat)) return this.#refuse(id, flow, "overlap");
      }
      const next = (packet.seq + packet.payloadLength) >>> 0;
      if (((next - flow.clientNext) | 0) > 0) flow.clientNext = next;
    }
    if (answered) return this.#endings.allow(flow, id);
    this.#effects.accept(id, "pending");
    if ((packet.flags & FIN) !== 0) this.#pending.setDeadline(flow, this.#verdicts.now + patience(flow));
  }

  overdue(flow: Pending): void {
    const until = flow.touched + patience(flow);
    if (this.#verdicts.now >= until) this.#pending.remove(flow);
    else this.#pending.setDeadline(flow, until);
  }

  #refuse(id: number, flow: Pending, reason: "malformed" | "overlap"): void {
    const { application, name, hello } = flow.reported!;
    this.#endings.refuse(flow, strictRefusal(this.#verdicts.engine, reason, "name"), { application, name, hello }, id);
  }
}

/** Notes what the segment acknowledges; true when that is more than the flow's packets acknowledged before. */
export function acknowledges(flow: Pending, packet: Packet): boolean {
  if ((packet.flags & ACK) === 0) return false;
  const before = flow.clientAcknowledged ?? flow.serverFirst;
  if (before !== null && ((packet.ack - before) | 0) <= 0) {
    flow.clientAcknowledged = before;
    return false;
  }
  flow.clientAcknowledged = packet.ack;
  return before !== null;
}

/** How long the flow may be silent, ms. Retransmissions still come after the client has closed its half. */
export function patience(flow: Pending): number {
  return flow.closing ? limits.closingMs : limits.idleMs;
}

function startsAlike(a: Uint8Array, b: Uint8Array): boolean {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}
