/**
 * The Public Suffix List, both its sections: below which names can strangers register their own? `com` and `co.uk`
 * (ICANN section), `github.io` and `blob.core.windows.net` (private section). The lint warns of wildcards over them.
 */
import { parse } from "tldts";

const options = { allowPrivateDomains: true, extractHostname: false, validateHostname: false } as const;

/** True where a canonical name is itself a public suffix: a wildcard directly below it matches strangers' names. */
export function isPublicSuffix(name: string): boolean {
  return parse(name, options).publicSuffix === name;
}

/** The public suffix and one label more, the unit that one party registers; null for a public suffix itself. */
export function registrableDomain(name: string): string | null {
  return parse(name, options).domain;
}
