/** Who is where in a range: documentation addresses (RFC 5737, RFC 3849) and reserved names (RFC 2606) only. Pure. */
import type { Zone } from "../sink/name-server.ts";

/** The link between the machine that probes and the world. */
export const link = {
  host: { v4: "198.51.100.2", v6: "2001:db8:100::2" },
  world: { v4: "198.51.100.1", v6: "2001:db8:100::1" },
} as const;

/** The resolver that the machine is given. */
export const resolver = { v4: "192.0.2.53", v6: "2001:db8:53::53" } as const;

/** The domain whose name server is the attacker's. */
export const attackersZone = "drop.example";

/** The attacker's machine for technique `n`: each has one of its own, so that an event tells which attempt it was. */
export function collectorOf(n: number): { name: string; v4: string; v6: string } {
  return { name: `c${n}.collector.example`, v4: `203.0.113.${10 + n}`, v6: `2001:db8:c0::${(10 + n).toString(16)}` };
}

/** How many techniques fit into 203.0.113.0/24. */
export const mostCollectors = 200;

/** What a policy allows, found in it: names, and a pattern with one star. */
export interface Sites {
  tls: string | null;
  http: string | null;
  wildcard: string | null;
}

const siteAddresses = {
  tls: ["198.51.100.140", "2001:db8:5::140"],
  http: ["198.51.100.141", "2001:db8:5::141"],
  other: ["203.0.113.5", "2001:db8:c0::5"],
} as const;

/** Every name there is has an address; only the site's and the collectors' are their own. */
export function rangeZone(sites: Pick<Sites, "tls" | "http">): Zone {
  return (name, family) => {
    const collector = /^c(\d{1,3})\.collector\.example$/.exec(name);
    if (collector !== null && Number(collector[1]) < mostCollectors) {
      const { v4, v6 } = collectorOf(Number(collector[1]));
      return family === 4 ? v4 : v6;
    }
    const of = name === sites.tls ? "tls" : name === sites.http ? "http" : "other";
    return siteAddresses[of][family === 4 ? 0 : 1];
  };
}
