/**
 * The host's share of a run: one chain that lets the run's link through to the outside with the host's address, and
 * forwarding switched on while any run lives. All of it is taken back by the last one to leave, or by the next run where a
 * former one was killed.
 */
import { join } from "node:path";
import { cidrCovers, isCidrDefect, parseCidr } from "../address/cidr.ts";
import type { Address } from "../address/ip.ts";
import { interfaces, routes } from "../kernel/interfaces.ts";
import { listNamespaces } from "../kernel/namespace.ts";
import type { TableRules } from "../kernel/rule-parts.ts";
import { Ruleset, type OwnedRules } from "../kernel/ruleset.ts";
import { enableForwarding, Settings } from "../kernel/settings.ts";
import { listSysctl, readSysctl } from "../kernel/sysctl.ts";
import { hasV6, removeNetwork, type V6 } from "./network.ts";
import { type Place, placeOf } from "./place.ts";
import { listSlots, type Registry, releaseSlot, settingsFile } from "./slot.ts";

/** What the host offers. */
export interface HostPaths {
  v6: V6;
  /** It has a global IPv6 address of its own (2000::/3), not only unique local ones. */
  globalV6: boolean;
  /** Smallest MTU of the interfaces with a default route, so that nothing needs fragmenting on the way. */
  mtu: number;
  /** No route or namespace of the host collides with the place. */
  isFree(place: Place): boolean;
}

const linkPattern = "sallyport+";
const marker = "SALLYRUN-MADE";

export function hostPaths(): HostPaths {
  const known = routes();
  const links = interfaces();
  const outward = new Set(known.filter((route) => route.destination === "default").map((route) => route.device));
  const mtus = links.flatMap((each) => (outward.has(each.name) ? [each.mtu] : []));
  const taken = known.map((route) => route.destination).filter((destination) => destination !== "default");
  const namespaces = listNamespaces();
  const routed = known.some((route) => route.family === 6 && route.destination === "default");
  return {
    v6: !hasV6() ? "absent" : routed ? "routed" : "local",
    globalV6: routed && links.some((link) => link.addresses.some(({ address }) => isGlobalV6(address))),
    mtu: Math.min(1500, ...mtus),
    isFree: (place) =>
      !namespaces.includes(place.command) &&
      !namespaces.includes(place.gateway) &&
      !taken.some((each) => overlaps(each, place.v4.prefix) || overlaps(each, place.v6.prefix)),
  };
}

/** Lets the place's link out. Call inside the registry's lock. */
export function attachToHost({ folder }: Registry, place: Place, v6: V6): void {
  const settings = settingsOf(folder);
  const families: (4 | 6)[] = v6 === "routed" ? [4, 6] : [4];
  // Rules first: while forwarding is on only for us, nothing else may be forwarded.
  const guarded = families.filter((family) => !isRouter(settings, family));
  runRules(place, families, guarded).apply();
  enableForwarding(settings, families);
}

/** Takes the place's rules away, and with the last run the settings too. */
export function detachFromHost({ folder }: Registry, place: Place): void {
  const others = listSlots(folder).some((each) => each.slot !== place.slot);
  if (!others) settingsOf(folder).restore();
  runRules(place, [], []).remove(others);
}

/** Takes away what killed runs left behind. */
export function sweepStale(registry: Registry): void {
  for (const { slot, alive } of listSlots(registry.folder)) {
    if (alive) continue;
    const place = placeOf(registry.host, slot, false);
    removeNetwork(place);
    detachFromHost(registry, place);
    releaseSlot(registry, slot);
  }
}

/** Whether this host forwarded for others before the first run came: then it stays as it is. */
function isRouter(settings: Settings, family: 4 | 6): boolean {
  const folder = `net/ipv${family}/conf`;
  return listSysctl(folder).some((each) => {
    if (each === "lo" || each.startsWith("sallyport")) return false;
    const name = `${folder}/${each}/forwarding`;
    return (settings.former(name) ?? readSysctl(name)) === "1";
  });
}

/**
 * `guarded` are the families in which this host is no router but for runs: there nothing is forwarded but what comes from
 * a run or goes to one. Each run brings that rule, so that it stays as long as any of them does.
 */
function runRules(place: Place, families: readonly (4 | 6)[], guarded: readonly (4 | 6)[]): Ruleset {
  const prefix = `SALLYRUN${place.slot}-`;
  const { hostLink } = place;
  const chain = (table: TableRules["table"], name: string, hook: string, rules: string[]): TableRules => ({
    table,
    chains: new Map([[`${prefix}${name}`, rules]]),
    jumps: new Map([[hook, [`-j ${prefix}${name}`]]]),
  });
  const rules = (family: 4 | 6): TableRules[] => {
    if (!families.includes(family)) return [];
    const plan = family === 4 ? place.v4 : place.v6;
    const isGuarded = guarded.includes(family);
    return [
      chain("filter", "FORWARD", "FORWARD", [
        // Only what the gateway sends as its own has been judged: had it lost its rules, this one would still hold.
        `-i ${hostLink} -s ${plan.outside} -j ACCEPT`,
        `-i ${hostLink} -j DROP`,
        `-o ${hostLink} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`,
        `-o ${hostLink} -j DROP`,
        ...(isGuarded ? [`-i ${linkPattern} -j RETURN`, `-o ${linkPattern} -j RETURN`, "-j DROP"] : []),
      ]),
      chain("nat", "OUT", "POSTROUTING", [`-s ${plan.outside} ! -o ${hostLink} -j MASQUERADE`]),
    ];
  };
  return new Ruleset({ prefix, marker, rules } satisfies OwnedRules);
}

function settingsOf(folder: string): Settings {
  return new Settings(join(folder, settingsFile));
}

function isGlobalV6(address: Address): boolean {
  return address.length === 16 && (address.charCodeAt(0) & 0xe0) === 0x20;
}

/** Whether two CIDR texts share an address. A text that is none shares nothing. */
function overlaps(a: string, b: string): boolean {
  const [first, second] = [parseCidr(a), parseCidr(b)];
  if (isCidrDefect(first) || isCidrDefect(second)) return false;
  return cidrCovers(first, second) || cidrCovers(second, first);
}
