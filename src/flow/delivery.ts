/**
 * From the verdict until the judged bytes have arrived. The client could still send other bytes in their place: a packet can be
 * lost behind us (or be made to be: too large for the path, unacceptable to the server's stack), and then the server reads
 * whatever comes next for those sequence numbers (threats N2, N6, T7). So the flow stays with us until the client
 * acknowledges something that the server said after it: the server has then read what we judged. Until then every segment
 * that touches the judged bytes must repeat them.
 *
 * Where the hello offers TLS 1.3 the server's first words may be a HelloRetryRequest, and a second hello follows (threat
 * N10). That request is short; a client that acknowledges more has heard a server that has made up its mind. Until then
 * what follows the hello is read, and a second hello must ask for the same name.
 *
 * An acknowledgement cannot be made up upwards: one of bytes that the server never sent is INVALID to the kernel's connection
 * tracking. It can be made up downwards; therefore, where the server's answer to the SYN was seen, its number counts.
 */
import type { Decision } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import type { FirstBytes } from "../wire/first-bytes.ts";
import { serverName } from "../wire/first-bytes.ts";
import { ACK, FIN, type Packet } from "../wire/ip/packet.ts";
import type { ClientHello } from "../wire/tls/hello.ts";
import { AfterHello } from "./after-hello.ts";
import type { Effects, Shown } from "./effects.ts";
import type { Endings } from "./endings.ts";
import { couldMiss } from "./insertion.ts";
import { limits } from "./limits.ts";
import type { Pending, PendingTable } from "./pending.ts";
import { strictRefusal } from "./refusal.ts";
import type { Verdicts } from "./verdicts.ts";

/**
 * No HelloRetryRequest is longer, with its records, the change_cipher_spec after it and a cookie: about 100 bytes without a
 * cookie, and a cookie holds a hash and a signature.
 */
const mostRetryBytes = 1024;

