/** A process is known or it is not: an allow rule takes only what is known and equal, a deny rule also what is not known. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseAddress } from "../address/ip.ts";
import { compile } from "./compile.ts";
import type { ConnectFacts, ProcessFacts } from "./decision.ts";
import { isPolicyProblems, loadPolicy, readPolicy } from "./load.ts";
import type { Policy } from "./model.ts";
import { naiveEngine } from "./naive.ts";
import { connects, flows, now, owners, policies } from "./policy.arbitrary.ts";
import { Problems } from "./problem.ts";
import { coversTerm, isProcessDefect, matchesExe, meetsProcess, parseAction, parseExe, parseStep } from "./process.ts";
import type { ExePattern, ProcessTerm } from "./process.ts";
import { findUnreachable } from "./shadow.ts";
import { runnerSource } from "./source.ts";

function exe(text: string): ExePattern {
  const parsed = parseExe(text);
  assert.ok(!isProcessDefect(parsed), text);
  return parsed;
}

function term(parts: { steps?: string[]; actions?: string[]; exes?: string[] }): ProcessTerm {
  const { steps = null, actions = null, exes } = parts;
  return { steps, actions, exes: exes?.map(exe) ?? null, runner: false };
}

const nobody: ProcessFacts = { step: null, action: null, exe: null, runner: false };

test("an executable is a path, the beginning of a file's name, or all below a folder", () => {
  const cases: [string, string[], string[]][] = [
    ["/usr/bin/curl", ["/usr/bin/curl"], ["/usr/bin/curl2", "/usr/bin/cur", "/bin/curl", "curl"]],
    [
      "/usr/bin/python3*",
      ["/usr/bin/python3", "/usr/bin/python3.12"],
      ["/usr/bin/python", "/usr/bin/python3.d/x", "/x/usr/bin/python3"],
    ],
    ["/opt/node/**", ["/opt/node/bin/node", "/opt/node/x"], ["/opt/node", "/opt/node/", "/opt/node2/bin/node"]],
    ["/usr/bin/*", ["/usr/bin/[", "/usr/bin/a"], ["/usr/bin/a/b", "/usr/sbin/a"]],
  ];
  for (const [pattern, some, others] of cases) {
    for (const path of some) assert.ok(matchesExe(exe(pattern), path), `${pattern} ${path}`);
    for (const path of others) assert.ok(!matchesExe(exe(pattern), path), `${pattern} ${path}`);
  }
});

test("what is no step, action or executable is refused with what to write", () => {
  const bad = ["curl", "", "/", "/usr/bin/", "/a//b", "/a/./b", "/a/../b", "/..", "/a*/b", "/**", "/a/***", "/\u0000"];
  for (const text of [...bad, `/${"a".repeat(4095)}`]) assert.ok(isProcessDefect(parseExe(text)), text);
  for (const text of ["", " a", "a*", "a\nb", "x".repeat(201)]) assert.ok(isProcessDefect(parseStep(text)), text);
  for (const text of ["checkout", "a/b/c", "./a", "a/b@v1", "/a", "a/", "../x", "a/b c", "docker://a"]) {
    assert.ok(isProcessDefect(parseAction(text)), text);
  }
  assert.equal(parseAction("Actions/Checkout"), "actions/checkout");
  assert.deepEqual(parseAction("actions/checkout@v4"), {
    message: "“actions/checkout@v4” says a version; which one runs is the workflow's to pin",
    fix: "Write actions/checkout.",
  });
});

test("what is not known is no reason to allow, and none to let through what is denied", () => {
  const cases: [ProcessTerm, ProcessFacts | null, boolean, boolean][] = [
    // The term, what is known, whether an allow rule is for it, whether a deny rule is.
    [term({ steps: ["a", "b"] }), { ...nobody, step: "b" }, true, true],
    [term({ steps: ["a"] }), { ...nobody, step: "b" }, false, false],
    [term({ steps: ["a"] }), nobody, false, true],
    [term({ steps: ["a"] }), null, false, true],
    [term({ steps: ["a"] }), { ...nobody, runner: true }, false, false],
    [term({ actions: ["x/y"] }), { ...nobody, step: "a", action: "X/Y" }, true, true],
    // The step is known, so it is known that no action is behind it.
    [term({ actions: ["x/y"] }), { ...nobody, step: "a" }, false, false],
    [term({ actions: ["x/y"] }), nobody, false, true],
    [term({ exes: ["/a"] }), { ...nobody, step: "a" }, false, true],
    [term({ exes: ["/a"] }), { ...nobody, exe: "/b" }, false, false],
    [term({ steps: ["a"], exes: ["/a"] }), { ...nobody, step: "b" }, false, false],
    [term({ steps: ["a"], exes: ["/a"] }), { ...nobody, step: "a", exe: "/a" }, true, true],
    [runnerSource.process!, { ...nobody, runner: true }, true, true],
    [runnerSource.process!, { ...nobody, step: "a" }, false, false],
    [runnerSource.process!, null, false, true],
  ];
  for (const [process, facts, allowed, denied] of cases) {
    const what = JSON.stringify([process, facts]);
    assert.equal(meetsProcess(process, true, facts), allowed, what);
    assert.equal(meetsProcess(process, false, facts), denied, what);
  }
});

const words = fc.option(fc.subarray(["build", "test", "lint"], { minLength: 1 }), { nil: null });
const paths = ["/usr/bin/curl", "/usr/bin/c*", "/usr/bin/*", "/usr/**", "/usr/bin/c/**", "/opt/a*", "/opt/a/**"];
const terms: fc.Arbitrary<ProcessTerm> = fc.record({
  steps: words,
  actions: fc.option(fc.subarray(["acme/deploy", "acme/other"], { minLength: 1 }), { nil: null }),
  exes: fc.option(
    fc.subarray(paths, { minLength: 1, maxLength: 3 }).map((texts) => texts.map(exe)),
    { nil: null },
  ),
  runner: fc.nat({ max: 5 }).map((n) => n === 5),
});

test("a term that covers another is for every process that the other is for", () => {
  let covered = 0;
  fc.assert(
    fc.property(terms, terms, fc.array(owners, { minLength: 20, maxLength: 20 }), (outer, inner, list) => {
      if (!coversTerm(outer, inner)) return;
      covered++;
      for (const facts of list) {
        for (const isAllow of [true, false]) {
          if (meetsProcess(inner, isAllow, facts)) assert.ok(meetsProcess(outer, isAllow, facts));
        }
        if (meetsProcess(inner, true, facts)) assert.ok(meetsProcess(inner, false, facts), "a deny is for more");
      }
    }),
    { numRuns: 20_000 },
  );
  assert.ok(covered > 300, `${covered}`);
});

test("a rule that is called unreachable beside rules of its action decides nothing, whatever the process", () => {
  let found = 0;
  const actions = fc.constantFrom("allow" as const, "deny" as const);
  fc.assert(
    fc.property(policies, actions, fc.array(flows, { minLength: 40, maxLength: 40 }), (random, action, list) => {
      const policy = { ...random, rules: random.rules.map((rule) => ({ ...rule, action, expires: null })) };
      const names = unreachable(policy);
      if (names.size === 0) return;
      found++;
      const engine = compile(policy, now);
      for (const facts of list) {
        const { rule, monitored } = engine.name(facts);
        for (const ref of [...monitored, ...(rule === null ? [] : [rule])]) {
          assert.ok(!names.has(ref.name), `${ref.name}: ${JSON.stringify(facts)}`);
        }
      }
    }),
    { numRuns: 3000 },
  );
  assert.ok(found > 50, `${found}`);
});

test("an allow rule for a process leaves the unknown ones to a later denial, not the other way round", () => {
  const rules = (first: string, second: string) => `version: 1
rules:
  - { name: first, from: { process: { exe: /usr/bin/* } }, to: a.example, action: ${first} }
  - { name: second, from: { process: { exe: /usr/bin/curl, step: setup } }, to: a.example, action: ${second} }
`;
  const isUnreachable = (first: string, second: string) => isPolicyProblems(readPolicy(rules(first, second), "p.yaml"));
  assert.ok(!isUnreachable("allow", "deny"));
  for (const [first, second] of [
    ["allow", "allow"],
    ["deny", "deny"],
    ["deny", "allow"],
  ] as const) {
    assert.ok(isUnreachable(first, second), `${first} ${second}`);
  }
});

function unreachable(policy: Policy): Set<string> {
  const problems = new Problems("p.yaml");
  const place = () => ({ line: 1, column: 1, text: "" });
  findUnreachable(policy, { value: null, place, itemPositions: () => [] }, problems);
  return new Set(problems.list.map(({ message }) => /“([^”]*)”/.exec(message)![1]!));
}

const text = `version: 1
sources:
  setup: { process: { step: setup } }
  fetch: { subnets: [10.20.1.0/24], process: { exe: [/usr/bin/curl, /usr/bin/wget] } }
rules:
  - { name: not the tests, from: { process: { step: test } }, to: b.example, action: deny }
  - { name: setup, from: setup, to: a.example }
  - { name: fetch, from: fetch, to: b.example }
  - { name: same again, from: { process: { step: [setup] } }, to: 203.0.113.0/24, ports: [443] }
default: { mode: enforce }
`;

function facts(name: string, process: ProcessFacts | null, source = "10.20.1.7"): ConnectFacts {
  const destination = parseAddress("198.51.100.7")!;
  const rest = { local: false, transport: "tcp", port: 443 } as const;
  return { source: parseAddress(source)!, process, destination, ...rest, names: [name] };
}

test("each key of a source must hold: its address, and its process", () => {
  const policy = readPolicy(text, "p.yaml");
  assert.ok(!isPolicyProblems(policy), JSON.stringify(policy));
  for (const engine of [compile(policy, now), naiveEngine(policy, now)]) {
    assert.ok(engine.asksProcess);
    const rule = (...given: Parameters<typeof facts>) => {
      const flow = { ...facts(...given), application: "tls", name: given[0], ech: false } as const;
      return engine.name(flow).rule?.name ?? "default";
    };
    const curl = { ...nobody, step: "setup", exe: "/usr/bin/curl" };
    assert.equal(rule("a.example", curl, "192.0.2.1"), "setup");
    assert.equal(rule("a.example", { ...curl, step: "build" }), "default");
    assert.equal(rule("a.example", null), "default");
    assert.equal(rule("b.example", curl), "fetch");
    assert.equal(rule("b.example", curl, "192.0.2.1"), "default");
    assert.equal(rule("b.example", { ...curl, exe: "/tmp/curl" }), "default");
    assert.equal(rule("b.example", { ...curl, step: "test" }), "not the tests");
    assert.equal(rule("b.example", { ...curl, step: null }), "not the tests");
    // At the SYN, where no name is shown yet.
    assert.deepEqual(engine.connect(facts("a.example", curl)), { answer: "not_yet", hold: true });
    assert.equal(engine.connect(facts("a.example", { ...curl, step: "build" })).answer, "deny");
    // A resolver asks for everybody: what some process may use is answered, what is denied to some is not denied to all.
    for (const name of ["a.example", "b.example"]) {
      assert.equal(engine.dns({ source: parseAddress("10.20.1.7")!, name }).answer, "allow", name);
    }
    assert.equal(engine.dns({ source: parseAddress("192.0.2.1")!, name: "b.example" }).answer, "deny");
    assert.ok(engine.cidrAllows(parseAddress("192.0.2.1")!, parseAddress("203.0.113.9")!));
    // A process tells nothing about whose address it is.
    assert.equal(engine.group(parseAddress("10.20.1.7")!), null);
  }
});

test("a list of more than 64 is refused where it stands", () => {
  const steps = Array.from({ length: 65 }, (_, i) => `s${i}`).join(", ");
  const loaded = loadPolicy(text.replace("step: [setup]", `step: [${steps}]`), "p.yaml", new Date(now));
  assert.ok(isPolicyProblems(loaded));
  assert.deepEqual(
    loaded.problems.map(({ line, code }) => [line, code]),
    [[9, "schema"]],
  );
});

test("a permit for the runner itself is for no step, and no file can say it", () => {
  const loaded = loadPolicy(text, "p.yaml", new Date(now));
  assert.ok(!isPolicyProblems(loaded));
  const [model] = loaded.policy.rules;
  const permit = { ...model!, name: "control plane", tier: 1, action: "allow", from: [runnerSource] } as const;
  const policy = { ...loaded.policy, rules: [permit, ...loaded.policy.rules] };
  const engine = compile(policy, now);
  const ask = (process: ProcessFacts | null) =>
    engine.name({ ...facts("b.example", process, "192.0.2.1"), application: "tls", name: "b.example", ech: false });
  assert.equal(ask({ ...nobody, runner: true }).rule?.name, "control plane");
  assert.equal(ask({ ...nobody, step: "setup", runner: false }).answer, "deny");
  assert.equal(ask(null).answer, "deny");
  assert.ok(isPolicyProblems(loadPolicy(text.replace("{ step: test }", "{ runner: true }"), "p.yaml", new Date(now))));
});

test("a policy that asks for no process says so, and its answers do not hang on one", () => {
  fc.assert(
    fc.property(policies, connects, owners, (random, flow, process) => {
      const rules = random.rules.map((rule) => ({
        ...rule,
        from: rule.from?.filter((s) => s.process === null) ?? null,
      }));
      const engine = compile({ ...random, rules }, now);
      assert.equal(engine.asksProcess, false);
      assert.deepEqual(engine.connect(flow), engine.connect({ ...flow, process }));
    }),
    { numRuns: 2000 },
  );
});
