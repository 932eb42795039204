/**
 * Load, compile and decide times of large policies. Run: `node bench/policy.ts [rules]` (default 100 000). Prints the
 * machine's load first: numbers taken beside other work mean little. Results are consumed so that nothing is optimised
 * away; compare shapes and sizes with each other rather than with other machines.
 */
import { loadavg } from "node:os";
import { parseAddress } from "../src/address/ip.ts";
import type { Address } from "../src/address/ip.ts";
import { compile } from "../src/policy/compile.ts";
import type { ConnectFacts, Engine, NameFacts } from "../src/policy/decision.ts";
import { isPolicyProblems, readPolicy } from "../src/policy/load.ts";

const count = Number(process.argv[2] ?? 100_000);
const now = Date.UTC(2030, 0, 1);

/** The shapes that an index could get wrong: many sources, many destinations, many wildcards, both at once. */
const shapes: Record<string, (i: number) => string> = {
  "one destination, many sources": (i) => `{ name: r${i}, from: ${sourceText(i)}, to: pypi.org }`,
  "one source, many destinations": (i) => `{ name: r${i}, from: 10.0.0.0/8, to: h${i}.example.com }`,
  "any source, many wildcards": (i) => `{ name: r${i}, to: "x${i}-*.example.com" }`,
  "many sources, many destinations": (i) =>
    `{ name: r${i}, from: ${sourceText(i)}, to: [h${i}.example.com, ${cidrText(i)}] }`,
  "many denials": (i) => `{ name: r${i}, to: h${i}.example.com, action: deny, reason: listed }`,
};

function sourceText(i: number): string {
  return `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
}

function cidrText(i: number): string {
  return `203.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
}

function address(text: string): Address {
  return parseAddress(text)!;
}

console.log(
  `load average ${loadavg()
    .map((n) => n.toFixed(2))
    .join(" ")}, ${count} rules, node ${process.version}`,
);
for (const [shape, rule] of Object.entries(shapes)) {
  const lines = Array.from({ length: count }, (_, i) => `  - ${rule(i)}`);
  const text = `version: 1\nrules:\n${lines.join("\n")}\ndefault: { mode: enforce }\n`;
  const [readMs, policy] = timed(() => readPolicy(text, "bench.yaml"));
  if (isPolicyProblems(policy)) {
    console.error(policy.problems[0]);
    process.exit(1);
  }
  const [compileMs, engine] = timed(() => compile(policy, now));
  console.log(
    `${shape}: read ${readMs.toFixed(0)} ms (${(text.length / 1e6).toFixed(1)} MB), compile ${compileMs.toFixed(0)} ms`,
  );
  decide(engine);
}

function timed<T>(run: () => T): [number, T] {
  const start = performance.now();
  const result = run();
  return [performance.now() - start, result];
}

/** Mean time of each question over flows spread over the rules, best of five rounds. */
function decide(engine: Engine): void {
  const flows: NameFacts[] = [];
  for (let k = 0; k < 1000; k++) {
    const i = (k * 7919) % count;
    const name = k % 3 === 0 ? "pypi.org" : k % 3 === 1 ? `h${i}.example.com` : `x${i}-y.example.com`;
    const names = [name, "cdn.example.net", "other.example.org"];
    const destination = address(k % 5 === 0 ? cidrText(i) : "198.51.100.7");
    const source = address(sourceText(i));
    flows.push({
      source,
      process: null,
      destination,
      local: false,
      transport: "tcp",
      port: 443,
      names,
      application: "tls",
      name,
      ech: false,
    });
  }
  const connects: ConnectFacts[] = flows.map(({ application: _a, name: _n, ech: _e, ...facts }) => facts);
  const questions = flows.map(({ source, name }) => ({ source, name: name! }));
  const report = [
    ["dns", measure(questions, (facts) => (engine.dns(facts).passes ? 1 : 0))],
    ["connect", measure(connects, (facts) => (engine.connect(facts).answer === "deny" ? 1 : 0))],
    ["name", measure(flows, (facts) => (engine.name(facts).passes ? 1 : 0))],
  ] as const;
  console.log(
    `  ${report.map(([stage, { ns, share }]) => `${stage} ${ns.toFixed(0)} ns (${(share * 100).toFixed(0)} %)`).join(", ")}`,
  );
}

function measure<T>(inputs: readonly T[], run: (input: T) => number): { ns: number; share: number } {
  let best = Infinity;
  let hits = 0;
  const rounds = 100;
  for (let repeat = 0; repeat < 5; repeat++) {
    hits = 0;
    const start = performance.now();
    for (let round = 0; round < rounds; round++) for (const input of inputs) hits += run(input);
    best = Math.min(best, ((performance.now() - start) * 1e6) / (rounds * inputs.length));
  }
  return { ns: best, share: hits / (rounds * inputs.length) };
}
