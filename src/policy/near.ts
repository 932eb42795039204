/**
 * The rules that nearly decided a flow, and what kept each from it: the question people ask at night is not "which rule
 * denied this" (the default did) but "why did my rule not match". Reports only; the evaluators never call this. Whether a
 * rule matches is asked of the reference evaluator, so only the words can be wrong here, not the facts.
 */
import { cidrContains } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import { formatAddress } from "../address/ip.ts";
import { formatPattern, matchesLabel, matchesPattern } from "../address/pattern.ts";
import type { Pattern } from "../address/pattern.ts";
import { specialClass } from "../address/special.ts";
import { registrableDomain } from "../address/suffix.ts";
import type { NameFacts, Protocol } from "./decision.ts";
import { appliesAt, holdsAddress, modeAt } from "./model.ts";
import type { Endpoint, Policy, Rule, Service } from "./model.ts";
import { naiveEngine } from "./naive.ts";
import { meetsProcess, termText } from "./process.ts";
import type { ProcessTerm } from "./process.ts";
import { nearest } from "./problem.ts";
import { accepts, transportOf } from "./protocol.ts";
import { timeText } from "./wording.ts";

/** One thing that kept a rule from deciding. */
export interface Miss {
  readonly what: "endpoint" | "source" | "process" | "port" | "protocol" | "private" | "expired" | "monitor" | "order";
  readonly why: string;
  readonly fix: string;
}

/** A rule that came close, with everything that kept it from deciding. */
export interface NearRule {
  readonly rule: Rule;
  readonly misses: readonly Miss[];
}

/** What of a flow the misses are told about. `protocol` is the one that was asked about. */
export interface NearFlow {
  readonly facts: NameFacts;
  readonly protocol: Protocol;
  /** Nobody asked for that very protocol. */
  readonly isAssumed: boolean;
  /** The name asked about; also where the protocol shows none. */
  readonly name: string | null;
  /** False where the address only stands for wherever the name is. */
  readonly isAt: boolean;
  /** How the source is called. */
  readonly source: string;
  /** What is known of the process, in words; null: nothing. */
  readonly process: string | null;
}

/**
 * The rules with `action` that came close, closest first. `decider` is the rule that decided, null for the default.
 */
export function nearRules(
  policy: Policy,
  now: number,
  flow: NearFlow,
  action: "allow" | "deny",
  decider: Rule | null,
): NearRule[] {
  const place = decider === null ? Infinity : policy.rules.indexOf(decider);
  const found: NearRule[] = [];
  for (const [i, rule] of policy.rules.entries()) {
    if (rule.action !== action || rule === decider) continue;
    const misses = missesOf(policy, rule, now, flow, decider !== null && i > place ? decider : null);
    if (misses !== null && misses.length > 0) found.push({ rule, misses });
  }
  return found.toSorted((a, b) => weight(a) - weight(b));
}

/** A rule that matches and was only too late or watching is closest; a name that only resembles another the least close. */
function weight({ misses }: NearRule): number {
  return misses.reduce(
    (sum, { what }) => sum + (what === "endpoint" ? 3 : what === "order" || what === "monitor" ? 1 : 2),
    0,
  );
}

function missesOf(policy: Policy, rule: Rule, now: number, flow: NearFlow, before: Rule | null): Miss[] | null {
  const late = timeMisses(rule, now);
  if (matchesAlone(policy, rule, now, flow.facts)) {
    if (late.length === 0 && before !== null) {
      const why = `it matches, but “${before.name}” on line ${before.line} comes first`;
      late.push({ what: "order", why, fix: `Move it before “${before.name}”.` });
    }
    return late;
  }
  const source = sourceMiss(rule, flow);
  // Where nobody said a protocol, another one of the same transport is worth a word only when nothing else is wrong.
  const isWorthwhile = ({ what }: Miss, _: number, all: Miss[]) =>
    what !== "protocol" || !flow.isAssumed || all.every((miss) => miss.what === "protocol");
  let best: Miss[] | null = null;
  for (const { endpoint, services } of rule.targets) {
    const where = endpointMiss(endpoint, flow);
    if (where === null) continue;
    for (const service of services) {
      const misses = [...where, ...source, ...serviceMiss(endpoint, service, flow), ...late].filter(isWorthwhile);
      if (best === null || misses.length < best.length) best = misses;
    }
  }
  // A name that only resembles the one asked for says nothing where other things differ, too.
  const isFar = best !== null && best[0]?.what === "endpoint" && best.length > 1 + late.length;
  return isFar ? null : best;
}

/** True where the rule, as if it were alone, enforced and without a date, decides the flow. */
function matchesAlone(policy: Policy, rule: Rule, now: number, facts: NameFacts): boolean {
  const alone = { ...rule, mode: "enforce", monitorUntil: null, expires: null } as const;
  return naiveEngine({ ...policy, rules: [alone] }, now).name(facts).rule !== null;
}

function timeMisses(rule: Rule, now: number): Miss[] {
  if (!appliesAt(rule, now)) {
    const why = `it expired (${timeText(rule.expires!)})`;
    return [{ what: "expired", why, fix: "Give it a later date, or remove expires." }];
  }
  if (modeAt(rule, now) === "enforce") return [];
  const until = rule.monitorUntil === null ? "" : ` until ${timeText(rule.monitorUntil)}`;
  const why = `it is in monitor mode${until}: noted, and evaluation goes on`;
  return [{ what: "monitor", why, fix: "Remove mode: monitor, and monitor_until where it stands." }];
}

