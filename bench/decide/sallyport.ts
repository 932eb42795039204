/** Our engine, from the text of a policy file on. */
import { parseAddress } from "../../src/address/ip.ts";
import { compile } from "../../src/policy/compile.ts";
import type { NameFacts } from "../../src/policy/decision.ts";
import { isPolicyProblems, readPolicy } from "../../src/policy/load.ts";
import { type Decider, hostOf } from "./engine.ts";

const source = parseAddress("10.21.1.2")!;
const destination = parseAddress("203.0.113.100")!;

export const sallyport: Decider = {
  name: "sallyport",
  most: 1_000_000,
  mostQuick: 10_000,
  batch: 50,
  async load(rules) {
    const lines = Array.from({ length: rules }, (_, i) => `  - { name: r${i}, to: ${hostOf(i)} }`);
    const policy = readPolicy(`version: 1\nrules:\n${lines.join("\n")}\ndefault: { mode: enforce }\n`, "bench.yaml");
    if (isPolicyProblems(policy)) throw new Error(policy.problems[0]?.message ?? "the policy does not load");
    const engine = compile(policy, Date.now());
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
