/**
 * Where a subnet's packets can go: its route table's regions, followed through NAT gateways into the tables of their subnets, met with
 * what security groups and the network ACL let out. Every address of both families is in exactly one reach.
 */
import { parseCidr, isCidrDefect } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import type { Network, Route, RouteTable, Subnet, Target } from "./model.ts";
import { partition, spanOf } from "./partition.ts";
import type { Region, Span } from "./partition.ts";
import type { Permit, Permits } from "./permits.ts";

/** What lives at addresses: the internet, an organisation's own networks, or nothing that a route table decides. */
export type Realm = "public" | "private" | "link-local" | "none";

export interface Reach extends Span {
  readonly realm: Realm;
  /** The routes on the way: of the subnet itself, then of the subnets of NAT gateways. */
  readonly path: readonly Route[];
  /** Where it ends. */
  readonly target: Target;
  /** What may be sent there; empty: it is closed, whatever the route says. */
  readonly permits: readonly Permit[];
}

const realms: readonly (readonly [Span, Realm])[] = (
  [
    ["10.0.0.0/8", "private"],
    ["172.16.0.0/12", "private"],
    ["192.168.0.0/16", "private"],
    ["100.64.0.0/10", "private"],
    ["169.254.0.0/16", "link-local"],
    ["0.0.0.0/8", "none"],
    ["127.0.0.0/8", "none"],
    ["224.0.0.0/3", "none"],
    ["fd00:ec2::/32", "link-local"],
    ["fc00::/7", "private"],
    ["fe80::/10", "none"],
    ["ff00::/8", "none"],
    ["::/96", "none"],
    ["::ffff:0:0/96", "none"],
  ] as const
).map(([text, realm]) => [spanOf(known(text)), realm]);

function known(text: string): Cidr {
  const cidr = parseCidr(text);
  if (isCidrDefect(cidr)) throw new Error(`our own list has ${text}`);
  return cidr;
}

/** NAT gateways in a row that are followed; more is a loop. */
const mostHops = 4;

/** The table that decides for a subnet: the one that names it, else the VPC's main one. */
export function tableOf(network: Network, subnet: string): RouteTable | null {
  const named = network.tables.find(({ subnets }) => subnets.includes(subnet));
  if (named !== undefined) return named;
  const vpc = network.subnets.get(subnet)?.vpc ?? null;
  return vpc === null ? null : (network.tables.find((table) => table.main && table.vpc === vpc) ?? null);
}

/** The ACL that decides for a subnet: the one that names it, else the VPC's default. */
export function aclOf(network: Network, subnet: string) {
  const vpc = network.subnets.get(subnet)?.vpc ?? null;
  return (
    network.acls.find(({ subnets }) => subnets.includes(subnet)) ??
    network.acls.find((acl) => acl.isDefault && acl.vpc !== null && acl.vpc === vpc) ??
    null
  );
}

/** Both families in order; `permits` says what may be sent. Null: the subnet has no route table that is known. */
export function reachOf(network: Network, subnet: Subnet, permits: Permits): Reach[] | null {
  const table = tableOf(network, subnet.id);
  if (table === null) return null;
  const out: Reach[] = [];
  const edges = [...permits.spans, ...realms.map(([span]) => span)];
  for (const family of [4, 6] as const) {
    for (const leg of follow(network, partition(table.routes, family), [subnet.id])) {
      for (const span of cut(leg, edges)) {
        const realm = realms.find(([outer]) => covers(outer, span))?.[1] ?? "public";
        out.push({ ...span, realm, path: leg.path, target: leg.target, permits: permits.to(span) });
      }
    }
  }
  return merged(out);
}

interface Leg extends Span {
  readonly path: readonly Route[];
  readonly target: Target;
}

function follow(network: Network, regions: readonly Region[], seen: readonly string[]): Leg[] {
  return regions.flatMap((region): Leg[] => {
    const { family, first, last, route } = region;
    if (route === null) return [{ family, first, last, path: [], target: { kind: "none", id: "" } }];
    const here: Leg = { family, first, last, path: [route], target: route.target };
    if (route.target.kind !== "nat") return [here];
    const next = network.nats.get(route.target.id) ?? null;
    const table = next === null || seen.includes(next) || seen.length > mostHops ? null : tableOf(network, next);
    if (table === null) return [here];
    return follow(network, partition(table.routes, family), [...seen, next!]).flatMap((leg): Leg[] => {
      const [from, to] = [leg.first > first ? leg.first : first, leg.last < last ? leg.last : last];
      if (from > to) return [];
      return [{ family, first: from, last: to, path: [route, ...leg.path], target: leg.target }];
    });
  });
}

function cut({ family, first, last }: Span, edges: readonly Span[]): Span[] {
  const starts = new Set([first]);
  for (const edge of edges) {
    if (edge.family !== family) continue;
    for (const start of [edge.first, edge.last + 1n]) if (start > first && start <= last) starts.add(start);
  }
  const order = [...starts].toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return order.map((start, i) => ({ family, first: start, last: i + 1 < order.length ? order[i + 1]! - 1n : last }));
}

function covers(outer: Span, inner: Span): boolean {
  return outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;
}

function merged(reaches: readonly Reach[]): Reach[] {
  const out: Reach[] = [];
  for (const reach of reaches) {
    const before = out.at(-1);
    const same =
      before !== undefined &&
      before.family === reach.family &&
      before.realm === reach.realm &&
      before.permits === reach.permits &&
      before.target.id === reach.target.id &&
      before.target.kind === reach.target.kind &&
      before.path.length === reach.path.length &&
      before.path.every((route, i) => route === reach.path[i]);
    if (same) out[out.length - 1] = { ...before, last: reach.last };
    else out.push(reach);
  }
  return out;
}
