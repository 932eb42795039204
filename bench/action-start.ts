/**
 * How long a job waits for the action: the wall time of `pre`, and what of it is Node's own start, the bundle, the agent's modules
 * and the self-test. Several jobs on one machine of the lab, the median of each; run it on a quiet machine as root.
 * `node bench/action-start.ts [jobs]`
 */
import { spawnSync } from "node:child_process";
import { loadavg } from "node:os";
import { join } from "node:path";
import { Runner } from "../test/action/harness.ts";

const jobs = Number(process.argv[2] ?? 5);
const runner = await Runner.create({ policy: "version: 1\nrules:\n  - { name: web, to: allowed.example }\n" });
const figures = new Map<string, number[]>();
const note = (name: string, value: number) => figures.set(name, [...(figures.get(name) ?? []), value]);

try {
  for (let i = 0; i < jobs; i++) {
    for (const [name, selfTest] of [
      ["pre", "true"],
      ["pre without the self-test", "false"],
    ] as const) {
      const { failed, results } = await runner.run([runner.sallyport({ "self-test": selfTest })]);
      if (failed) throw new Error(JSON.stringify(results));
      for (const { phase, milliseconds } of results) note(phase === "pre" ? name : phase, milliseconds);
    }
    timed("node alone", ["--eval", "0"]);
    timed("node and the bundle", [join(runner.actionFolder, "action/dist/sallyport.mjs")]);
    timed("node and the agent's modules", [
      join(runner.actionFolder, "action/dist/sallyport.mjs"),
      "agent",
      "/nonexistent",
    ]);
  }
} finally {
  await runner.close();
}

const load = loadavg().map((each) => each.toFixed(1));
console.log(`load average ${load.join(" ")}; ms of wall time, median of ${jobs}, and the range`);
for (const [name, values] of figures) {
  const sorted = values.toSorted((a, b) => a - b);
  const [least, middle, most] = [sorted[0]!, sorted[sorted.length >> 1]!, sorted.at(-1)!].map(Math.round);
  console.log(`${name.padEnd(44)} ${String(middle).padStart(6)}  (${least} to ${most})`);
}

function timed(name: string, args: string[]): void {
  const began = performance.now();
  const { pid } = spawnSync(process.execPath, args, { stdio: "ignore" });
  if (pid === 0) throw new Error(`${name} could not be run`);
  note(name, performance.now() - began);
}
