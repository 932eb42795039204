/**
 * The reference evaluator: what a policy means, written to be obviously right and nothing else. The compiled engine must
 * agree with it on every input; tests hold the two against each other. Nobody runs this one on packets.
 *
 * **A complete flow** is everything that can be known: source, process, destination address and port, transport, the names our
 * DNS handed that address out for (the *bound* names), the application that the first bytes turned out to be, and the name
 * they show, if any. Evaluation goes through the permits (tier 1), then the rules (tier 2), in order. Rules past their
 * `expires` are not there; a monitor rule past its `monitor_until` is an enforce rule. A matching monitor rule is noted
 * and evaluation goes on; the first matching enforce rule decides. If none does, the default (tier 3) denies: enforced,
 * or as would_deny where neither its mode nor `enforce_for` says enforce for this source.
 *
 * **A rule matches** a flow when its `from` holds the source (left out: every source) and one of its endpoints matches on
 * one of its services. A source holds an address of its subnets (none: any address) whose process is what it asks for (nothing:
 * any process). What is not known of a process is not what an allow rule asks for, and is what a deny rule does (`process.ts`).
 * A service's port must be the flow's (`*`: any; icmp has none) and its transport the flow's. Then:
 *
 * - *allow, name*: the destination is neither local nor special (`address/special.ts`), and: for tls, http and quic, the
 *   application is that protocol, it shows a name, the pattern matches that name, and the name is bound; for ssh, the
 *   application is ssh and a bound name matches; for tcp, udp and icmp, a bound name matches.
 * - *allow, CIDR*: the prefix covers the destination, and for tls, http, quic and ssh the application is that protocol.
 *   Local and special destinations included: only a CIDR rule can reach them.
 * - *deny, name*: liberal, so that garbage bytes cannot evade it: the application is not asked. For tls, http and quic,
 *   the shown name matches, or none is shown and a bound name matches. For ssh, tcp, udp and icmp, the shown name or any
 *   bound name matches.
 * - *deny, CIDR*: the prefix covers the destination.
 *
 * **Encrypted Client Hello.** A match of an allow rule by one endpoint on a tls or quic service does not let a flow with it
 * through where the rule says `ech: deny`; where it says nothing, for a name endpoint and a shown name on a known front
 * (`ech.ts`). A rule that matches a flow, but only in such ways, decides it like any other, and the decision is to deny it
 * with reason `ech`: no later rule is asked. It is enforced where the default is, else would_deny: an allow rule never
 * refuses what would pass without it. A monitor rule is noted as always.
 *
 * **The default's reason** is the first that holds. "An allow rule" is one in enforce mode for this source and process with a service
 * on this port and transport:
 * 1. `protocol_denied`: the transport is icmp or other.
 * 2. `not_protocol`: a CIDR of an allow rule covers the destination (so only its protocol can have failed).
 * 3. `private_address`: the destination is local or special.
 * 4. `name_mismatch`: a name is shown, and an allow rule's pattern matches it for this application: it is not bound.
 * 5. `missing_name`: tls, http or quic shows no name, and an allow rule for that protocol matches a bound name.
 * 6. `no_name`: no name is shown and none is bound.
 * 7. `not_protocol`: an allow rule matches a bound name, but not for this application.
 * 8. `default`.
 *
 * **connect** knows everything but application and name, and asks about every completion: each application the transport
 * can carry; for tls, http and quic each bound name, no name, a name that no pattern but `**` matches, and for every
 * pattern a name it matches (unbound where there is one); no name for the others; tls and quic with Encrypted Client Hello
 * and without. Each answers as above.
 * - No completion passes: deny now, with the answer for application other and no name.
 * - All are allowed by one rule with the same monitored rules: allow now.
 * - There is only one completion (icmp, other): its answer.
 * - Else not yet, `hold` where some completion does not pass.
 *
 * **dns** knows a source and a name, and asks about every completion: each transport with each application, each port that
 * the policy mentions and one that it does not, towards a public address that no CIDR covers, bound to just that name,
 * which is shown where the application shows names, without Encrypted Client Hello. Whose the flow will be is not known (the
 * asker is often a resolver of the system's): an allow rule's processes are taken for any process, and of a deny rule the sources
 * that ask for a process are not there. If one is allowed: allow, by the first rule in order that allows one. Else if one
 * passes (the default is not enforced): would_deny. Else deny, by the first enforced deny rule whose pattern
 * matches the name for this source, or the default. `monitored` holds the monitor rules whose pattern matches the name for
 * this source, before the deciding rule.
 */
