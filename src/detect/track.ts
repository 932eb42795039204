/**
 * The names of one source under one domain in a sliding window, and which alerts about them are under way. Names beyond
 * what its owner gives room for are counted without being told apart. Pure; `names.ts` owns it.
 */
import type { Sender } from "../address/sender.ts";
import type { NameAlert, NameAlertType } from "./names.ts";

/** Where a name was seen: asked of DNS, or shown as a TLS or QUIC server name, or as an HTTP Host. */
export type Channel = "dns" | "sni" | "host";

/** What a name was: known already, denied for the first time, held as a new one, or (without room) only counted. */
export type Added = "known" | "changed" | "held" | "counted";

/** Names shown in an alert. */
const shownExamples = 5;

interface Seen {
  denied: boolean;
  bits: number;
}

/** What a window holds. */
class Sums {
  names = 0;
  denied = 0;
  /** Names with labels that look like data, and the bits in them. */
  encoded = 0;
  bits = 0;

  add({ denied, bits }: Seen, sign: 1 | -1): void {
    this.names += sign;
    if (denied) this.denied += sign;
    if (bits > 0) this.encoded += sign;
    this.bits += sign * bits;
  }
}

export class Track {
  readonly key: string;
  /** Null: of all sources. */
  readonly sender: Sender | null;
  /** Null: of many domains. */
  readonly domain: string | null;
  /** When something was seen last, milliseconds. */
  last: number;
  /** Each with when it was seen last, in that order. */
  readonly #names = new Map<string, Seen & { at: number }>();
  readonly #exact = new Sums();
  /** Those not told apart, and since when: forgotten together. */
  #loose = new Sums();
  #looseSince = 0;
  #first: number;
  readonly #channels = new Set<Channel>();
  readonly #alerts = new Map<NameAlertType, { count: number; first: number; last: number }>();

  constructor(key: string, sender: Sender | null, domain: string | null, now: number) {
    this.key = key;
    this.sender = sender;
    this.domain = domain;
    this.last = now;
    this.#first = now;
  }

  /** Names told apart. */
  get size(): number {
    return this.#names.size;
  }

  get denied(): number {
    return this.#exact.denied + this.#loose.denied;
  }

  get encoded(): number {
    return this.#exact.encoded + this.#loose.encoded;
  }

  get bits(): number {
    return this.#exact.bits + this.#loose.bits;
  }

  /** Forgets what was seen at `since` or before; returns how many names. */
  expire(since: number): number {
    let forgotten = 0;
    for (const [name, seen] of this.#names) {
      if (seen.at > since) break;
      this.#names.delete(name);
      this.#exact.add(seen, -1);
      forgotten++;
    }
    if (this.#looseSince <= since) this.#loose = new Sums();
    this.#first = Math.max(this.#first, since);
    return forgotten;
  }

  /** Counts a name. Once denied, it stays so. */
  add(seen: Seen & { name: string; channel: Channel }, now: number, room: boolean): Added {
    const { name, bits } = seen;
    this.last = now;
    this.#channels.add(seen.channel);
    const known = this.#names.get(name);
    if (known === undefined && !room) {
      if (this.#loose.names === 0) this.#looseSince = now;
      this.#loose.add(seen, 1);
      return "counted";
    }
    const denied = seen.denied || known?.denied === true;
    if (known !== undefined) {
      this.#names.delete(name);
      this.#exact.add(known, -1);
    } else if (this.#names.size === 0 && this.#loose.names === 0) this.#first = now;
    this.#names.set(name, { denied, bits, at: now });
    this.#exact.add({ denied, bits }, 1);
    if (known === undefined) return "held";
    return known.denied === denied ? "known" : "changed";
  }

  /** True where no such alert is under way; counts one more where it is. */
  begin(type: NameAlertType, now: number): boolean {
    const open = this.#alerts.get(type);
    if (open === undefined) {
      this.#alerts.set(type, { count: 0, first: now, last: now });
      return true;
    }
    if (open.count++ === 0) open.first = now;
    open.last = now;
    return false;
  }

  /** Ends an alert; what came after it, or null. */
  close(type: NameAlertType): { count: number; first: number; last: number } | null {
    const open = this.#alerts.get(type);
    this.#alerts.delete(type);
    return open === undefined || open.count === 0 ? null : open;
  }

  summary(now: number, window: number): Omit<NameAlert, "type" | "source" | "more"> {
    const names = this.#exact.names + this.#loose.names;
    const since = Math.max(this.#first, now - window);
    const minutes = Math.max(1, (Math.min(now, this.last) - since) / 60_000);
    return {
      domain: this.domain,
      channels: [...this.#channels],
      names,
      denied: this.denied,
      bytes: Math.round(this.bits / 8),
      approximate: this.#loose.names > 0,
      examples: [...this.#names.keys()].slice(-shownExamples),
      perMinute: Math.round(names / minutes),
    };
  }
}
