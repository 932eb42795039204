/**
 * Which names live at which address: what decides the virtual host that answers. It is apart from the zone on purpose,
 * because an attacker's server claims names that DNS never gave it, and an address keeps its tenants when DNS moves on.
 */
import { sharedAddress } from "./default-zone.ts";
import type { Zone } from "./zone.ts";
import { zoneKey } from "./zone.ts";

/** Address to the names it serves; the first is the one for clients that say no name or an unknown one. */
export type Hosting = Record<string, string[]>;

/** Every name of the zone at its own addresses, and `evil.example` as a tenant of the shared ones. */
export function defaultHosting(zone: Zone): Hosting {
  const hosting: Hosting = {
    [sharedAddress.v4]: ["shared.example", "allowed.example", "evil.example"],
    [sharedAddress.v6]: ["shared.example", "allowed.example", "evil.example"],
  };
  for (const [name, entry] of Object.entries(zone)) {
    for (const record of entry.records) {
      if (record.type !== "A" && record.type !== "AAAA") continue;
      const tenants = (hosting[record.data] ??= []);
      if (!tenants.includes(name)) tenants.push(name);
      for (const alias of aliasesOf(zone, name)) if (!tenants.includes(alias)) tenants.push(alias);
    }
  }
  return hosting;
}

/** The names whose CNAME chain passes through or ends at `name`. */
function aliasesOf(zone: Zone, name: string, seen = new Set([name])): string[] {
  const direct = Object.entries(zone)
    .filter(([, entry]) => entry.records.some((record) => record.type === "CNAME" && zoneKey(record.data) === name))
    .map(([alias]) => alias)
    .filter((alias) => !seen.has(alias));
  for (const alias of direct) seen.add(alias);
  return direct.flatMap((alias) => [alias, ...aliasesOf(zone, alias, seen)]);
}

/** The tenant of `address` that answers to `name`: the name itself under a wildcard, else the address's first tenant. */
export function tenant(hosting: Hosting, address: string, name: string | undefined): string {
  const tenants = hosting[address] ?? [];
  if (name !== undefined) {
    const key = zoneKey(name);
    const parent = key.slice(key.indexOf(".") + 1);
    if (tenants.includes(key) || tenants.includes(`*.${parent}`)) return key;
  }
  return tenants[0] ?? address;
}