import { cidrContains } from "../address/cidr.ts";
import type { Address } from "../address/ip.ts";
import { example, matchesPattern } from "../address/pattern.ts";
import type { Pattern } from "../address/pattern.ts";
import { specialClass } from "../address/special.ts";
import { carriesEch, refusesEch } from "./ech.ts";
import type { ConnectFacts, Decision, DnsFacts, Engine, NameFacts, NotYet, RuleRef, Stage } from "./decision.ts";
import { appliesAt, asksProcessAt, enforcesAt, holdsAddress, isFrom, modeAt, withoutProcesses } from "./model.ts";
import type { Endpoint, Policy, Rule, Service } from "./model.ts";
import { accepts, applicationsOf, showsName, transportOf } from "./protocol.ts";
import type { Reason } from "./reason.ts";

/** `destination` null: a public address that no CIDR of the policy covers. */
type Flow = Omit<NameFacts, "destination"> & { destination: Address | null };

interface Live {
  rule: Rule;
  ref: RuleRef;
  enforce: boolean;
}

/** The reference engine for a policy as it stands at `now` (milliseconds since the epoch). */
export function naiveEngine(policy: Policy, now: number): NaiveEngine {
  return new NaiveEngine(policy, now);
}

/** An engine that can also name the completions a `connect` question ranges over. */
export class NaiveEngine implements Engine {
  readonly hash: string;
  readonly enforces: boolean;
  readonly asksProcess: boolean;
  readonly #policy: Policy;
  readonly #rules: Live[];
  /** As they are where nobody knows whose a flow will be. */
  readonly #dnsRules: Live[];

