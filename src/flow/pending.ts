/**
 * The flows that user space still sees packets of, and the table of them: bounded by sender (`shares.ts`), with a deadline for
 * each. A flow leaves it the moment the kernel can forward it alone; decided flows cost this process nothing here.
 */
import type { Address } from "../address/ip.ts";
import type { Transport } from "../policy/decision.ts";
import type { Packet } from "../wire/ip/packet.ts";
import type { QuicInitial } from "../wire/quic/initial.ts";
import type { StreamHead } from "../wire/stream.ts";
import type { AfterHello } from "./after-hello.ts";
import { Deadlines, type Timed } from "./deadlines.ts";
import type { FlowReport } from "./effects.ts";
import type { HttpFollow } from "./http-follow.ts";
import { limits } from "./limits.ts";
import type { Owner } from "./owner.ts";
import { Shares, type Share } from "./shares.ts";

/**
 * - `opening`: no verdict yet, the first bytes are awaited.
 * - `settled`: decided without a packet in hand; the next packet carries it out.
 * - `delivering`: judged and let go on, not yet known to have arrived (`delivery.ts`).
 * - `http`: followed request by request (`http.ts`).
 * - `quic`: let go, and followed connection by connection (`quic.ts`).
 */
export type Stage = "opening" | "settled" | "delivering" | "http" | "quic";

/** A packet that waits in the kernel's queue for its verdict. */
export interface Held {
  id: number;
  /** TCP: sequence number of its first payload byte. */
  sequence: number;
  /** A copy of the payload where it is still to be read (`http`: it came before bytes that precede it). */
  unread: Uint8Array | null;
}

export class Pending implements Timed {
  readonly key: string;
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly local: boolean;
  readonly transport: Transport;
  readonly protocol: number;
  /** Whose it is, from its first packet on; undefined: nobody has asked. */
  owner: Owner | null | undefined;
  stage: Stage = "opening";
  /** Some outcome refuses: no payload leaves before the verdict. Changes with the policy. */
  hold: boolean;
  /** Payload already went on unjudged (monitor mode). */
  leaked = false;
  /** Names of the address when the flow began. They hold for the flow's life: a binding that ends does not end connections. */
  names: readonly string[];
  /** What else its first bytes are, beside their application. */
  speaks: FlowReport["speaks"] = null;
  /** None of them comes from a resolver that the client chose itself. */
  trusted: boolean;
  /** What was reported as a live connection; its end under a new policy is told by whoever keeps those. */
  reported: FlowReport | null = null;

  /** TCP: the client's initial sequence number; its first byte is the next one. */
  readonly initialSequence: number;
  /** The SYN came more than once: the server may not be there. */
  repeated = false;
  /** The SYN offered Multipath TCP; cleared when the server's answer is seen not to accept it. */
  multipath = false;
  /** The server's first sequence number after its SYN, when its answer to this very SYN was seen. */
  serverFirst: number | null = null;
  /** What each end expects next, for resets of our own; the client's last acknowledgement is null before the first. */
  clientNext: number;
  clientAcknowledged: number | null = null;
  /** Its first acknowledgement: where the server's stream begins, where its answer to the SYN was not seen. */
  firstAcknowledged: number | null = null;

  /** The first bytes so far, while they are not whole; and those that were judged, until they have arrived. */
  head: StreamHead | null = null;
  judged: Uint8Array | null = null;
  quic: QuicInitial | null = null;
  /** TLS: what follows the judged hello, until no second one can come (`delivery.ts`). */
  after: AfterHello | null = null;
  follow: HttpFollow | null = null;
  /** Packets waiting in the kernel's queue, in order of arrival. */
  held: Held[] = [];
  segments = 0;

  /** When it began, and when its last packet came: steady ms. */
  readonly since: number;
  touched: number;
  deadline = 0;
  slot: number | null = null;
  /** The client has closed its half. */
  closing = false;
  /** Bytes of memory charged to its sender. */
  charged = 0;
  share: Share | null = null;

  constructor(
    key: string,
    packet: Packet,
    local: boolean,
    hold: boolean,
    names: { held: readonly string[]; trusted: boolean },
    owner: Owner | null | undefined,
    now: number,
  ) {
    this.key = key;
    this.source = packet.source;
    this.sourcePort = packet.sourcePort;
    this.destination = packet.destination;
    this.destinationPort = packet.destinationPort;
    this.local = local;
    this.transport = packet.transport;
    this.protocol = packet.protocol;
    this.owner = owner;
    this.hold = hold;
    this.names = names.held;
    this.trusted = names.trusted;
    this.initialSequence = packet.seq;
    this.clientNext = (packet.seq + 1) >>> 0;
    this.since = now;
    this.touched = now;
  }
}

export class PendingTable {
  readonly #flows = new Map<string, Pending>();
  readonly #shares: Shares;
  readonly #deadlines = new Deadlines<Pending>();

  /** @param parts see {@link Shares} */
  constructor(parts = 1) {
    this.#shares = new Shares(parts);
  }

  get size(): number {
    return this.#flows.size;
  }

  get bytes(): number {
    return this.#shares.used.bytes;
  }

  get(key: string): Pending | undefined {
    return this.#flows.get(key);
  }

  values(): IterableIterator<Pending> {
    return this.#flows.values();
  }

  /** False when the source may not have another undecided flow. */
  add(flow: Pending, deadline: number): boolean {
    const share = this.#shares.of(flow.source);
    if (!this.#shares.take(share, "flows", 1)) {
      this.#shares.give(share, "flows", 0);
      return false;
    }
    flow.share = share;
    this.#flows.set(flow.key, flow);
    this.#deadlines.set(flow, deadline);
    return true;
  }

  /** Forgets the flow. Its held packets must have been released before. */
  remove(flow: Pending): void {
    if (flow.share === null) return;
    this.#flows.delete(flow.key);
    this.#deadlines.clear(flow);
    this.#shares.give(flow.share, "held", flow.held.length);
    this.#shares.give(flow.share, "bytes", flow.charged);
    this.#shares.give(flow.share, "flows", 1);
    flow.share = null;
  }

  /** Keeps a packet waiting; false when a bound is reached. */
  hold(flow: Pending, id: number, sequence: number, unread: Uint8Array | null = null): boolean {
    if (flow.held.length >= limits.heldPerFlow || !this.#shares.take(flow.share!, "held", 1)) return false;
    flow.held.push({ id, sequence, unread });
    return true;
  }

  /** Takes the waiting packets that `which` picks, or all of them: they are no longer held, and each must get a verdict now. */
  release(flow: Pending, which?: (held: Held) => boolean): Held[] {
    if (flow.held.length === 0) return flow.held;
    const released = which === undefined ? flow.held : flow.held.filter(which);
    flow.held = which === undefined ? [] : flow.held.filter((held) => !released.includes(held));
    this.#shares.give(flow.share!, "held", released.length);
    return released;
  }

  /** Sets what the flow is charged for, in bytes of memory; false, and nothing changed, when that is more than it may have. */
  charge(flow: Pending, bytes: number): boolean {
    const more = bytes - flow.charged;
    if (more > 0 && !this.#shares.take(flow.share!, "bytes", more)) return false;
    if (more < 0) this.#shares.give(flow.share!, "bytes", -more);
    flow.charged = bytes;
    return true;
  }

  setDeadline(flow: Pending, deadline: number): void {
    this.#deadlines.set(flow, deadline);
  }

  /** Flows whose deadline is at or before `now`. Each must be removed or given another deadline. */
  due(now: number): Pending[] {
    return this.#deadlines.due(now);
  }
}