/** Data this far after the hello was sent into a window that began after it: the server has read what is between. */
const beyondWindow = 2 ** 24;

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

  /** Lets the judged bytes of an allowed flow go on; `id` completed them, `first` says what they are. */
  begin(
    id: number,
    flow: Pending,
    judged: Uint8Array,
    decision: Decision,
    shown: Shown,
    first: FirstBytes & { state: "done" },
  ): void {
    if (first.hello !== null && mayBeRetried(first.hello)) {
      flow.after = new AfterHello((flow.clientNext + first.helloEnd) >>> 0, first.hello.earlyData);
      const after = flow.after.add(flow.after.first, judged.subarray(first.helloEnd));
      // A second hello before the server has answered the first one.
      if (after.state !== "pass" && (after.state !== "over" || after.hello !== null)) {
        return this.#endings.refuse(flow, strictRefusal(this.#verdicts.engine, "malformed", "name"), shown, id);
      }
    }
    this.#verdicts.reportFlow(flow, decision, shown, true);
    flow.stage = "delivering";
    flow.judged = new Uint8Array(judged);
    flow.head = null;
    flow.clientNext = (flow.clientNext + judged.length) >>> 0;
    if (flow.after !== null) {
      // What waits behind a gap was not read; the client sends it again.
      const isBeyond = ({ sequence }: { sequence: number }) => ((sequence - flow.clientNext) | 0) > 0;
      for (const held of this.#pending.release(flow, isBeyond)) this.#effects.drop(held.id);
    }
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
        if (couldMiss(bytes, start, packet)) return this.#refuse(id, flow, "malformed");
        if (!startsAlike(judged.subarray(offset), payloadOf(bytes, packet))) {
          // A probe for a connection that is idle since (RFC 9293 section 3.8.4).
          const isProbe = packet.payloadLength === 1 && ((packet.seq + 1) | 0) === (flow.clientNext | 0);
          return isProbe ? this.#effects.drop(id) : this.#refuse(id, flow, "overlap");
        }
      }
    }
    if (flow.after === null ? answered : isDecided(flow, flow.after)) return this.#endings.allow(flow, id);
    if (packet.payloadLength > 0 && flow.after?.isReading === true) {
      return this.#read(id, flow, flow.after, bytes, start, packet);
    }
    // A segment far ahead proves nothing about the bytes between.
    if (((packet.seq - flow.clientNext) | 0) <= 0) went(flow, (packet.seq + packet.payloadLength) >>> 0);
    const isLast = (packet.flags & FIN) !== 0;
    // It must not overtake what fills the gap.
    if (isLast && flow.held.length > 0) return this.#hold(id, flow, packet.seq);
    this.#effects.accept(id, "pending");
    if (isLast) this.#pending.setDeadline(flow, this.#verdicts.now + patience(flow));
  }

  overdue(flow: Pending): void {
    if (flow.held.length > 0) return this.#endings.end(flow, this.#strictly("timeout"), shownOf(flow));
    const until = flow.touched + patience(flow);
    if (this.#verdicts.now >= until) this.#pending.remove(flow);
    else this.#pending.setDeadline(flow, until);
  }

  /** Reads on after a hello that may have to be said again. */
  #read(id: number, flow: Pending, after: AfterHello, bytes: Uint8Array, start: number, packet: Packet): void {
    if (couldMiss(bytes, start, packet)) return this.#refuse(id, flow, "malformed");
    const last = (packet.seq + packet.payloadLength - 1) >>> 0;
    const isRepeat = after.has(last);
    const read = after.add(packet.seq, payloadOf(bytes, packet));
    if (!this.#pending.charge(flow, flow.judged!.length + after.memory)) return this.#refuse(id, flow, "over_limit");
    switch (read.state) {
      case "pass": {
        const isRead = (sequence: number) => ((sequence - read.end) | 0) < 0;
        for (const held of this.#pending.release(flow, ({ sequence }) => isRead(sequence))) {
          this.#effects.accept(held.id, "pending");
        }
        went(flow, read.end);
        if (!isRead(packet.seq)) return this.#hold(id, flow, packet.seq);
        this.#effects.accept(id, "pending");
        if (flow.held.length === 0) this.#pending.setDeadline(flow, this.#verdicts.now + patience(flow));
        return;
      }
      case "wait":
        // A repeat of bytes that wait already: they go on without it.
        if (isRepeat) return this.#effects.drop(id);
        if ((packet.flags & FIN) !== 0) return this.#refuse(id, flow, "closed");
        return this.#hold(id, flow, packet.seq);
      case "ahead":
        return this.#effects.drop(id);
      case "over": {
        const refused = read.hello === null ? null : this.#judgeAgain(flow, read.hello);
        if (refused !== null) return this.#endings.refuse(flow, refused.decision, refused.shown, id);
        const helloEnd = (after.first - flow.initialSequence - 1) >>> 0;
        flow.judged = joined(flow.judged!.subarray(0, helloEnd), read.shown);
        went(flow, after.end);
        this.#endings.release(flow, "pending", id);
        if (!this.#pending.charge(flow, flow.judged.length)) return this.#endings.abort(flow);
        this.#pending.setDeadline(flow, this.#verdicts.now + patience(flow));
        return;
      }
      case "overlap":
      case "too_large":
      case "malformed":
        return this.#refuse(id, flow, read.state);
    }
  }

  /** RFC 8446 section 4.1.2: the second hello is the first one, but for what the server asked to be changed. */
  #judgeAgain(flow: Pending, hello: ClientHello): { decision: Decision; shown: Shown } | null {
    const name = serverName(hello);
    const first = flow.reported!;
    const again = name.kind === "name" ? name.name : null;
    const shown: Shown = { application: "tls", name: again, hello: first.hello };
    if (again === first.name && name.kind !== "invalid") {
      // Encrypted Client Hello that the first hello did not show is judged like any (threat N8).
      const judged = this.#verdicts.name(flow, "tls", again, hello.ech);
      return judged.passes ? null : { decision: judged, shown };
    }
    const decision = this.#strictly(name.kind === "invalid" ? "invalid_name" : "host_changed");
    return { decision, shown };
  }

  #hold(id: number, flow: Pending, sequence: number): void {
    const isFirst = flow.held.length === 0;
    if (!this.#pending.hold(flow, id, sequence)) return this.#refuse(id, flow, "over_limit");
    if (isFirst) this.#pending.setDeadline(flow, this.#verdicts.now + limits.helloMs);
  }

  #refuse(id: number, flow: Pending, reason: Reason): void {
    this.#endings.refuse(flow, this.#strictly(reason), shownOf(flow), id);
  }

  #strictly(reason: Reason): Decision {
    return strictRefusal(this.#verdicts.engine, reason, "name");
  }
}

/** Notes what the segment acknowledges; true when that is more than the flow's packets acknowledged before. */
export function acknowledges(flow: Pending, packet: Packet): boolean {
  if ((packet.flags & ACK) === 0) return false;
  const before = flow.clientAcknowledged ?? flow.serverFirst;
  if (before === null) flow.firstAcknowledged = packet.ack;
  else if (((packet.ack - before) | 0) <= 0) {
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

/** Only TLS 1.3 has a HelloRetryRequest; a server of an older version takes no hello after its own. */
function mayBeRetried(hello: ClientHello): boolean {
  return hello.version?.startsWith("TLS 1.3") ?? false;
}

/** The server is past the point where it could ask for another hello. */
function isDecided(flow: Pending, after: AfterHello): boolean {
  const first = flow.serverFirst ?? flow.firstAcknowledged;
  if (first === null || flow.clientAcknowledged === null) return false;
  if (((flow.clientAcknowledged - first) | 0) > mostRetryBytes) return true;
  return !after.isReading && ((flow.clientNext - after.first) | 0) > beyondWindow;
}

/** Bytes up to this sequence number went on: what the server expects next, should it be reset. */
function went(flow: Pending, next: number): void {
  if (((next - flow.clientNext) | 0) > 0) flow.clientNext = next;
}

function shownOf(flow: Pending): Shown {
  const { application, name, hello } = flow.reported!;
  return { application, name, hello };
}

function payloadOf(bytes: Uint8Array, packet: Packet): Uint8Array {
  return bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

function startsAlike(a: Uint8Array, b: Uint8Array): boolean {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}
