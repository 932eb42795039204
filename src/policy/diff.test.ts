/**
 * A difference is about decisions. A policy does not differ from itself, whatever its text; and no flow to one name or to
 * a bare address changes its verdict or its rule without a line that tells it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cidrContains, isCidrDefect, parseCidr } from "../address/cidr.ts";
import { isPatternDefect, matchesPattern, parsePattern } from "../address/pattern.ts";
import { parseAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import { specialClass } from "../address/special.ts";
import { compile } from "./compile.ts";
import type { Decision, NameFacts } from "./decision.ts";
import { diffPolicies } from "./diff.ts";
import type { DiffGroup, DiffLine, DiffReport, Spoken } from "./diff-lines.ts";
import { diffText } from "./diff-text.ts";
import { holdsAddress } from "./model.ts";
import type { Policy } from "./model.ts";
import { flows, now, policies } from "./policy.arbitrary.ts";
import { applicationsOf, showsName } from "./protocol.ts";
import { meetsProcess } from "./process.ts";
import { cidrsOf, ordinaryAddress, sourcesOf } from "./question.ts";
import { elsewhereSpecial, liveRules } from "./universe.ts";

const numRuns = Number(process.env["SALLYPORT_CASES"] ?? 200_000) / 2000;

/** Two policies that share rules: the second has some taken out, some moved, and some of another one. */
const pairs = fc
  .tuple(policies, policies, fc.array(fc.nat(9), { minLength: 40, maxLength: 40 }))
  .map(([a, c, dice]): [Policy, Policy] => {
    let at = 0;
    const roll = () => dice[at++ % dice.length]!;
    const rules = a.rules.filter(() => roll() > 1);
    for (const rule of c.rules)
      if (roll() > 6) rules.splice(roll() % (rules.length + 1), 0, { ...rule, name: `new ${rule.name}` });
    return [a, { ...a, rules, default: roll() > 7 ? c.default : a.default }];
  });

test("a policy does not differ from itself", () => {
  fc.assert(
    fc.property(policies, (policy) => {
      const report = diffPolicies(policy, { ...policy }, now);
      assert.equal(report.differs, false, diffText(report));
    }),
    { numRuns },
  );
});

test("every flow that is decided differently is on a line", () => {
  fc.assert(
    fc.property(pairs, fc.array(flows, { minLength: 60, maxLength: 60 }), ([a, b], list) => {
      // Few pairs come near the default limit, but among very many one may pass it.
      const report = diffPolicies(a, b, now, 10_000_000);
      assert.equal(report.cut, false);
      const [before, after] = [compile(a, now), compile(b, now)];
      for (const flow of list.map(simple)) {
        const [was, is] = [before.name(flow), after.name(flow)];
        const isSameRule = was.rule?.name === is.rule?.name || isCovered(a, b, flow);
        if (was.verdict === is.verdict && (isSameRule || isByDefault(was, is))) continue;
        assert.ok(
          isTold(report, a, b, flow, was, is),
          `${JSON.stringify(flow)}\n${show(was)} -> ${show(is)}\n${diffText(report)}`,
        );
      }
    }),
    { numRuns },
  );
});

