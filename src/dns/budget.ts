/**
 * How many distinct names a source may ask for under one registrable domain in a sliding hour. Under an allowed wildcard
 * every label is a free choice of the asker, and each new name is a message to whoever runs the zone's servers; the
 * budget bounds that channel. Names asked before do not count again. Called for allowed names of policed sources only.
 */
import type { Address } from "../address/ip.ts";

/** Milliseconds. */
const windowLength = 3_600_000;

/** Domains per source; a source that touches more within the hour is refused new ones (fail closed). */
const maxDomains = 2000;

/** Sources remembered; the least recently active is forgotten first, so a flood of sources only refills budgets. */
const maxSources = 20_000;

export class NameBudget {
  private readonly limit: number;
  /** source -> domain -> name -> last asked; every level in order of last use. */
  private readonly sources = new Map<Address, Map<string, Map<string, number>>>();

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Counts `name` under `domain` for `source`; false where it is new and the budget is spent. */
  admit(source: Address, domain: string, name: string, now: number): boolean {
    const domains = this.sources.get(source) ?? new Map<string, Map<string, number>>();
    touch(this.sources, source, domains);
    if (this.sources.size > maxSources) dropOldest(this.sources);
    const names = domains.get(domain) ?? new Map<string, number>();
    if (!domains.has(domain) && domains.size >= maxDomains && !dropExpiredDomain(domains, now)) return false;
    touch(domains, domain, names);
    for (const [old, asked] of names) {
      if (now - asked < windowLength) break;
      names.delete(old);
    }
    if (!names.has(name) && names.size >= this.limit) return false;
    touch(names, name, now);
    return true;
  }
}

function touch<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.delete(key);
  map.set(key, value);
}

function dropOldest<K, V>(map: Map<K, V>): void {
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}

/** Forgets the least recently used domain if all its names are over an hour old. */
function dropExpiredDomain(domains: Map<string, Map<string, number>>, now: number): boolean {
  for (const [domain, names] of domains) {
    for (const asked of names.values()) if (now - asked < windowLength) return false;
    domains.delete(domain);
    return true;
  }
  return false;
}
