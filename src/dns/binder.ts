/**
 * Tells the data path which addresses a name was answered with, before the answer leaves. The one place where bindings
 * are made, for policed and watched sources alike.
 */
import type { Address } from "../address/ip.ts";
import { specialClass } from "../address/special.ts";
import type { Ledger } from "./ledger.ts";
import type { Binding } from "./types.ts";

export class Binder {
  private readonly write: (bindings: Binding[]) => Promise<void>;
  private readonly ledger: Ledger;
  private readonly now: () => number;

  constructor(write: (bindings: Binding[]) => Promise<void>, ledger: Ledger, now: () => number) {
    this.write = write;
    this.ledger = ledger;
    this.now = now;
  }

  /**
   * Binds `addresses` to `host` for an answer served with `ttl` seconds; when this resolves, every worker knows them; null
   * where they all do. Rejects where the write does. `trusted`: the answer came from a configured upstream and speaks for every source.
   * Even then an address of the network itself holds only for the source that may reach it.
   */
  bind(
    host: string,
    addresses: readonly Address[],
    ttl: number,
    source: Address,
    trusted: boolean,
  ): Promise<void> | null {
    const now = this.now();
    const due = addresses.flatMap((address) => {
      const everyone = trusted && specialClass(address) === null;
      return this.ledger.due(host, address, ttl, everyone ? null : source, now);
    });
    return due.length === 0 ? null : this.tell(due);
  }

  private async tell(due: Binding[]): Promise<void> {
    await this.write(due);
    this.ledger.written(due, this.now());
  }
}
