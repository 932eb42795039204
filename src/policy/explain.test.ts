/**
 * An explanation is not a second opinion: its stages and its verdict are the engine's. The rules it says came close did not
 * decide, for the reason given; and the change it offers allows what was asked.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatAddress } from "../address/ip.ts";
import { runCases, readCases } from "./cases.ts";
import { compile } from "./compile.ts";
import type { NameFacts, Protocol } from "./decision.ts";
import { explain } from "./explain.ts";
import { explainText } from "./explain-text.ts";
import { isPolicyProblems } from "./load.ts";
import { carriesEch } from "./ech.ts";
import { appliesAt, modeAt } from "./model.ts";
import type { Policy } from "./model.ts";
import { naiveEngine } from "./naive.ts";
import { flows, names, now, policies, sources, targets } from "./policy.arbitrary.ts";
import { showsName, transportOf } from "./protocol.ts";
import { answer, flowOf, isQuestionDefect, readQuestion, setScene } from "./question.ts";
import type { Asked, Question, Scene } from "./question.ts";
import { addressText } from "./wording.ts";

const numRuns = Number(process.env["SALLYPORT_CASES"] ?? 200_000) / 200;
const protocols: readonly Protocol[] = ["tls", "http", "ssh", "tcp", "udp", "quic", "icmp"];

const questions: fc.Arbitrary<Asked> = fc
  .record({
    source: fc.oneof(sources.map(formatAddress), fc.constantFrom("one", "wide", "mixed", "build", "fetch")),
    process: fc.option(
      fc.record({
        step: fc.constantFrom(null, "build", "lint"),
        action: fc.constantFrom(null, "acme/deploy"),
        exe: fc.constantFrom(null, "/usr/bin/curl", "/opt/a/b"),
      }),
      { nil: null, freq: 1 },
    ),
    name: fc.option(fc.constantFrom(...names), { nil: null, freq: 4 }),
    address: fc.option(targets, { nil: null, freq: 1 }),
    port: fc.option(fc.constantFrom(443, 80, 22, 8443, 9999), { nil: null }),
    protocol: fc.option(fc.constantFrom(...protocols), { nil: null, freq: 3 }),
    sealed: fc.boolean(),
  })
  .filter(({ name, address, port, protocol }) => (name ?? address) !== null && (port === null || protocol !== "icmp"))
  .map(({ source, process, name, address, port, protocol, sealed }) => {
    const host = [name, address === null ? null : addressText(address)].filter((part) => part !== null).join("/");
    const ech = sealed && (protocol === null ? port === null || port === 443 : carriesEch(protocol));
    return { source, endpoint: port === null ? host : `${host}:${port}`, protocol, ech, process };
  });

function ask(policy: Policy, asked: Asked): { scene: Scene; question: Question } {
  const scene = setScene(policy, compile(policy, now));
  const question = readQuestion(scene, asked);
  assert.ok(!isQuestionDefect(question), JSON.stringify(question));
  return { scene, question };
}

test("every stage says what the reference engine says, and the verdict is the last one reached", () => {
  fc.assert(
    fc.property(policies, questions, (policy, asked) => {
      const { scene, question } = ask(policy, asked);
      const explanation = explain(scene, question, now);
      const naive = naiveEngine(policy, now);
      const flow = flowOf(scene, question);
      for (const view of explanation.stages) {
        const decision =
          view.stage === "dns" ? naive.dns({ source: question.source, name: question.name! }) : naive[view.stage](flow);
        if (decision.answer === "not_yet") {
          assert.deepEqual([view.verdict, view.hold], ["not_yet", decision.hold]);
          continue;
        }
        assert.deepEqual(
          [view.verdict, view.reason, view.rule?.name],
          [decision.verdict, decision.reason, decision.rule?.name],
        );
        assert.deepEqual(
          view.monitored.map((rule) => rule.name),
          decision.monitored.map((rule) => rule.name),
        );
      }
      const last = explanation.stages.findLast((view) => view.reached)!;
      assert.deepEqual(
        [explanation.verdict, explanation.reason, explanation.stage],
        [last.verdict, last.reason, last.stage],
      );
      const isRefused =
        question.name !== null &&
        question.address === null &&
        !naive.dns({ source: question.source, name: question.name }).passes;
      if (!isRefused) assert.equal(explanation.verdict, naive.name(flow).verdict);
      assert.ok(explainText(explanation).includes(verdicts[explanation.verdict]));
    }),
    { numRuns },
  );
});

const verdicts = { allow: "ALLOW", deny: "DENY", would_deny: "WOULD DENY" } as const;

test("the facts asked about are those of the question", () => {
  fc.assert(
    fc.property(policies, flows, (policy, given) => {
      const facts = { ...given, names: given.names.slice(0, 1), local: false };
      const [name] = facts.names;
      const protocol: Protocol =
        facts.application === "other" ? (facts.transport === "udp" ? "udp" : "tcp") : facts.application;
      const host = [...(name === undefined ? [] : [name]), addressText(facts.destination)].join("/");
      const ech = facts.ech && carriesEch(protocol);
      const source = formatAddress(facts.source);
      // Nobody asks about the runner itself.
      const process = facts.process === null || facts.process.runner ? null : { ...facts.process };
      facts.process = process;
      const asked = { source, endpoint: `${host}:${facts.port}`, protocol, ech, process };
      const { scene, question } = ask(policy, asked);
      const expected: NameFacts = {
        ...facts,
        transport: transportOf(protocol),
        application: protocol === "tcp" || protocol === "udp" ? "other" : facts.application,
        name: showsName(protocol) ? (name ?? null) : null,
        ech,
      };
      assert.deepEqual(flowOf(scene, question), expected);
    }),
    { numRuns },
  );
});

test("a rule that came close is not the one that decided, and with its one miss mended it matches", () => {
  let mended = 0;
  fc.assert(
    fc.property(policies, questions, (policy, asked) => {
      const { scene, question } = ask(policy, asked);
      const { near, rule } = explain(scene, question, now);
      const flow = flowOf(scene, question);
      for (const { rule: close, misses } of near) {
        const written = policy.rules.find((each) => each.name === close.name)!;
        assert.notEqual(close.name, rule?.name);
        assert.ok(misses.length > 0);
        const whats = misses.map((miss) => miss.what);
        assert.equal(whats.includes("expired"), !appliesAt(written, now));
        if (!whats.includes("expired")) assert.equal(whats.includes("monitor"), modeAt(written, now) === "monitor");
        if (question.assumed || misses.length > 1 || !["source", "expired", "monitor", "order"].includes(whats[0]!))
          continue;
        const from = whats[0] === "source" ? null : written.from;
        const alone = { ...written, mode: "enforce", monitorUntil: null, expires: null, from } as const;
        assert.equal(naiveEngine({ ...policy, rules: [alone] }, now).name(flow).rule?.name, close.name);
        mended++;
      }
    }),
    { numRuns },
  );
  assert.ok(mended > numRuns / 200, `${mended}`);
});

test("what is denied comes with a change that allows it, unless a rule that would stay stands against it", () => {
  let offered = 0;
  let denied = 0;
  fc.assert(
    fc.property(policies, questions, (policy, asked) => {
      const { scene, question } = ask(policy, asked);
      const { verdict, patch } = explain(scene, question, now);
      if (verdict === "allow") return assert.equal(patch, null);
      denied++;
      if (patch === null) return undefined;
      offered++;
      const gone = new Set(patch.remove.map((rule) => rule.name));
      assert.ok(patch.insert !== null || gone.size > 0);
      if (patch.insert === null) {
        const left = { ...policy, rules: policy.rules.filter((rule) => !gone.has(rule.name)) };
        assert.equal(answer(setScene(left, compile(left, now)), question).outcome.answer, "allow");
      } else assert.match(patch.insert.yaml, /^- \{ name: .*, to: \[.*\](, protocol: \w+)?(, ech: allow)? \}$/);
      return undefined;
    }),
    { numRuns },
  );
  // Random policies hold rules that can never decide, with which no change loads.
  assert.ok(offered > denied / 4, `${offered} of ${denied}`);
});

test("a case passes exactly where it expects what happens", () => {
  fc.assert(
    fc.property(policies, questions, fc.constantFrom("allow", "deny", "would_deny"), (policy, asked, expect) => {
      const { scene, question } = ask(policy, asked);
      const { outcome } = answer(scene, question);
      const { process, protocol, ...rest } = asked;
      const said = Object.entries({ protocol, ...process }).filter(([, value]) => value !== null);
      const text = JSON.stringify([{ ...rest, ...Object.fromEntries(said), expect }]);
      const cases = readCases(scene, text, "policy.test.yaml");
      assert.ok(!isPolicyProblems(cases), JSON.stringify(cases));
      const report = runCases(scene, cases, "policy.test.yaml");
      assert.equal(report.results[0]!.passed, outcome.verdict === expect);
      assert.equal(report.failed, outcome.verdict === expect ? 0 : 1);
    }),
    { numRuns },
  );
});

test("no text of a question or of cases makes reading throw", () => {
  const [policy] = fc.sample(policies, { numRuns: 1, seed: 7 });
  const scene = setScene(policy!, compile(policy!, now));
  const texts = fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[a-z0-9.:/[\]*{}-]{0,40}$/));
  fc.assert(
    fc.property(texts, texts, (source, endpoint) => {
      const process = { step: source, action: endpoint, exe: `/${source}` };
      readQuestion(scene, { source, endpoint, protocol: null, ech: endpoint.length % 2 === 0, process });
      readQuestion(scene, { source, endpoint, protocol: null, ech: false, process: null });
      readCases(scene, endpoint, "policy.test.yaml");
      readCases(
        scene,
        `- { endpoint: ${JSON.stringify(endpoint)}, source: ${JSON.stringify(source)}, expect: deny }`,
        "x",
      );
    }),
    { numRuns: 2000 },
  );
});
