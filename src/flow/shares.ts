/**
 * Who may use how much of what is bounded (threat T10). Nobody has a fixed share: a sender may hold a quarter of what is free,
 * so that one alone gets a fifth of all, and the next a fifth of the rest (the dynamic thresholds of Choudhury and Hahne,
 * 1998). A machine chooses its IPv6 addresses freely inside its /64; so a /64 is bounded too, by half of what is free. What it
 * cannot do is protect senders of one network from a neighbour that forges their addresses, or hundreds of its own.
 */
import type { Address } from "../address/ip.ts";
import { limits } from "./limits.ts";

const addressPart = 1 / 4;
const networkPart = 1 / 2;

/** Undecided flows, packets held in the kernel's queue, bytes of our memory. */
export type Resource = "flows" | "held" | "bytes";

/** What one sender uses. */
export class Share {
  readonly key: string;
  readonly network: Share | null;
  flows = 0;
  held = 0;
  bytes = 0;

  constructor(key: string, network: Share | null) {
    this.key = key;
    this.network = network;
  }
}

export class Shares {
  /** Of everybody. */
  readonly used = new Share("", null);
  readonly #shares = new Map<string, Share>();

  /** The share of one sender; gone again when it holds no flow. */
  of(source: Address): Share {
    const known = this.#shares.get(source);
    if (known !== undefined) return known;
    const share = new Share(source, source.length === 4 ? null : this.#network(source.slice(0, 8)));
    this.#shares.set(source, share);
    return share;
  }

  /** Takes `amount` more; false, and nothing taken, when that is more than the sender may have. */
  take(share: Share, what: Resource, amount: number): boolean {
    const free = limits[what] - this.used[what] - amount;
    if (share[what] + amount > free * addressPart) return false;
    if (share.network !== null && share.network[what] + amount > free * networkPart) return false;
    this.#add(share, what, amount);
    return true;
  }

  give(share: Share, what: Resource, amount: number): void {
    this.#add(share, what, -amount);
    if (share.flows > 0) return;
    this.#shares.delete(share.key);
    if (share.network !== null && share.network.flows === 0) this.#shares.delete(share.network.key);
  }

  #network(key: string): Share {
    let share = this.#shares.get(key);
    if (share === undefined) this.#shares.set(key, (share = new Share(key, null)));
    return share;
  }

  #add(share: Share, what: Resource, amount: number): void {
    share[what] += amount;
    this.used[what] += amount;
    if (share.network !== null) share.network[what] += amount;
  }
}
