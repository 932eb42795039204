/**
 * Who may use how much of what is bounded (threat T10). Nobody has a fixed share: a sender may hold a quarter of what is free,
 * so that one alone gets a fifth of all, and the next a fifth of the rest (the dynamic thresholds of Choudhury and Hahne,
 * 1998). With a raw socket a machine can send from any address of its network, and its IPv6 /64 is its own to choose from; so
 * a network (an IPv4 /24, an IPv6 /64) is bounded too, by half of what is free: a third of all for one alone. What it cannot
 * do is protect senders of one network from a neighbour that forges their addresses.
 */
import type { Address } from "../address/ip.ts";
import { limits } from "./limits.ts";

const addressPart = 1 / 4;
const networkPart = 1 / 2;
/** Bytes of the address that are its network. */
const networkBytes = (source: Address) => (source.length === 4 ? 3 : 8);

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
  readonly #parts: number;

  /** @param parts into how many equal parts the bounds are divided, of which this is one: the data path has several engines */
  constructor(parts = 1) {
    this.#parts = parts;
  }

  /** The share of one sender; gone again when it holds no flow. */
  of(source: Address): Share {
    const known = this.#shares.get(source);
    if (known !== undefined) return known;
    const share = new Share(source, this.#network(source.slice(0, networkBytes(source))));
    this.#shares.set(source, share);
    return share;
  }

  /** Takes `amount` more; false, and nothing taken, when that is more than the sender may have. */
  take(share: Share, what: Resource, amount: number): boolean {
    const free = limits[what] / this.#parts - this.used[what] - amount;
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
