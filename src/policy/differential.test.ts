/**
 * The compiled engine and the reference agree on every field of every answer, and an early answer is never one that
 * later knowledge would contradict. `SALLYPORT_CASES` sets the number of decisions compared (default 200 000); a failure
 * prints its seed, and seeds that ever failed stay in `regressions`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { connects, dnsNames, flows, now, policies, sources, targets } from "./policy.arbitrary.ts";
import { compile } from "./compile.ts";
import type { ConnectFacts, NameFacts, Protocol } from "./decision.ts";
import { isEndpointDefect, parseEndpoint } from "./endpoint.ts";
import type { Policy, Rule, Target } from "./model.ts";
import { naiveEngine } from "./naive.ts";

const decisions = Number(process.env["SALLYPORT_CASES"] ?? 200_000);
const perPolicy = 120;
const regressions = [-57914705, -76765870];
const many = { minLength: 1, maxLength: (2 * perPolicy) / 3, size: "max" } as const;

const flowSets = fc.array(flows, many);
const connectSets = fc.array(connects, many);
const questions = fc.array(fc.record({ source: sources, name: dnsNames, destination: targets }), many);

function check(share: number, run: (seed: number | undefined, numRuns: number) => void): void {
  for (const seed of regressions) run(seed, 200);
  run(undefined, Math.max(1, Math.ceil((decisions * share) / perPolicy)));
}

test("fast and reference engine agree on every decision", () => {
  check(0.9, (seed, numRuns) => {
    fc.assert(
      fc.property(policies, connectSets, flowSets, questions, (policy, connectFacts, flowFacts, asked) => {
        const naive = naiveEngine(policy, now);
        const fast = compile(policy, now);
        for (const facts of connectFacts) assert.deepEqual(fast.connect(facts), naive.connect(facts), show(facts));
        for (const facts of flowFacts) assert.deepEqual(fast.name(facts), naive.name(facts), show(facts));
        for (const { source, name, destination } of asked) {
          assert.deepEqual(fast.dns({ source, name }), naive.dns({ source, name }), show({ source, name }));
          assert.equal(fast.cidrAllows(source, destination), naive.cidrAllows(source, destination));
          assert.equal(fast.group(source), naive.group(source));
          assert.equal(fast.enforcedFor(source), naive.enforcedFor(source));
        }
      }),
      { numRuns, ...(seed === undefined ? {} : { seed }) },
    );
  });
});

test("a connect answer is never contradicted by what the flow turns out to be", () => {
  check(0.1, (seed, numRuns) => {
    fc.assert(
      fc.property(policies, connectSets, flowSets, (policy, connectFacts, flowFacts) => {
        const naive = naiveEngine(policy, now);
        const fast = compile(policy, now);
        for (const facts of [...connectFacts, ...flowFacts]) {
          const early = fast.connect(facts);
          // The reference's completions, and the random one, which is not among them when its name is a surprise.
          const later = naive.completions(facts).map((flow) => fast.name(flow));
          if (isPossible(facts)) later.push(fast.name(facts));
          if (early.answer === "not_yet") {
            assert.ok(early.hold || later.every((d) => d.passes), `released too early: ${show(facts)}`);
          } else {
            assert.ok(
              later.every((d) => d.passes === early.passes),
              `contradicted: ${show(facts)}`,
            );
          }
        }
      }),
      { numRuns, ...(seed === undefined ? {} : { seed }) },
    );
  });
});

test("a name that DNS refuses in enforce mode cannot be reached by that name", () => {
  check(0.05, (seed, numRuns) => {
    fc.assert(
      fc.property(policies, flowSets, (policy, flowFacts) => {
        const fast = compile(withoutCidrs(policy), now);
        for (const facts of flowFacts) {
          for (const name of facts.names) {
            if (fast.dns({ source: facts.source, name }).passes) continue;
            const decision = fast.name({ ...facts, names: [name], name: facts.name === null ? null : name });
            assert.ok(!decision.passes || facts.transport === "other", show(facts));
          }
        }
      }),
      { numRuns, ...(seed === undefined ? {} : { seed }) },
    );
  });
});

test("policies that told the two apart once stay settled", () => {
  const cases: Policy[] = [
    // One rule with two protocols on a name: the rule matches in every completion, though its tls item does not.
    policyOf(
      { action: "allow", mode: "monitor", targets: [on("a.example", "tls"), on("a.example", "tcp")] },
      { action: "allow", mode: "enforce", targets: [on("a.example", "tcp"), on("a.example", "tls")] },
    ),
    // A monitor rule that an earlier one always decides before is still about the name in DNS.
    policyOf(
      { action: "deny", mode: "enforce", targets: [on("*.x.a.example", "tcp")] },
      { action: "deny", mode: "monitor", targets: [on("*.x.a.example", "tcp")] },
    ),
  ];
  for (const policy of cases) {
    const naive = naiveEngine(policy, now);
    const fast = compile(policy, now);
    fc.assert(
      fc.property(flows, sources, dnsNames, (facts, source, name) => {
        assert.deepEqual(fast.connect(facts), naive.connect(facts));
        assert.deepEqual(fast.name(facts), naive.name(facts));
        assert.deepEqual(fast.dns({ source, name }), naive.dns({ source, name }));
      }),
      { numRuns: 2000 },
    );
  }
});

function on(text: string, protocol: Protocol): Target {
  const parsed = parseEndpoint(text);
  assert.ok(!isEndpointDefect(parsed));
  return { endpoint: parsed.endpoint, services: [{ port: null, protocol }] };
}

function policyOf(...rules: Pick<Rule, "action" | "mode" | "targets">[]): Policy {
  const rest = {
    tier: 2,
    monitorUntil: null,
    expires: null,
    ech: null,
    uploadLimit: null,
    reason: null,
    owner: null,
    from: null,
    column: 1,
  } as const;
  return {
    hash: "0".repeat(64),
    file: "case.yaml",
    sources: [],
    rules: rules.map((rule, i) => ({ ...rest, ...rule, name: `rule ${i}`, line: i + 1 })),
    default: { mode: "monitor", enforceFor: [] },
  };
}

/** True where the flow's application is one its transport can carry. */
function isPossible(facts: ConnectFacts | NameFacts): facts is NameFacts {
  if (!("application" in facts)) return false;
  const { application, transport } = facts;
  return application === "other" || (application === "quic" ? transport === "udp" : transport === "tcp");
}

function withoutCidrs(policy: Policy): Policy {
  const rules = policy.rules.map((rule) => ({
    ...rule,
    targets: rule.targets.filter(({ endpoint }) => endpoint.kind === "name"),
  }));
  return { ...policy, rules };
}

function show(facts: object): string {
  return JSON.stringify(facts);
}
