/**
 * What a machine may send to a span of addresses by its security groups (any rule that allows) and the subnet's network ACL (the first
 * entry that matches, by number). Answers are not asked for: UDP, ICMP and a TCP SYN carry data without any.
 */
import type { Cidr } from "../address/cidr.ts";
import type { Acl, AclEntry, GroupRule, SecurityGroup, Traffic } from "./model.ts";
import { spanOf } from "./partition.ts";
import type { Span } from "./partition.ts";

/** Ports from `from` to `to` of a protocol; -1 for all protocols that nothing speaks of by number. */
export interface Permit {
  readonly protocol: number;
  readonly from: number;
  readonly to: number;
}

const lastPort = 65_535;
const others = -1;
const hasPorts = (protocol: number) => protocol === 6 || protocol === 17 || protocol === 132;

/** Rules that AWS would never accept in such number; more are refused rather than judged slowly. */
export const mostRules = 1000;

export class Permits {
  readonly #rules: readonly (GroupRule & { spans: readonly Span[] | null })[];
  readonly #entries: readonly (AclEntry & { span: Span })[] | null;
  readonly #vpc: readonly Span[];
  readonly #protocols: readonly number[];
  readonly #known = new Map<string, readonly Permit[]>();

  /** `groups` null: none are known, so nothing is closed by them. `acl` null: the same. `vpc`: where members of groups are. */
  constructor(groups: readonly SecurityGroup[] | null, acl: Acl | null, vpc: readonly Cidr[]) {
    const open: GroupRule = {
      protocol: null,
      from: 0,
      to: lastPort,
      cidrs: null,
      toGroups: false,
      place: { file: "", pointer: "" },
    };
    const rules =
      groups === null
        ? [open]
        : groups.flatMap(({ egress, partial }) => (partial === null ? egress : [...egress, open]));
    this.#vpc = vpc.map(spanOf);
    this.#rules = rules.map((rule) => ({ ...rule, spans: rule.cidrs === null ? null : rule.cidrs.map(spanOf) }));
    const entries = acl === null || acl.partial !== null ? null : acl.entries;
    this.#entries =
      entries?.toSorted((a, b) => a.number - b.number).map((entry) => ({ ...entry, span: spanOf(entry.cidr) })) ?? null;
    const spoken = [...rules, ...(entries ?? [])].flatMap(({ protocol }) => (protocol === null ? [] : [protocol]));
    this.#protocols = [...new Set([6, 17, 1, 58, ...spoken, others])];
  }

  /** Where answers may change: ends of what rules and entries cover. */
  get spans(): Span[] {
    return [
      ...this.#rules.flatMap(({ spans }) => spans ?? []),
      ...(this.#entries ?? []).map(({ span }) => span),
      ...this.#vpc,
    ];
  }

  /** What may be sent to all of `span`, which no edge of {@link spans} may cut. Empty: nothing. */
  to(span: Span): readonly Permit[] {
    const inside = (outer: Span) =>
      outer.family === span.family && outer.first <= span.first && span.last <= outer.last;
    const inVpc = this.#vpc.some(inside);
    const rules = this.#rules.flatMap((rule, i) =>
      rule.spans === null || rule.spans.some(inside) || (rule.toGroups && inVpc) ? [i] : [],
    );
    const entries = this.#entries?.flatMap(({ span }, i) => (inside(span) ? [i] : [])) ?? null;
    const key = `${rules.join(",")}|${entries?.join(",") ?? "all"}`;
    let known = this.#known.get(key);
    if (known === undefined) {
      const some = rules.map((i) => this.#rules[i]!);
      const acl = entries?.map((i) => this.#entries![i]!) ?? null;
      known = this.#protocols.flatMap((protocol) => permitsOf(protocol, some, acl));
      this.#known.set(key, known);
    }
    return known;
  }
}

function permitsOf(protocol: number, rules: readonly Traffic[], entries: readonly AclEntry[] | null): Permit[] {
  const speaks = (each: Traffic) => each.protocol === null || each.protocol === protocol;
  const allowing = rules.filter(speaks);
  const listed = entries?.filter(speaks) ?? null;
  if (allowing.length === 0) return [];
  const portsOf = (each: Traffic): [number, number] =>
    each.protocol === null || !hasPorts(protocol) ? [0, lastPort] : [each.from, each.to];
  const cuts = new Set([0, lastPort + 1]);
  for (const each of [...allowing, ...(listed ?? [])]) {
    const [from, to] = portsOf(each);
    cuts.add(Math.max(0, from)).add(Math.min(lastPort, to) + 1);
  }
  const edges = [...cuts].filter((edge) => edge >= 0 && edge <= lastPort + 1).toSorted((a, b) => a - b);
  const out: Permit[] = [];
  for (let i = 0; i + 1 < edges.length; i++) {
    const [from, to] = [edges[i]!, edges[i + 1]! - 1];
    const covers = (each: Traffic) => {
      const [low, high] = portsOf(each);
      return low <= from && to <= high;
    };
    if (!allowing.some(covers)) continue;
    if (listed !== null && listed.find(covers)?.allow !== true) continue;
    const before = out.at(-1);
    if (before !== undefined && before.to + 1 === from) out[out.length - 1] = { ...before, to };
    else out.push({ protocol, from, to });
  }
  return out;
}

const names = new Map([
  [6, "TCP"],
  [17, "UDP"],
  [1, "ICMP"],
  [58, "ICMPv6"],
]);

/** `TCP 443, UDP`, for a line. */
export function permitsText(permits: readonly Permit[]): string {
  if (permits.some(({ protocol }) => protocol === others)) {
    const limited = permits.filter(({ protocol, from, to }) => protocol !== others && (from > 0 || to < lastPort));
    if (limited.length === 0) return "anything";
  }
  const parts = permits
    .filter(({ protocol }) => protocol !== others)
    .map(({ protocol, from, to }) => {
      const name = names.get(protocol) ?? `protocol ${protocol}`;
      if (!hasPorts(protocol) || (from === 0 && to === lastPort)) return name;
      return from === to ? `${name} ${from}` : `${name} ${from}-${to}`;
    });
  if (permits.some(({ protocol }) => protocol === others)) parts.push("other protocols");
  return parts.length <= 8 ? parts.join(", ") : `${parts.slice(0, 7).join(", ")} and ${parts.length - 7} more`;
}