  constructor(policy: Policy, now: number) {
    this.hash = policy.hash;
    this.enforces = enforcesAt(policy, now);
    this.asksProcess = asksProcessAt(policy, now);
    this.#policy = policy;
    this.#rules = policy.rules
      .filter((rule) => appliesAt(rule, now))
      .map((rule) => {
        const { name, tier, action, reason, line, column } = rule;
        const mode = modeAt(rule, now);
        return { rule, ref: { name, tier, mode, action, reason, line, column }, enforce: mode === "enforce" };
      });
    this.#dnsRules = this.#rules.flatMap((live) => {
      const rule = withoutProcesses(live.rule);
      return rule === null ? [] : [{ ...live, rule }];
    });
  }

  group(source: Address): string | null {
    return this.#policy.sources.find((s) => s.process === null && holdsAddress(s, source))?.name ?? null;
  }

  enforcedFor(source: Address): boolean {
    const { mode, enforceFor } = this.#policy.default;
    return mode === "enforce" || enforceFor.some((s) => holdsAddress(s, source));
  }

  cidrAllows(source: Address, destination: Address): boolean {
    return this.#rules.some(
      ({ rule, enforce }) =>
        enforce &&
        rule.action === "allow" &&
        (rule.from === null || rule.from.some((s) => holdsAddress(s, source))) &&
        rule.targets.some(({ endpoint }) => endpoint.kind === "cidr" && cidrContains(endpoint.cidr, destination)),
    );
  }

  name(facts: NameFacts): Decision {
    return this.#evaluate(facts, "name");
  }

  connect(facts: ConnectFacts): Decision | NotYet {
    const outcomes = this.completions(facts).map((flow) => this.#evaluate(flow, "connect"));
    const plain = this.#evaluate({ ...facts, application: "other", name: null, ech: false }, "connect");
    if (outcomes.length === 1 || outcomes.every((o) => !o.passes)) return plain;
    const [first] = outcomes;
    const alike = (o: Decision) =>
      o.answer === "allow" &&
      o.rule === first!.rule &&
      o.monitored.length === first!.monitored.length &&
      o.monitored.every((ref, i) => ref === first!.monitored[i]);
    if (outcomes.every(alike)) return plain;
    return { answer: "not_yet", hold: outcomes.some((o) => !o.passes) };
  }

  /** Every way the flow could go on. Also what the tests hold a settled answer against. */
  completions(facts: ConnectFacts): NameFacts[] {
    const bound = new Set(facts.names);
    const patterns = this.#rules.flatMap(({ rule }) => namePatterns(rule));
    const shown = new Set<string | null>([...facts.names, null, freshName(patterns, bound)]);
    for (const pattern of patterns) shown.add(example(pattern, bound) ?? example(pattern));
    return applicationsOf[facts.transport].flatMap((application) =>
      (showsName(application) ? [...shown] : [null]).flatMap((name) =>
        (application !== "other" && carriesEch(application) ? [false, true] : [false]).map((ech) => ({
          ...facts,
          application,
          name,
          ech,
        })),
      ),
    );
  }

  dns(facts: DnsFacts): Decision {
    const { source, name } = facts;
    const outcomes = this.#dnsCompletions(facts).map((flow) => this.#evaluate(flow, "dns", this.#dnsRules));
    const about = this.#dnsRules.filter(
      ({ rule }) => isFrom(rule, source, null) && namePatterns(rule).some((p) => matchesPattern(p, name)),
    );
    const settle = (by: Live | null, outcome: Partial<Decision>): Decision => {
      const before = by === null ? about : about.slice(0, about.indexOf(by));
      const monitored = before.filter((live) => !live.enforce).map((live) => live.ref);
      return { ...this.#default(source, "default", "dns"), ...outcome, monitored };
    };
    const byRule = (live: Live): Decision => settle(live, this.#byRule(live.ref, "dns", []));
    const allowing = about.find((live) => outcomes.some((o) => o.answer === "allow" && o.rule === live.ref));
    if (allowing !== undefined) return byRule(allowing);
    if (outcomes.some((o) => o.passes)) return settle(null, {});
    const denying = about.find((live) => live.enforce && live.rule.action === "deny");
    return denying === undefined ? settle(null, {}) : byRule(denying);
  }

  #dnsCompletions({ source, name }: DnsFacts): Flow[] {
    const ports = new Set<number>();
    for (const { rule } of this.#rules) {
      for (const { services } of rule.targets) for (const { port } of services) if (port !== null) ports.add(port);
    }
    let unmentioned = 1;
    while (ports.has(unmentioned)) unmentioned++;
    ports.add(unmentioned);
    return (["tcp", "udp", "icmp"] as const).flatMap((transport) =>
      applicationsOf[transport].flatMap((application) =>
        [...ports].map((port) => ({
          source,
          process: null,
          destination: null,
          local: false,
          transport,
          port,
          names: [name],
          application,
          name: showsName(application) ? name : null,
          ech: false,
        })),
      ),
    );
  }

  #evaluate(flow: Flow, stage: Stage, rules: readonly Live[] = this.#rules): Decision {
    const monitored: RuleRef[] = [];
    for (const { rule, ref, enforce } of rules) {
      if (!matches(rule, flow)) continue;
      if (!enforce) monitored.push(ref);
      else if (rule.action === "deny" || matches(rule, flow, true)) return this.#byRule(ref, stage, monitored);
      else return this.#byEch(ref, flow.source, stage, monitored);
    }
    return { ...this.#default(flow.source, this.#reason(flow), stage), monitored };
  }

  #byRule(rule: RuleRef, stage: Stage, monitored: readonly RuleRef[]): Decision {
    return {
      answer: rule.action,
      verdict: rule.action,
      enforced: true,
      passes: rule.action === "allow",
      reason: "rule",
      stage,
      tier: rule.tier,
      rule,
      monitored,
      policy: this.hash,
    };
  }

  #byEch(rule: RuleRef, source: Address, stage: Stage, monitored: readonly RuleRef[]): Decision {
    return { ...this.#default(source, "ech", stage), tier: rule.tier, rule, monitored };
  }

  #default(source: Address, reason: Reason, stage: Stage): Decision {
    const enforced = this.enforcedFor(source);
    return {
      answer: "deny",
      verdict: enforced ? "deny" : "would_deny",
      enforced,
      passes: !enforced,
      reason,
      stage,
      tier: 3,
      rule: null,
      monitored: [],
      policy: this.hash,
    };
  }

  #reason(flow: Flow): Reason {
    const { transport, application, name, names } = flow;
    const some = (test: (endpoint: Endpoint, service: Service) => boolean): boolean =>
      this.#rules.some(
        ({ rule, enforce }) =>
          enforce &&
          rule.action === "allow" &&
          isFrom(rule, flow.source, flow.process) &&
          rule.targets.some((t) => t.services.some((s) => serves(s, flow) && test(t.endpoint, s))),
      );
    const isBound = (endpoint: Endpoint) =>
      endpoint.kind === "name" && names.some((n) => matchesPattern(endpoint.pattern, n));

    if (transport === "icmp" || transport === "other") return "protocol_denied";
    if (some((e) => e.kind === "cidr" && covers(e, flow.destination))) return "not_protocol";
    if (!isReachable(flow)) return "private_address";
    const mismatch = (e: Endpoint, s: Service) =>
      e.kind === "name" && matchesPattern(e.pattern, name!) && accepts(s.protocol, transport, application);
    if (name !== null && some(mismatch)) return "name_mismatch";
    const wants = (e: Endpoint, s: Service) => isBound(e) && s.protocol === application;
    if (name === null && showsName(application) && some(wants)) return "missing_name";
    if (name === null && names.length === 0) return "no_name";
    if (some((e, s) => isBound(e) && !accepts(s.protocol, transport, application))) return "not_protocol";
    return "default";
  }
}

