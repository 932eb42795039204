/**
 * The address book: which names our DNS handed which addresses out for, and until when.
 *
 * It promises that a name is bound to an address only while the binding holds (TTL plus a bounded grace, threat D8) and
 * that its memory is bounded. Bindings from a resolver we chose (`source: null`) hold for every source: they say what is
 * true of the name. Bindings from a server that a monitored client chose itself hold for that client alone, so that no
 * source can make another one believe a forged answer (threat D5). It does not decide: the policy does, given the names.
 */
import type { Address } from "../address/ip.ts";

/** One answer: `name` has `address` until `expires` (ms since the epoch) for `source`, or for everybody (null). */
export interface Binding {
  name: string;
  address: Address;
  expires: number;
  source: Address | null;
}

/**
 * Names kept per address; a shared CDN address over it forgets the binding that ends first. More than one source may ask for
 * under one wildcard (`query_budget`), so that it cannot make another one's binding be forgotten.
 */
const NAMES_PER_ADDRESS = 1024;
/** Bindings kept in all; over it new ones are refused, so that a flood of names cannot evict live ones. */
const BINDINGS = 500_000;
/** Of these, bindings of sources' own choosing: in all, and of one source. Whoever is monitored must not starve the rest. */
const OWN_BINDINGS = 200_000;
const OWN_BINDINGS_PER_SOURCE = 20_000;

const none: readonly string[] = [];

interface Slot {
  /** name → expires, ms. */
  until: Map<string, number>;
  /** The names that hold, rebuilt when `stale` passes. */
  names: readonly string[];
  /** `names` is right from the first of these times until before the second, when the first of them expires. */
  since: number;
  stale: number;
}

/** Stands for every source where all are one. */
const anySource = "\0\0\0\0" as Address;

export class AddressBook {
  readonly #oneSource: boolean;
  /** Keyed by address for trusted bindings, by a marker, the source and the address for a source's own. */
  readonly #slots = new Map<string, Slot>();
  #size = 0;
  /** Bindings of sources' own choosing, counted by source. */
  readonly #own = new Map<Address, number>();
  #ownSize = 0;

  /**
   * @param options `oneSource`: all sources are one, each believes the names that any of them was told. On a machine a process asks by
   *   way of another (a container's resolver, the system's), so that the one who asked is not the one who connects.
   */
  constructor(options: { oneSource?: boolean } = {}) {
    this.#oneSource = options.oneSource === true;
  }

  /** How many bindings are held, expired ones included until the next sweep. */
  get size(): number {
    return this.#size;
  }

  /** Adds or extends a binding; false when the book is full. A binding is never shortened by a later answer. */
  bind(given: Binding): boolean {
    const binding = this.#oneSource && given.source !== null ? { ...given, source: anySource } : given;
    const key = slotKey(binding.address, binding.source);
    let slot = this.#slots.get(key);
    const known = slot?.until.get(binding.name);
    if (known !== undefined && known >= binding.expires) return true;
    if (known === undefined) {
      if (!this.#hasRoom(binding.source)) return false;
      if (slot !== undefined && slot.until.size >= NAMES_PER_ADDRESS) this.#forgetFirst(slot, binding.source);
      this.#count(binding.source, 1);
    }
    if (slot === undefined) {
      slot = { until: new Map(), names: none, since: 0, stale: 0 };
      this.#slots.set(key, slot);
    }
    slot.until.set(binding.name, binding.expires);
    slot.stale = 0;
    return true;
  }

  /**
   * The names that hold for `address` at `now` (ms since the epoch). `observer` adds the bindings of that source's own
   * choosing; pass it only for a source that is not enforced.
   */
  names(address: Address, observer: Address | null, now: number): readonly string[] {
    const trusted = this.#current(slotKey(address, null), now);
    if (observer === null) return trusted;
    const own = this.#current(slotKey(address, this.#oneSource ? anySource : observer), now);
    if (own.length === 0) return trusted;
    if (trusted.length === 0) return own;
    return [...new Set([...trusted, ...own])];
  }

  /** Drops what has expired; returns how many bindings went. Call it now and then. */
  sweep(now: number): number {
    const before = this.#size;
    for (const [key, slot] of this.#slots) {
      const { source } = fromKey(key);
      for (const [name, expires] of slot.until) {
        if (expires > now) continue;
        slot.until.delete(name);
        this.#count(source, -1);
      }
      if (slot.until.size === 0) this.#slots.delete(key);
    }
    return before - this.#size;
  }

  /** Every binding that holds at `now`, for a snapshot that outlives the process. */
  *entries(now: number): Generator<Binding> {
    for (const [key, slot] of this.#slots) {
      const { address, source } = fromKey(key);
      for (const [name, expires] of slot.until) if (expires > now) yield { name, address, expires, source };
    }
  }

  #current(key: string, now: number): readonly string[] {
    const slot = this.#slots.get(key);
    if (slot === undefined) return none;
    if (now >= slot.since && now < slot.stale) return slot.names;
    const names: string[] = [];
    let stale = Number.POSITIVE_INFINITY;
    for (const [name, expires] of slot.until) {
      if (expires <= now) continue;
      names.push(name);
      if (expires < stale) stale = expires;
    }
    slot.names = names.length === 0 ? none : names;
    slot.since = now;
    slot.stale = stale;
    return slot.names;
  }

  #hasRoom(source: Address | null): boolean {
    if (this.#size >= BINDINGS) return false;
    return source === null || (this.#ownSize < OWN_BINDINGS && (this.#own.get(source) ?? 0) < OWN_BINDINGS_PER_SOURCE);
  }

  #count(source: Address | null, more: 1 | -1): void {
    this.#size += more;
    if (source === null) return;
    this.#ownSize += more;
    const count = (this.#own.get(source) ?? 0) + more;
    if (count === 0) this.#own.delete(source);
    else this.#own.set(source, count);
  }

  #forgetFirst(slot: Slot, source: Address | null): void {
    let first: string | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (const [name, expires] of slot.until) {
      if (expires >= least) continue;
      least = expires;
      first = name;
    }
    if (first === null) return;
    slot.until.delete(first);
    this.#count(source, -1);
  }
}

/** An address alone is 4 or 16 characters; with a source it is `|` + 1 length digit + source + address. */
function slotKey(address: Address, source: Address | null): string {
  return source === null ? address : `|${source.length === 4 ? "4" : "6"}${source}${address}`;
}

function fromKey(key: string): { address: Address; source: Address | null } {
  if (key.length === 4 || key.length === 16) return { address: key as Address, source: null };
  const end = 2 + (key.charAt(1) === "4" ? 4 : 16);
  return { address: key.slice(end) as Address, source: key.slice(2, end) as Address };
}
