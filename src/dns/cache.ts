/**
 * Answers by question, bounded in entries and bytes, least recently used out first. Holds what is the same
 * for every source; what a source may see of them is decided at each use. Expired entries stay for serving stale
 * (RFC 8767) until they are pushed out. Called by the resolver only.
 */
import type { WireName } from "../wire/dns/name.ts";
import type { UpstreamAnswer } from "./answer.ts";

export interface Entry {
  /** Null: the last attempts failed and nothing older is known (RFC 9520: failures are remembered briefly). */
  answer: UpstreamAnswer | null;
  /** Milliseconds: fresh before this. */
  expires: number;
  /** Milliseconds: no new attempt upstream before this (RFC 8767 section 5, failure recheck). */
  retryAt: number;
  /** Approximate bytes. */
  size: number;
}

export class Cache {
  private readonly entries = new Map<string, Entry>();
  private bytes = 0;
  private readonly maxEntries: number;
  private readonly maxBytes: number;

  constructor(maxEntries: number, maxBytes: number) {
    this.maxEntries = maxEntries;
    this.maxBytes = maxBytes;
  }

  get size(): number {
    return this.entries.size;
  }

  static key(name: WireName, type: number): string {
    return `${type} ${name}`;
  }

  get(key: string): Entry | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    // A Map iterates in insertion order: re-inserting is what makes it least recently used first.
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry;
  }

  set(key: string, entry: Entry): void {
    this.remove(key);
    if (entry.size > this.maxBytes) return;
    this.entries.set(key, entry);
    this.bytes += entry.size;
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= this.maxEntries && this.bytes <= this.maxBytes) break;
      this.remove(oldest);
    }
  }

  private remove(key: string): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.entries.delete(key);
    this.bytes -= entry.size;
  }
}
