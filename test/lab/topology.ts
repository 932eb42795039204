/**
 * The lab's wires: network namespaces, veth pairs, addresses and routes, as text for `ip -batch`. Interfaces are made
 * inside the namespaces; the host's own namespace never sees one. `README.md` has the picture.
 */
import { silentAddress } from "./internet/default-zone.ts";
import { runTool } from "./tools.ts";

export type TopologyOptions = { runners: number; forwarding: boolean; routeInside: boolean };

/** Interface names stay within 15 characters, which leaves two digits for the runner's number. */
export const maxRunners = 20;

/** The addresses of the link between the gateway and the internet. */
export const outsideLink = {
  gateway: { v4: "198.51.100.2", v6: "2001:db8:100::2" },
  internet: { v4: "198.51.100.1", v6: "2001:db8:100::1" },
} as const;

/** The addresses of runner `i` (from 1), of the gateway on that link, and their subnets. */
export function insideLink(i: number) {
  return {
    runner: { v4: `10.20.${i}.2`, v6: `fd20:${i}::2` },
    gateway: { v4: `10.20.${i}.1`, v6: `fd20:${i}::1` },
    subnet: { v4: `10.20.${i}.0/24`, v6: `fd20:${i}::/64` },
  };
}

/** Names of a lab's namespaces and interfaces. */
export function labNames(id: string) {
  return {
    gateway: `${id}-gateway`,
    internet: `${id}-internet`,
    runner: (i: number) => `${id}-runner${i}`,
    /** In the gateway: towards the internet, and towards runner `i`. */
    outside: `${id}-out`,
    inside: (i: number) => `${id}-i${i}`,
    /** At the other ends. */
    uplink: `${id}-net`,
    runnerLink: (i: number) => `${id}-r${i}`,
  };
}

/** Makes the namespaces and everything in them. On failure the caller releases the lab. */
export async function buildTopology(id: string, options: TopologyOptions): Promise<void> {
  const names = labNames(id);
  const runners = Array.from({ length: options.runners }, (_, k) => k + 1);
  const namespaces = [names.gateway, names.internet, ...runners.map(names.runner)];
  await runTool("ip", ["-batch", "-"], namespaces.map((name) => `netns add ${name}\n`).join(""));
  // Before any interface exists, because `conf.default` is read when one is made.
  await Promise.all(namespaces.map((name) => writeSysctls(name, sysctlsOf(name === names.gateway, options))));
  await batch(names.gateway, gatewayLines(id, runners));
  await Promise.all([
    batch(names.internet, internetLines(id, options)),
    ...runners.map((i) => batch(names.runner(i), runnerLines(id, i))),
  ]);
}

function batch(namespace: string, lines: string[]): Promise<string> {
  return runTool("ip", ["-n", namespace, "-batch", "-"], lines.map((line) => `${line}\n`).join(""));
}

/**
 * The host's values leak into new namespaces (`devconf_inherit_init_net`), so all that matters is set. No duplicate
 * address detection: it would keep IPv6 silent for a second after each start.
 */
function sysctlsOf(isGateway: boolean, options: TopologyOptions): Record<string, number> {
  const forwarding = isGateway && options.forwarding ? 1 : 0;
  return {
    "ipv6/conf/all/disable_ipv6": 0,
    "ipv6/conf/default/disable_ipv6": 0,
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/default/accept_ra": 0,
    "ipv4/ip_forward": forwarding,
    "ipv6/conf/all/forwarding": forwarding,
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
    // Unreachable messages are part of what tests see: none is withheld by a rate limit.
    "ipv4/icmp_ratelimit": 0,
    "ipv6/icmp/ratelimit": 0,
    // Servers bind IPv6 addresses that no interface carries; the routes below make them local.
    "ipv6/ip_nonlocal_bind": isGateway ? 0 : 1,
  };
}

function writeSysctls(namespace: string, values: Record<string, number>): Promise<string> {
  const script = Object.entries(values).map(([key, value]) => `echo ${value} > /proc/sys/net/${key}`);
  return runTool("ip", ["netns", "exec", namespace, "sh", "-ec", script.join("\n")]);
}

function gatewayLines(id: string, runners: number[]): string[] {
  const names = labNames(id);
  const { gateway, internet } = outsideLink;
  return [
    "link set lo up",
    `link add ${names.outside} type veth peer name ${names.uplink} netns ${names.internet}`,
    `addr add ${gateway.v4}/24 dev ${names.outside}`,
    `addr add ${gateway.v6}/64 dev ${names.outside} nodad`,
    `link set ${names.outside} up`,
    ...runners.flatMap((i) => [
      `link add ${names.inside(i)} type veth peer name ${names.runnerLink(i)} netns ${names.runner(i)}`,
      `addr add ${insideLink(i).gateway.v4}/24 dev ${names.inside(i)}`,
      `addr add ${insideLink(i).gateway.v6}/64 dev ${names.inside(i)} nodad`,
      `link set ${names.inside(i)} up`,
    ]),
    `route add default via ${internet.v4}`,
    `route add default via ${internet.v6}`,
  ];
}

function runnerLines(id: string, i: number): string[] {
  const link = labNames(id).runnerLink(i);
  const { runner, gateway } = insideLink(i);
  return [
    "link set lo up",
    `addr add ${runner.v4}/24 dev ${link}`,
    `addr add ${runner.v6}/64 dev ${link} nodad`,
    `link set ${link} up`,
    `route add default via ${gateway.v4}`,
    `route add default via ${gateway.v6}`,
  ];
}

/**
 * Every address is the internet's own: local routes for all of IPv4 and IPv6 (ip-route(8), type local), so whatever
 * address a job tries, something answers there and the packet is not lost for want of a host. What is on the link to the
 * gateway is excepted, and so are the inside subnets: the internet has no way back to them unless asked.
 */
function internetLines(id: string, options: TopologyOptions): string[] {
  const { uplink } = labNames(id);
  const { gateway, internet } = outsideLink;
  return [
    "link set lo up",
    `addr add ${internet.v4}/24 dev ${uplink}`,
    `addr add ${internet.v6}/64 dev ${uplink} nodad`,
    `addr add 2001:db8:100::130/128 dev ${uplink} nodad`,
    `link set ${uplink} up`,
    "route add local 0.0.0.0/0 dev lo table local",
    `route add 198.51.100.0/25 dev ${uplink} scope link table local`,
    "route add local ::/0 dev lo table main",
    `route add blackhole ${silentAddress.v4}/32 table local`,
    `route add blackhole ${silentAddress.v6}/128 table main`,
    options.routeInside
      ? `route add 10.20.0.0/16 via ${gateway.v4} dev ${uplink} table local`
      : "route add unreachable 10.20.0.0/16 table local",
    options.routeInside
      ? `route add fd20::/16 via ${gateway.v6} dev ${uplink} table main`
      : "route add unreachable fd20::/16 table main",
  ];
}
