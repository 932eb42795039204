/**
 * A bounded number of things under way at once, overall, per sender and per link, so that nobody can take every place. Used
 * for queries being worked on and for TCP connections. A sender has a fixed number of places. A link, on which a machine may
 * pass for any number of senders, may hold as many as it leaves free: one alone gets half of all, the next half of the rest.
 */
import type { Sender } from "../address/sender.ts";

/** Who takes a place. */
export interface Claimant {
  /** The interface it came by. */
  link: string;
  sender: Sender;
}

export class Gate {
  private readonly max: number;
  private readonly maxPerSender: number;
  private readonly held = new Map<string, number>();
  private total = 0;

  constructor(max: number, maxPerSender: number) {
    this.max = max;
    this.maxPerSender = maxPerSender;
  }

  /** Things under way now. */
  get inside(): number {
    return this.total;
  }

  /** Takes a place; false where there is none. Each true needs one {@link leave}. */
  enter({ link, sender }: Claimant): boolean {
    const own = `${link}\0${sender}`;
    const free = this.max - this.total;
    if (free <= 0 || this.of(own) >= this.maxPerSender || this.of(link) >= free) return false;
    this.total++;
    this.held.set(own, this.of(own) + 1);
    this.held.set(link, this.of(link) + 1);
    return true;
  }

  leave({ link, sender }: Claimant): void {
    const own = `${link}\0${sender}`;
    if (this.of(own) === 0) return;
    this.total--;
    for (const key of [own, link]) {
      const left = this.of(key) - 1;
      if (left === 0) this.held.delete(key);
      else this.held.set(key, left);
    }
  }

  private of(key: string): number {
    return this.held.get(key) ?? 0;
  }
}
