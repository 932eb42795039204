/**
 * The aliases that answers for allowed names led through. A resolver inside the job (Unbound, BIND, systemd-resolved on
 * some answers) does not believe the end of a chain and asks for each alias by itself; no rule names those. The question
 * tells the far end nothing new: it was the far end that gave the name.
 */
import type { Address } from "../address/ip.ts";
import { hostName } from "../wire/dns/name.ts";
import { type ResourceRecord, Type } from "../wire/dns/types.ts";

/** Aliases remembered in all. Losing one costs a job's own resolver one NXDOMAIN until it asks for the first name again. */
const maxAliases = 20_000;

/** Milliseconds. Resolvers ask for the alias at once, and again while they hold the first answer. */
const floor = 30_000;

interface Alias {
  host: string;
  expires: number;
}

export class Aliases {
  private readonly held = new Map<string, Alias>();

  /** Remembers that an answer for `host`, served to `source` with `ttl` seconds, led through `names`. */
  remember(names: Iterable<string>, host: string, ttl: number, source: Address, now: number): void {
    for (const name of names) {
      const id = key(name, source);
      this.held.delete(id);
      this.held.set(id, { host, expires: now + Math.max(ttl * 1000, floor) });
    }
    for (const id of this.held.keys()) {
      if (this.held.size <= maxAliases) return;
      this.held.delete(id);
    }
  }

  /** The host whose answer to this source led through `name`; null where none did, or too long ago. */
  hostOf(name: string, source: Address, now: number): string | null {
    const alias = this.held.get(key(name, source));
    return alias !== undefined && alias.expires > now ? alias.host : null;
  }
}

/** The host names that the aliases among an answer's records lead through, its end included; what is no host name nobody may ask for. */
export function aliasNames(records: readonly ResourceRecord[]): string[] {
  const aliases = records.filter(({ type }) => type === Type.CNAME);
  const names = aliases.map(({ data }) => (data.kind === "name" ? hostName(data.target) : null));
  return names.filter((name) => name !== null);
}

function key(name: string, source: Address): string {
  return `${name} ${source}`;
}