function sourceMiss({ from, action }: Rule, { facts, source, process }: NearFlow): Miss[] {
  if (from === null) return [];
  const here = from.filter((s) => holdsAddress(s, facts.source));
  if (here.length > 0) {
    const isMet = (term: ProcessTerm | null) => term === null || meetsProcess(term, action === "allow", facts.process);
    if (here.some((s) => isMet(s.process))) return [];
    const asked = here.map((s) => termText(s.process!)).join(", or ");
    const why = `it is for ${asked}, not for ${process ?? "a process that is not known"}`;
    const fix = process === null ? "Say the process: --step, --action, --exe." : "Add the process to its from.";
    return [{ what: "process", why, fix }];
  }
  const names = from.map((s) => s.name).join(", ");
  const address = formatAddress(facts.source);
  const why = `it is for ${names}, not for ${source === "any" ? "every source" : source}`;
  const fix = source === "any" ? "Remove its from." : `Add ${source === address ? address : source} to its from.`;
  return [{ what: "source", why, fix }];
}

function serviceMiss(endpoint: Endpoint, { port, protocol }: Service, flow: NearFlow): Miss[] {
  const { facts, isAt } = flow;
  const misses: Miss[] = [];
  const isTransport = transportOf(protocol) === facts.transport;
  if (port !== null && port !== facts.port && facts.port !== 0) {
    const why = `on ${endpoint.text} it is for port ${port}, not ${facts.port}`;
    misses.push({ what: "port", why, fix: `Add port ${facts.port} to it, if that is meant.` });
  }
  if (!isTransport || !accepts(protocol, facts.transport, facts.application)) {
    const why = `on ${endpoint.text} it takes ${protocol}, not ${flow.protocol}`;
    misses.push({ what: "protocol", why, fix: `Write another rule with protocol: ${flow.protocol}.` });
  }
  if (isAt && endpoint.kind === "name" && specialClass(facts.destination) !== null) {
    const address = formatAddress(facts.destination);
    const why = `${address} is ${specialText(specialClass(facts.destination)!)}, and no rule on a name reaches that`;
    misses.push({ what: "private", why, fix: "Write the address as a CIDR endpoint." });
  }
  return misses;
}

function specialText(kind: NonNullable<ReturnType<typeof specialClass>>): string {
  const words = {
    link_local: "a link-local address",
    metadata: "a metadata service",
    embedded: "an embedded IPv4 address",
  };
  return kind in words ? words[kind as keyof typeof words] : `a ${kind} address`;
}

/** No miss, one where the endpoint is not far from what was asked for, or null where it has nothing to do with it. */
function endpointMiss(endpoint: Endpoint, { facts, name, isAt }: NearFlow): Miss[] | null {
  if (endpoint.kind === "cidr") {
    if (name !== null && !isAt) return null;
    if (cidrContains(endpoint.cidr, facts.destination)) return [];
    if (!cidrContains(widened(endpoint.cidr), facts.destination)) return null;
    const why = `${endpoint.text} does not hold ${formatAddress(facts.destination)}`;
    return [{ what: "endpoint", why, fix: "Widen the prefix, if it is meant." }];
  }
  if (name === null) return null;
  if (matchesPattern(endpoint.pattern, name)) return [];
  const why = patternMiss(endpoint.pattern, endpoint.text, name);
  return why === null ? null : [{ what: "endpoint", why, fix: `Add ${name} to it, if it is meant.` }];
}

/** The prefix, four bits wider. */
function widened({ address, length }: Cidr): Cidr {
  return { address, length: Math.max(0, length - 4) };
}

/** Why a pattern does not match a name that it is near to; null where it is not near. */
function patternMiss(pattern: Pattern, text: string, name: string): string | null {
  const labels = name.split(".");
  const extra = labels.length - pattern.labels.length;
  const isSuffix = extra >= 0 && pattern.labels.every((label, i) => matchesLabel(label, labels[extra + i]!));
  if (pattern.deep && extra === 0 && isSuffix) return `${text} does not match ${name} itself`;
  if (isSuffix && !pattern.deep) {
    const first = pattern.labels[0];
    if (first?.kind === "star")
      return `${text} stands for one label where ${name} has ${extra + 1}; ** takes any number`;
    return `${text} does not include the names below it`;
  }
  if (extra === 0 || (pattern.deep && extra > 0)) {
    const odd = pattern.labels.flatMap((label, i) => (matchesLabel(label, labels[extra + i]!) ? [] : [label]));
    if (odd.length === 1 && odd[0]!.kind === "range") return `${name} is outside of the range in ${text}`;
    if (odd.length === 1 && odd[0]!.kind === "star" && labels.length > 1) return `${text} does not match ${name}`;
  }
  const plain = formatPattern({ deep: false, labels: pattern.labels });
  if (nearest(name, [plain]) !== null && isOneSlip(name, plain)) return `it says ${text}, not ${name}`;
  const domain = registrableDomain(name);
  if (domain === null || domain !== registrableDomain(plain.replaceAll(/[*{}]/g, "x"))) return null;
  return `it says ${text}, not ${name}`;
}

/** `nearest` is generous with long words; a slip of the pen is one short stretch that differs. */
function isOneSlip(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let head = 0;
  while (head < Math.min(a.length, b.length) && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - head && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  return Math.max(a.length, b.length) - head - tail <= 3;
}
