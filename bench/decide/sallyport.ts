/**
 * Our engine, from the text of a policy file on. A file may have 8 MiB, which is some 150 000 of these rules: beyond, the first ones
 * are read and the others made in their image.
 */
import { parseAddress } from "../../src/address/ip.ts";
import { compile } from "../../src/policy/compile.ts";
import type { NameFacts } from "../../src/policy/decision.ts";
import { isPolicyProblems, readPolicy } from "../../src/policy/load.ts";
import type { Policy, Rule } from "../../src/policy/model.ts";
import { type Decider, hostOf } from "./engine.ts";

const source = parseAddress("10.21.1.2")!;
/** As many rules as a file is sure to hold. */
const mostOfFile = 100_000;
const destination = parseAddress("203.0.113.100")!;

export const sallyport: Decider = {
  name: "sallyport",
  most: 1_000_000,
  mostQuick: 10_000,
  batch: 50,
  async load(rules) {
    const policy = read(Math.min(rules, rules > mostOfFile ? 100 : rules));
    const first = policy.rules[0]!;
    const more = Array.from({ length: rules - policy.rules.length }, (_, i) => like(first, policy.rules.length + i));
    const engine = compile({ ...policy, rules: [...policy.rules, ...more] }, Date.now());
    const facts: Omit<NameFacts, "name" | "names"> = {
      source,
      process: null,
      destination,
      local: false,
      transport: "tcp",
      port: 443,
      application: "tls",
      ech: false,
    };
    return (host) => engine.name({ ...facts, names: [host], name: host }).passes;
  },
};

function read(rules: number): Policy {
  const lines = Array.from({ length: rules }, (_, i) => `  - { name: r${i}, to: ${hostOf(i)} }`);
  const policy = readPolicy(`version: 1\nrules:\n${lines.join("\n")}\ndefault: { mode: enforce }\n`, "bench.yaml");
  if (isPolicyProblems(policy)) throw new Error(policy.problems[0]?.message ?? "the policy does not load");
  return policy;
}

/** A rule like this one, for the host of another number. */
function like(rule: Rule, number: number): Rule {
  const [target] = rule.targets;
  if (target?.endpoint.kind !== "name") throw new Error("the rule is of a name");
  const { endpoint } = target;
  const text = hostOf(number);
  const labels = text.split(".").map((label) => ({ kind: "literal" as const, text: label }));
  const other = { ...endpoint, text, pattern: { ...endpoint.pattern, labels } };
  return { ...rule, name: `r${number}`, targets: [{ ...target, endpoint: other }] };
}