test("what a line says of an exact name is what the policies decide", () => {
  let lines = 0;
  fc.assert(
    fc.property(pairs, ([a, b]) => {
      const [before, after] = [compile(a, now), compile(b, now)];
      const destination = ordinaryAddress(
        [a, b].flatMap(({ rules }) => rules.flatMap(({ targets }) => cidrsOf(targets))),
      );
      for (const group of diffPolicies(a, b, now).groups) {
        for (const { name, at, shape, sources, spoken } of group.lines) {
          if (name === null || /[*{]/.test(name) || at !== null || shape !== "plain") continue;
          for (const { address, process } of sources ?? [{ address: null, process: null }]) {
            const source = parseAddress(address ?? "192.0.2.200")!;
            for (const facts of spoken.flatMap((each) => flowsOf(each, { source, process, destination }, name))) {
              assertSide(group.before, before.name(facts));
              assertSide(group.after, after.name(facts));
              lines++;
            }
          }
        }
      }
    }),
    { numRuns },
  );
  assert.ok(lines > 0);
});

function flowsOf(
  spoken: Spoken,
  who: Pick<NameFacts, "source" | "process" | "destination">,
  host: string,
): NameFacts[] {
  const { transport, applications } = spoken;
  const ports = transport === "icmp" ? [0] : spoken.ports === "*" ? [65_000] : spoken.ports;
  return ports.flatMap((port) =>
    applications.map((application) => ({
      ...who,
      local: false,
      transport,
      port,
      names: [host],
      application,
      name: showsName(application) ? host : null,
      ech: false,
    })),
  );
}

function assertSide(side: DiffGroup["before"], decision: Decision): void {
  assert.equal(decision.verdict, side.verdict);
  assert.equal(decision.rule?.name, side.rule?.name);
}

test("a comparison that is cut says so", () => {
  const [a, b] = fc.sample(pairs, { numRuns: 200, seed: 1 }).find(([a, b]) => diffPolicies(a, b, now).flows > 100)!;
  const report = diffPolicies(a, b, now, 50);
  assert.equal(report.cut, true);
  assert.match(diffText(report), /too big to compare whole/);
});

/** One bound name at most, and no other one shown; not the gateway itself, and a transport that rules know. */
function simple(flow: NameFacts): NameFacts {
  const names = flow.names.slice(0, 1);
  const name = names.length === 0 || flow.name === null ? flow.name : names[0]!;
  const transport = flow.transport === "other" ? "tcp" : flow.transport;
  const application = applicationsOf[transport].includes(flow.application)
    ? flow.application
    : applicationsOf[transport][0]!;
  const isShown = application === "tls" || application === "http" || application === "quic";
  const port = transport === "icmp" ? 0 : flow.port;
  return { ...flow, local: false, names, name: isShown ? name : null, transport, application, port };
}

/** A name at an address of a CIDR endpoint: there only verdicts are promised. */
function isCovered(a: Policy, b: Policy, { names, name, destination }: NameFacts): boolean {
  const cidrs = [a, b].flatMap((policy) => liveRules(policy, now).flatMap(({ targets }) => cidrsOf(targets)));
  return (names.length > 0 || name !== null) && cidrs.some((cidr) => cidrContains(cidr, destination));
}

function isTold(report: DiffReport, a: Policy, b: Policy, flow: NameFacts, was: Decision, is: Decision): boolean {
  if (isByDefault(was, is)) {
    return report.defaults.some(({ sources, kind }) => (kind === "opens") === is.passes && isFrom(sources, a, b, flow));
  }
  const isLoose = isCovered(a, b, flow);
  const isSide = (side: DiffGroup["before"], decision: Decision) =>
    side.verdict === decision.verdict && (isLoose || side.rule?.name === decision.rule?.name);
  return report.groups.some(
    ({ kind, before, after, lines }) =>
      isSide(before, was) &&
      isSide(after, is) &&
      lines.some((line) => isAbout(line, a, b, flow, kind === "rule" || isDenial(before) || isDenial(after))),
  );
}

/** Nothing lets the flow through on either side: no rule matched, or one that leaves Encrypted Client Hello to the default. */
function isByDefault(was: Decision, is: Decision): boolean {
  return was.reason !== "rule" && is.reason !== "rule";
}

function isDenial({ rule }: DiffGroup["before"]): boolean {
  return rule?.action === "deny";
}

/** Denials are liberal, so a line about one speaks for every protocol where the name is odd or the address special. */
function isAbout(line: DiffLine, a: Policy, b: Policy, flow: NameFacts, isLiberal: boolean): boolean {
  const isOdd = flow.names.length === 0 || flow.name === null || specialClass(flow.destination) !== null;
  const isSaid = line.spoken.some((spoken) => isSpoken(spoken, flow, isLiberal && isOdd));
  return isSaid && isFrom(line.sources, a, b, flow) && isTo(line, flow);
}

function isTo({ name, at }: DiffLine, flow: NameFacts): boolean {
  const shown = flow.names[0] ?? flow.name;
  if (name !== null) {
    const pattern = parsePattern(name);
    assert.ok(!isPatternDefect(pattern));
    if (shown === null || !matchesPattern(pattern, shown)) return false;
  }
  if (at === null || at === elsewhereSpecial) return true;
  const cidr = parseCidr(at);
  assert.ok(!isCidrDefect(cidr));
  return cidrContains(cidr, flow.destination);
}

function isSpoken(
  { transport, applications, ports, except_ports }: Spoken,
  flow: NameFacts,
  isLoose: boolean,
): boolean {
  if (transport !== flow.transport || (!isLoose && !applications.includes(flow.application))) return false;
  if (flow.port === 0) return true;
  if (ports === "*") return !except_ports.includes(flow.port);
  return ports.includes(flow.port);
}

/** True where the flow's address and process are in exactly the sources that the line's examples are in. */
function isFrom(sources: DiffLine["sources"], a: Policy, b: Policy, { source, process }: NameFacts): boolean {
  if (sources === null) return true;
  const every = [a, b].flatMap(sourcesOf);
  const placeKey = (address: Address) => every.map((s) => s.subnets === null || holdsAddress(s, address)).join();
  const live = [a, b].flatMap((policy) => liveRules(policy, now));
  const roleKey = (facts: NameFacts["process"]) =>
    live
      .flatMap(({ from, action }) =>
        (from ?? []).map((s) => s.process === null || meetsProcess(s.process, action === "allow", facts)),
      )
      .join();
  return sources.some(
    (each) =>
      (each.address === null || placeKey(parseAddress(each.address)!) === placeKey(source)) &&
      (each.process === null || roleKey(each.process) === roleKey(process)),
  );
}

function show({ verdict, rule }: Decision): string {
  return `${verdict} ${rule?.name ?? "default"}`;
}
