/**
 * The table of undecided flows: bounded in all and per source, with a deadline for each. A flow leaves it the moment it has
 * a verdict; decided flows cost this process nothing here.
 */
import type { Address } from "../address/ip.ts";
import type { Decision, Transport } from "../policy/decision.ts";
import type { QuicInitial } from "../wire/quic/initial.ts";
import type { StreamHead } from "../wire/stream.ts";
import type { HttpFollow } from "./http-follow.ts";
import { limits } from "./limits.ts";
import { RecentlyAllowed } from "./recent.ts";

export interface Pending {
  readonly key: string;
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly local: boolean;
  readonly transport: Transport;
  readonly protocol: number;
  /** Some outcome refuses: no payload leaves before the verdict. Changes with the policy. */
  hold: boolean;
  /** Payload already went on unjudged (monitor mode). */
  leaked: boolean;
  /** TCP: the client's initial sequence number; its first byte is the next one. */
  initialSequence: number;
  /** TCP: what each end expects next, for resets of our own. */
  clientNext: number;
  clientAcknowledged: number;
  /** TCP: RFC 7323 timestamp of the SYN, null when the option was absent. */
  timestamp: number | null;
  head: StreamHead | null;
  quic: QuicInitial | null;
  /** Packets waiting in the kernel's queue, in order of arrival. */
  held: number[];
  segments: number;
  /** Bytes of payload kept for this flow. */
  bytes: number;
  deadline: number;
  /** When its last packet came, ms. */
  touched: number;
  /** The client has closed its half. */
  closing: boolean;
  /** Follows an allowed plain-HTTP connection request by request (threat N4). */
  follow: HttpFollow | null;
  /** Settled without a packet in hand; the next packet carries it out. */
  settled: Decision | null;
}

const tick = 250;

export class PendingTable {
  /** Keys of flows that left the table allowed. */
  readonly allowed = new RecentlyAllowed();
  readonly #flows = new Map<string, Pending>();
  readonly #perSource = new Map<Address, { flows: number; held: number }>();
  /** Deadline wheel: bucket number → flows that may be due in it. */
  readonly #wheel = new Map<number, Set<Pending>>();
  #bytes = 0;
  #checked = 0;

  get size(): number {
    return this.#flows.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): Pending | undefined {
    return this.#flows.get(key);
  }

  values(): IterableIterator<Pending> {
    return this.#flows.values();
  }

  /** False when the table or the source's share is full. */
  add(flow: Pending): boolean {
    const share = this.#perSource.get(flow.source);
    if (this.#flows.size >= limits.flows || (share !== undefined && share.flows >= limits.flowsPerSource)) return false;
    if (share === undefined) this.#perSource.set(flow.source, { flows: 1, held: 0 });
    else share.flows++;
    this.#flows.set(flow.key, flow);
    this.#schedule(flow);
    return true;
  }

  remove(flow: Pending): void {
    if (!this.#flows.delete(flow.key)) return;
    this.#bytes -= flow.bytes;
    this.#wheel.get(bucket(flow.deadline))?.delete(flow);
    const share = this.#perSource.get(flow.source)!;
    share.flows--;
    share.held -= flow.held.length;
    if (share.flows === 0) this.#perSource.delete(flow.source);
  }

  /** Removes a flow that the kernel forwards from now on. */
  removeAllowed(flow: Pending, now: number): void {
    this.remove(flow);
    this.allowed.add(flow.key, now);
  }

  /** Keeps the packet waiting; false when a bound is reached. */
  hold(flow: Pending, packet: number): boolean {
    const share = this.#perSource.get(flow.source)!;
    if (flow.held.length >= limits.heldPerFlow || share.held >= limits.heldPerSource) return false;
    flow.held.push(packet);
    share.held++;
    return true;
  }

  /** The held packets, which are no longer held. */
  release(flow: Pending): number[] {
    const held = flow.held;
    this.#perSource.get(flow.source)!.held -= held.length;
    flow.held = [];
    return held;
  }

  /** Counts payload kept for the flow; false when the bound on all of them is reached. */
  keep(flow: Pending, bytes: number): boolean {
    if (this.#bytes + bytes > limits.bytes) return false;
    flow.bytes += bytes;
    this.#bytes += bytes;
    return true;
  }

  setDeadline(flow: Pending, deadline: number): void {
    this.#wheel.get(bucket(flow.deadline))?.delete(flow);
    flow.deadline = deadline;
    this.#schedule(flow);
  }

  /** Flows whose deadline is at or before `now`, taken off the wheel (not out of the table). */
  *due(now: number): Generator<Pending> {
    const last = bucket(now);
    if (this.#checked === 0) this.#checked = last - 1;
    for (let b = this.#checked; b <= last; b++) {
      const flows = this.#wheel.get(b);
      if (flows === undefined) continue;
      for (const flow of flows) {
        if (flow.deadline > now) continue;
        flows.delete(flow);
        yield flow;
      }
      if (flows.size === 0) this.#wheel.delete(b);
    }
    this.#checked = last;
  }

  #schedule(flow: Pending): void {
    const b = bucket(flow.deadline);
    if (this.#checked === 0) this.#checked = b - Math.ceil(limits.silentMs / tick) - 1;
    let flows = this.#wheel.get(b);
    if (flows === undefined) this.#wheel.set(b, (flows = new Set()));
    flows.add(flow);
  }
}

function bucket(deadline: number): number {
  return Math.floor(deadline / tick);
}
