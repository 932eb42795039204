/** Whether a place has what a technique needs. What is lacking makes it inconclusive, never blocked. Pure. */
import type { Sites } from "./range/addresses.ts";
import type { Need, Technique } from "./technique.ts";

/** What there is. */
export interface Offer {
  sites: Sites;
  v6: boolean;
  zone: boolean;
  range: boolean;
  raw: boolean;
}

/** Why the technique cannot be tried; null: it can. */
export function unmetIn({ needs }: Technique, offer: Offer): string | null {
  for (const need of needs) if (!isMet(need, offer)) return lacking[need];
  return null;
}

function isMet(need: Need, { sites, v6, zone, range, raw }: Offer): boolean {
  switch (need) {
    case "tls-site":
      return sites.tls !== null;
    case "http-site":
      return sites.http !== null;
    case "wildcard":
      return sites.wildcard !== null;
    case "ipv6":
      return v6;
    case "zone":
      return zone;
    case "range":
      return range;
    case "raw":
      return raw;
  }
}

const lacking: Record<Need, string> = {
  "tls-site": "needs a name that is allowed over TLS on port 443, and none is known",
  "http-site": "needs a name that is allowed over plain HTTP on port 80, and none is known",
  wildcard: "needs a wildcard (`*.name`) that the policy allows, and there is none",
  ipv6: "there is no IPv6 here",
  zone: "needs a domain that is delegated to the sink (--zone)",
  range: "only in a range: elsewhere it would touch this machine or somebody else's",
  raw: "needs root, for raw sockets",
};
