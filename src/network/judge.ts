/**
 * The policy's two questions of one subnet: does any route lead to intranets, databases or internal APIs, and is the only way out the
 * allowlist? Each answer names the route. A route that groups or the ACL close does not lead anywhere, and a route to what is not
 * known is not known to be closed.
 */
import { formatCidr } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import { formatAddress } from "../address/ip.ts";
import type { Severity } from "../cloud/evidence.ts";
import { shown } from "../cloud/value.ts";
import type { Say } from "./finding.ts";
import { targetKinds } from "./model.ts";
import type { Network, RouteTable, Subnet, Target } from "./model.ts";
import { addressOf, cidrsOf, spanOf } from "./partition.ts";
import type { Span } from "./partition.ts";
import { permitsText } from "./permits.ts";
import type { Permit } from "./permits.ts";
import type { Reach } from "./reach.ts";

export interface Reviewed {
  /** Ids or addresses of firewalls (a gateway's interface or instance), besides those that AWS itself calls so. */
  readonly firewalls: readonly string[];
  /** Prefixes of the own networks that runners may reach, by a review. */
  readonly destinations: readonly Cidr[];
}

type Question = "internal-route" | "internal-neighbours" | "way-out" | "way-out-ipv6" | "way-out-unknown" | null;

/** Which question a reach answers badly; null: none. */
export function questionOf(reach: Reach, subnet: Subnet, reviewed: Reviewed): Question {
  const { realm, target, permits } = reach;
  if (permits.length === 0 || realm === "link-local" || realm === "none") return null;
  if (isFirewall(reach, reviewed)) return null;
  switch (target.kind) {
    case "none":
    case "blackhole":
    case "firewall":
    case "endpoint":
      return null;
    case "local":
      return isReviewed(reach, reviewed) || subnet.cidrs.some((cidr) => covers(spanOf(cidr), reach))
        ? null
        : "internal-neighbours";
    case "transit":
    case "peering":
    case "vpn":
    case "beside":
      if (isReviewed(reach, reviewed)) return null;
      // Beyond a transit gateway may be the inspection that the rest of the world goes through; its own networks are beyond it for sure.
      return realm === "public" && target.kind !== "peering" ? "way-out-unknown" : "internal-route";
    case "nat":
    case "internet":
    case "egress-only":
      if (realm === "private") return null;
      return reach.family === 4 ? "way-out" : "way-out-ipv6";
    case "appliance":
    case "unknown":
      return isReviewed(reach, reviewed) ? null : "way-out-unknown";
  }
}

function isFirewall({ path, target }: Reach, { firewalls }: Reviewed): boolean {
  const isOne = ({ id, also }: Target) => firewalls.includes(id) || (also !== undefined && firewalls.includes(also));
  return isOne(target) || path.some((route) => isOne(route.target));
}

function isReviewed(reach: Reach, { destinations }: Reviewed): boolean {
  return destinations.some((cidr) => covers(spanOf(cidr), reach));
}

function covers(outer: Span, inner: Span): boolean {
  return outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;
}

const fixes: Record<NonNullable<Question>, string> = {
  "internal-route": "Take the route out of the runners' table, or let no security group send there.",
  "internal-neighbours":
    "Let the runners' security group send to the gateway alone, or name what they may reach as reviewed.",
  "way-out": "Send 0.0.0.0/0 to the egress gateway instead.",
  "way-out-ipv6": "Send ::/0 to the egress gateway as well, or give the subnet no IPv6.",
  "way-out-unknown": "If a firewall with the allowlist stands there, name it; else take the route out.",
};

