/**
 * Which bindings the data path has been told, as far as this room remembers. It saves telling twice, answers reverse
 * lookups without asking anyone, and can be replayed to a data-path worker that starts late. Losing an entry costs one
 * repeated binding, never a wrong one.
 */
import type { Address } from "../address/ip.ts";
import type { Binding } from "./types.ts";

const maxBindings = 200_000;

/** Milliseconds. A binding holds at least this long, so that a TTL of 0 leaves time to connect. */
const floor = 30_000;

/** Milliseconds beyond the TTL: a client may connect to an address it resolved just before it expired. */
const grace = 60_000;

export class Ledger {
  private readonly byAddress = new Map<Address, Map<string, Binding>>();
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** The binding to write before `address` may be handed out for `name` with `ttl` seconds; none where one still holds. */
  due(name: string, address: Address, ttl: number, source: Address | null, now: number): Binding[] {
    const held = this.byAddress.get(address)?.get(key(name, source))?.expires ?? 0;
    if (held >= now + ttl * 1000 + grace) return [];
    return [{ name, address, expires: now + Math.max(ttl * 1000, floor) + grace, source }];
  }

  /** Remembers bindings that every worker now has. */
  written(bindings: readonly Binding[], now: number): void {
    for (const binding of bindings) {
      let names = this.byAddress.get(binding.address);
      if (names === undefined) this.byAddress.set(binding.address, (names = new Map()));
      const id = key(binding.name, binding.source);
      const held = names.get(id);
      if (held === undefined) this.count++;
      // An answer that was slower to be written must not shorten a newer one.
      if (held === undefined || held.expires < binding.expires) {
        names.delete(id);
        names.set(id, binding);
      }
    }
    if (this.count > maxBindings) this.sweep(now);
  }

  /** Names an address was handed out for to `source` or to everyone, newest first. */
  names(address: Address, source: Address, now: number): string[] {
    const names = [...(this.byAddress.get(address)?.values() ?? [])]
      .filter((binding) => binding.expires > now && (binding.source === null || binding.source === source))
      .map((binding) => binding.name);
    return [...new Set(names.toReversed())];
  }

  /** All bindings that hold at `now`. */
  *held(now: number): Generator<Binding> {
    for (const names of this.byAddress.values()) {
      for (const binding of names.values()) if (binding.expires > now) yield binding;
    }
  }

  /** Forgets what has expired and then, if need be, the addresses bound first, down to three quarters. */
  private sweep(now: number): void {
    for (const [address, names] of this.byAddress) {
      for (const [id, binding] of names) {
        if (binding.expires > now) continue;
        names.delete(id);
        this.count--;
      }
      if (names.size === 0) this.byAddress.delete(address);
    }
    for (const [address, names] of this.byAddress) {
      if (this.count <= maxBindings * 0.75) return;
      this.count -= names.size;
      this.byAddress.delete(address);
    }
  }
}

function key(name: string, source: Address | null): string {
  return source === null ? name : `${name} ${source}`;
}