function namePatterns(rule: Rule): Pattern[] {
  return rule.targets.flatMap(({ endpoint }) => (endpoint.kind === "name" ? [endpoint.pattern] : []));
}

function covers(endpoint: Endpoint, destination: Address | null): boolean {
  return endpoint.kind === "cidr" && destination !== null && cidrContains(endpoint.cidr, destination);
}

/** True where name rules may reach the destination. */
function isReachable(flow: Flow): boolean {
  return !flow.local && (flow.destination === null || specialClass(flow.destination) === null);
}

function serves(service: Service, flow: Flow): boolean {
  return transportOf(service.protocol) === flow.transport && (service.port === null || service.port === flow.port);
}

/** `letThrough`: only by an endpoint and service that let the flow's hello through. */
function matches(rule: Rule, flow: Flow, letThrough = false): boolean {
  return (
    isFrom(rule, flow.source, flow.process) &&
    rule.targets.some(({ endpoint, services }) =>
      services.some(
        (service) =>
          serves(service, flow) &&
          !(letThrough && flow.ech && refusesEch(rule.ech, endpoint.kind, service.protocol, flow.name)) &&
          (rule.action === "allow" ? allows(endpoint, service, flow) : denies(endpoint, service, flow)),
      ),
    )
  );
}

function allows(endpoint: Endpoint, { protocol }: Service, flow: Flow): boolean {
  if (!accepts(protocol, flow.transport, flow.application)) return false;
  if (endpoint.kind === "cidr") return covers(endpoint, flow.destination);
  if (!isReachable(flow)) return false;
  if (!showsName(protocol)) return flow.names.some((name) => matchesPattern(endpoint.pattern, name));
  return flow.name !== null && matchesPattern(endpoint.pattern, flow.name) && flow.names.includes(flow.name);
}

function denies(endpoint: Endpoint, { protocol }: Service, flow: Flow): boolean {
  if (endpoint.kind === "cidr") return covers(endpoint, flow.destination);
  const shown = flow.name !== null && matchesPattern(endpoint.pattern, flow.name);
  const bound = flow.names.some((name) => matchesPattern(endpoint.pattern, name));
  return showsName(protocol) ? shown || (flow.name === null && bound) : shown || bound;
}

/** A name that no pattern matches but bare `**` (every other pattern ends in a literal or numbered label), unbound. */
function freshName(patterns: readonly Pattern[], bound: ReadonlySet<string>): string {
  for (let i = 0; ; i++) {
    const name = `fresh.name-${i}`;
    if (!bound.has(name) && patterns.every((p) => (p.deep && p.labels.length === 0) || !matchesPattern(p, name))) {
      return name;
    }
  }
}
