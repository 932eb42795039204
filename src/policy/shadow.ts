/**
 * Rules that can never decide, because for everything they name an earlier enforcing rule names the same or more: the
 * same or wider sources, endpoints, ports and protocol. Nearly linear in the rules: earlier rules are found by endpoint
 * and source, never compared pairwise. Only what is certain is reported. The clock has no say: a rule that may expire
 * shadows nothing, so a file that loads today loads tomorrow.
 */
import { CidrTable } from "../address/cidr.ts";
import { LabelTrie } from "../address/trie.ts";
import type { Document } from "./document.ts";
import type { Endpoint, Policy, Rule, Service, Source } from "./model.ts";
import { coversTerm } from "./process.ts";
import type { Problems } from "./problem.ts";
import { showsName, transportOf } from "./protocol.ts";

/** An earlier rule on one service. */
interface Shade {
  rule: Rule;
  service: Service;
}

/** Shades of one endpoint by source, then by port; null is every source, every port. */
type Shades = Map<Source | null, Map<number | null, Shade[]>>;

/** How many sources that hold another one's subnet are considered; past it a shadowed rule may go unreported. */
const maxWider = 64;
/** How many of the sources without subnets. */
const maxAnywhere = 512;

/** Reports every rule of the policy that can never decide. */
export function findUnreachable(policy: Policy, document: Document, problems: Problems): void {
  const names = new LabelTrie<Shades>();
  const cidrs = new CidrTable<Shades>();
  const newShades = (): Shades => new Map();
  for (const { targets } of policy.rules) {
    for (const { endpoint } of targets) if (endpoint.kind === "cidr") cidrs.getOrAdd(endpoint.cidr, newShades);
  }
  const wider = widerSources(policy);
  const over = (endpoint: Endpoint): Shades[] => {
    if (endpoint.kind === "name") return names.covering(endpoint.pattern);
    const entries = [...cidrs.covering(endpoint.cidr.address)];
    return entries.filter((e) => e.cidr.length <= endpoint.cidr.length).map((e) => e.value);
  };
  const position = new Map(policy.rules.map((rule, i) => [rule, i]));
  const permits = policy.rules.filter((rule) => rule.tier === 1).length;

  for (const rule of policy.rules) {
    const shade = rule.targets.length === 0 ? null : shadeOf(rule, over, wider);
    if (shade !== null) {
      const at = position.get(rule)!;
      const path = rule.tier === 1 ? ["permits", at] : ["rules", at - permits];
      problems.add(
        "unreachable",
        () => document.place([...path, "name"]),
        `the rule “${rule.name}” can never decide: “${shade.name}” on line ${shade.line} comes first and covers it`,
        `Remove it, or move it before “${shade.name}”.`,
      );
    }
    if (rule.mode !== "enforce" || rule.expires !== null) continue;
    for (const { endpoint, services } of rule.targets) {
      const node =
        endpoint.kind === "name"
          ? names.getOrAdd(endpoint.pattern, newShades)
          : cidrs.getOrAdd(endpoint.cidr, newShades);
      for (const source of rule.from ?? [null]) {
        let ports = node.get(source);
        if (ports === undefined) node.set(source, (ports = new Map()));
        for (const service of services) {
          const list = ports.get(service.port);
          if (list === undefined) ports.set(service.port, [{ rule, service }]);
          else if (!list.some((s) => s.service.protocol === service.protocol)) list.push({ rule, service });
        }
      }
    }
  }
}

/** The first rule found that shadows a part of `rule`, when every part is shadowed; else null. */
function shadeOf(rule: Rule, over: (endpoint: Endpoint) => Shades[], wider: (source: Source) => Source[]): Rule | null {
  let first: Rule | null = null;
  for (const { endpoint, services } of rule.targets) {
    const nodes = over(endpoint);
    if (nodes.length === 0) return null;
    for (const source of rule.from ?? [null]) {
      const sources = source === null ? [null] : [null, ...wider(source)];
      for (const service of services) {
        const shade = findShade(nodes, sources, { rule, source, service });
        if (shade === null) return null;
        first ??= shade;
      }
    }
  }
  return first;
}

/** A later rule from one source on one service. */
interface Later {
  rule: Rule;
  source: Source | null;
  service: Service;
}

function findShade(nodes: readonly Shades[], sources: readonly (Source | null)[], later: Later): Rule | null {
  const { service } = later;
  for (const node of nodes) {
    for (const source of sources) {
      const ports = node.get(source);
      if (ports === undefined) continue;
      for (const port of service.port === null ? [null] : [null, service.port]) {
        const shade = ports.get(port)?.find((s) => covers(s, service) && coversProcess(s.rule, source, later));
        if (shade !== undefined) return shade.rule;
      }
    }
  }
  return null;
}

/** True where the earlier rule's protocol is the same or wider; its port is known to be. */
function covers(earlier: Shade, service: Service): boolean {
  const { protocol } = earlier.service;
  if (protocol === service.protocol) return true;
  if (transportOf(protocol) !== transportOf(service.protocol)) return false;
  if (protocol === "tcp" || protocol === "udp") return true;
  // A deny does not ask for the application: what shows a name meets it whichever protocol it was written for, and a
  // deny for ssh goes by bound names as well, like every opaque one.
  return earlier.rule.action === "deny" && (showsName(service.protocol) || protocol === "ssh");
}

function coversNarrowly(wider: Source, source: Source): boolean {
  return wider.process !== null && source.process !== null && coversTerm(wider.process, source.process);
}

/** True where the earlier rule is for every process that the later one is for, the unknown ones included. */
function coversProcess(earlier: Rule, wider: Source | null, { rule, source }: Later): boolean {
  const [outer, inner] = [wider?.process ?? null, source?.process ?? null];
  if (outer === null) return true;
  // A deny meets what is not known of a process, an allow does not.
  if (inner === null || (earlier.action === "allow" && rule.action === "deny")) return false;
  return coversTerm(outer, inner);
}

/** For a source, the sources (itself included) that hold its addresses; whether they hold its process is for the caller. */
function widerSources(policy: Policy): (source: Source) => Source[] {
  const table = new CidrTable<Source[]>();
  const seen = new Set(policy.sources);
  for (const { from } of policy.rules) for (const source of from ?? []) seen.add(source);
  const anywhere = [...seen].filter(({ subnets }) => subnets === null).slice(0, maxAnywhere);
  for (const source of seen) for (const subnet of source.subnets ?? []) table.getOrAdd(subnet, () => []).push(source);
  const known = new Map<Source, Source[]>();
  return (source) => {
    let result = known.get(source);
    if (result !== undefined) return result;
    let common: Set<Source> | null = null;
    for (const subnet of source.subnets ?? []) {
      const here = new Set<Source>();
      for (const entry of table.covering(subnet.address)) {
        if (entry.cidr.length > subnet.length || here.size > maxWider) continue;
        for (const each of entry.value.slice(0, maxWider)) here.add(each);
      }
      common = common === null ? here : common.intersection(here);
      if (common.size === 0) break;
    }
    const free = anywhere.filter((each) => coversNarrowly(each, source)).slice(0, maxWider);
    result = [...new Set([...(common ?? []), ...free, source])];
    known.set(source, result);
    return result;
  };
}
