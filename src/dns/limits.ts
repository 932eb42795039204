/**
 * A bounded number of things under way at once, overall and per source, so that one source cannot take every place. Used
 * for queries being worked on and for TCP connections.
 */
import type { Address } from "../address/ip.ts";

export class Gate {
  private readonly max: number;
  private readonly maxPerSource: number;
  private readonly perSource = new Map<Address, number>();
  private total = 0;

  constructor(max: number, maxPerSource: number) {
    this.max = max;
    this.maxPerSource = maxPerSource;
  }

  /** Things under way now. */
  get inside(): number {
    return this.total;
  }

  /** Takes a place; false where there is none. Each true needs one {@link leave}. */
  enter(source: Address): boolean {
    const mine = this.perSource.get(source) ?? 0;
    if (this.total >= this.max || mine >= this.maxPerSource) return false;
    this.total++;
    this.perSource.set(source, mine + 1);
    return true;
  }

  leave(source: Address): void {
    const mine = this.perSource.get(source) ?? 0;
    if (mine === 0) return;
    this.total--;
    if (mine === 1) this.perSource.delete(source);
    else this.perSource.set(source, mine - 1);
  }
}