/** Judges the reaches of one subnet: one record for each route and question. */
export function judgeReaches(
  network: Network,
  subnet: Subnet,
  table: RouteTable,
  reaches: readonly Reach[],
  reviewed: Reviewed,
  say: Say,
): void {
  const found = new Map<string, { question: NonNullable<Question>; reaches: Reach[] }>();
  for (const reach of reaches) {
    const question = questionOf(reach, subnet, reviewed);
    if (question === null) continue;
    const key = `${question}\0${reach.path.map(({ place }) => place.pointer).join("\0")}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { question, reaches: [reach] });
    else known.reaches.push(reach);
  }
  for (const { question, reaches } of found.values()) {
    const [first] = reaches as [Reach];
    const place = first.path[0]?.place ?? table.place;
    const what = permitsText(union(reaches.flatMap(({ permits }) => permits)));
    const where = question === "internal-neighbours" ? neighbours(network, subnet, reaches) : spansText(reaches);
    const by = first.path
      .map(({ destination, target }) => `${shown(destination)} → ${shown(target.id)}`)
      .join(", then ");
    const kind = targetKinds[first.target.kind];
    const hidden = question !== "way-out" && question !== "way-out-ipv6" ? null : dormant(network, subnet, first);
    const tail = hidden === null ? "" : `; ${hidden.why}`;
    say(
      question,
      subnet.id,
      place,
      `route ${by} leads to ${where} by ${kind}, open for ${what}${tail}`,
      fixes[question],
      {
        about: first.path.map(({ destination }) => destination).join(" > "),
        ...(question === "way-out-unknown" ? { outcome: "unknown" } : {}),
        ...(hidden === null ? {} : { severity: hidden.severity }),
      },
    );
  }
  for (const route of table.routes)
    if (
      route.cidrs === null &&
      !["endpoint", "firewall", "blackhole"].includes(route.target.kind) &&
      !reviewed.firewalls.includes(route.target.id)
    )
      say(
        "way-out-unknown",
        subnet.id,
        route.place,
        `route ${shown(route.destination)} → ${shown(route.target.id)} has prefixes that are not known`,
        "Give the prefix list's entries (describe-prefix-lists).",
        { outcome: "unknown", about: route.destination },
      );
  if (table.partial !== null)
    say(
      "way-out-unknown",
      subnet.id,
      table.place,
      `route table ${shown(table.id)} ${table.partial}`,
      "Judge it again after apply.",
      { outcome: "unknown" },
    );
}

/** A way out that waits for one more setting. */
function dormant(
  network: Network,
  subnet: Subnet,
  { family, path, target }: Reach,
): { why: string; severity: Severity } | null {
  if (family === 6 && subnet.ipv6 === false) return { why: "the subnet has no IPv6 addresses yet", severity: "low" };
  const bare = network.machines.every((each) => each.subnet !== subnet.id || each.publicAddress === false);
  if (family === 4 && target.kind === "internet" && path.length === 1 && subnet.publicAddresses === false && bare)
    return { why: "its machines have no public address, which one setting changes", severity: "medium" };
  return null;
}

function union(permits: readonly Permit[]): Permit[] {
  const out = new Map<string, Permit>();
  for (const permit of permits) out.set(`${permit.protocol}/${permit.from}-${permit.to}`, permit);
  const all = [...out.values()];
  return all.filter(
    (one) =>
      !all.some((two) => two !== one && two.protocol === one.protocol && two.from <= one.from && one.to <= two.to),
  );
}

/** The subnets among the reaches, by name; addresses where no subnet is known. */
function neighbours(network: Network, own: Subnet, reaches: readonly Reach[]): string {
  const found = [...network.subnets.values()].filter(
    (each) => each.id !== own.id && each.cidrs.some((cidr) => reaches.some((reach) => overlaps(spanOf(cidr), reach))),
  );
  if (found.length === 0) return spansText(reaches);
  const names = found
    .slice(0, 5)
    .map(({ id, name }) => (name === null ? shown(id) : `${shown(id)} (${shown(name, 60)})`));
  return `${names.join(", ")}${found.length > 5 ? ` and ${found.length - 5} more subnets` : ""}`;
}

function overlaps(a: Span, b: Span): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last;
}

/** Up to three prefixes, or first and last; more than a quarter of all addresses is the internet. */
export function spansText(spans: readonly Span[]): string {
  for (const [family, bits] of [
    [4, 32n],
    [6, 128n],
  ] as const) {
    const size = spans.reduce((sum, span) => (span.family === family ? sum + span.last - span.first + 1n : sum), 0n);
    if (size > 1n << (bits - 2n)) return `the internet (IPv${family})`;
  }
  const joined: Span[] = [];
  for (const span of spans) {
    const before = joined.at(-1);
    if (before !== undefined && before.family === span.family && before.last + 1n === span.first)
      joined[joined.length - 1] = { ...before, last: span.last };
    else joined.push(span);
  }
  const texts = joined.slice(0, 3).map((span) => {
    const cidrs = cidrsOf(span, 1);
    return cidrs === null
      ? `${formatAddress(addressOf(span.family, span.first))}–${formatAddress(addressOf(span.family, span.last))}`
      : formatCidr(cidrs[0]!);
  });
  return joined.length > 3 ? `${texts.join(", ")} and ${joined.length - 3} more ranges` : texts.join(", ");
}
