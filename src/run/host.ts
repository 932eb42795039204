/**
 * The host's share of a run: one chain that lets the run's link through to the outside with the host's address, and
 * forwarding switched on while any run lives. All of it is taken back by the last one to leave, or by the next run where a
 * former one was killed.
 */
import { join } from "node:path";
import { cidrCovers, isCidrDefect, parseCidr } from "../address/cidr.ts";
import { interfaces, routes } from "../kernel/interfaces.ts";
import { listNamespaces } from "../kernel/namespace.ts";
import type { TableRules } from "../kernel/rules.ts";
import { Ruleset, type OwnedRules } from "../kernel/ruleset.ts";
import { enableForwarding, Settings } from "../kernel/settings.ts";
import { readSysctl } from "../kernel/sysctl.ts";
import { removeNetwork } from "./network.ts";
import { type Place, placeOf } from "./place.ts";
import { listSlots, releaseSlot } from "./slot.ts";

/** What the host offers. */
export interface HostPaths {
  /** It has a way to the IPv6 internet. */
  v6: boolean;
  /** Smallest MTU of the interfaces with a default route, so that nothing needs fragmenting on the way. */
  mtu: number;
  /** No route or namespace of the host collides with the place. */
  isFree(place: Place): boolean;
}

const linkPattern = "sallyport+";
const marker = "SALLYRUN-MADE";
const guardPrefix = "SALLYGUARD-";

export function hostPaths(): HostPaths {
  const known = routes();
  const outward = new Set(known.filter((route) => route.destination === "default").map((route) => route.device));
  const mtus = interfaces().flatMap((each) => (outward.has(each.name) ? [each.mtu] : []));
  const taken = known.map((route) => route.destination).filter((destination) => destination !== "default");
  const namespaces = listNamespaces();
  return {
    v6: known.some((route) => route.family === 6 && route.destination === "default"),
    mtu: Math.min(1500, ...mtus),
    isFree: (place) =>
      !namespaces.includes(place.command) &&
      !namespaces.includes(place.gateway) &&
      !taken.some((each) => overlaps(each, place.v4.prefix) || overlaps(each, place.v6.prefix)),
  };
}

/** Lets the place's link out. Call inside the registry's lock; `folder` is the registry. */
export function attachToHost(folder: string, place: Place, paths: HostPaths): void {
  const wasForwarding = readSysctl("net/ipv4/ip_forward") === "1";
  runRules(place).apply();
  // Rules first: while forwarding is on only for us, nothing else may be forwarded.
  if (!wasForwarding) guard().apply();
  enableForwarding(settingsOf(folder), paths.v6 ? [4, 6] : [4]);
}

/** Takes the place's rules away, and with the last run the settings too. */
export function detachFromHost(folder: string, place: Place): void {
  const others = listSlots(folder).some((each) => each.slot !== place.slot);
  if (!others) settingsOf(folder).restore();
  runRules(place).remove(others);
  if (!others) guard().remove();
}

/** Takes away what killed runs left behind. */
export function sweepStale(folder: string): void {
  for (const { slot, alive } of listSlots(folder)) {
    if (alive) continue;
    const place = placeOf(slot, false);
    detachFromHost(folder, place);
    removeNetwork(place);
    releaseSlot(folder, slot);
  }
}

function runRules(place: Place): Ruleset {
  const prefix = `SALLYRUN${place.slot}-`;
  const { hostLink } = place;
  const rules = (family: 4 | 6): TableRules[] => {
    const plan = family === 4 ? place.v4 : place.v6;
    return [
      {
        table: "filter",
        chains: new Map([
          [
            `${prefix}FORWARD`,
            [
              `-i ${hostLink} -j ACCEPT`,
              `-o ${hostLink} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`,
              `-o ${hostLink} -j DROP`,
            ],
          ],
        ]),
        jumps: new Map([["FORWARD", [`-j ${prefix}FORWARD`]]]),
      },
      {
        table: "nat",
        chains: new Map([[`${prefix}OUT`, [`-s ${plan.outside} ! -o ${hostLink} -j MASQUERADE`]]]),
        jumps: new Map([["POSTROUTING", [`-j ${prefix}OUT`]]]),
      },
    ];
  };
  return new Ruleset({ prefix, marker, rules } satisfies OwnedRules);
}

/** While forwarding is on for our sake alone, the host stays no router for anybody else. */
function guard(): Ruleset {
  const chain = `${guardPrefix}FORWARD`;
  const rules = (): TableRules[] => [
    {
      table: "mangle",
      chains: new Map([[chain, [`-i ${linkPattern} -j RETURN`, `-o ${linkPattern} -j RETURN`, "-j DROP"]]]),
      jumps: new Map([["FORWARD", [`-j ${chain}`]]]),
    },
  ];
  return new Ruleset({ prefix: guardPrefix, marker: `${guardPrefix}MADE`, rules });
}

function settingsOf(folder: string): Settings {
  return new Settings(join(folder, "settings.json"));
}

/** Whether two CIDR texts share an address. A text that is none shares nothing. */
function overlaps(a: string, b: string): boolean {
  const [first, second] = [parseCidr(a), parseCidr(b)];
  if (isCidrDefect(first) || isCidrDefect(second)) return false;
  return cidrCovers(first, second) || cidrCovers(second, first);
}
