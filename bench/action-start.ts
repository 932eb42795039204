/**
 * How long a job waits for the action, and where that time goes: the wall time of each phase, and of `pre` each part of each of its
 * processes, in wall time and in processor time. The second is what counts where the machine is not quiet. Several jobs on one
 * machine of the lab, the median of each; as root. `node bench/action-start.ts [jobs] [node]`
 */
import { spawnSync } from "node:child_process";
import { loadavg } from "node:os";
import { Runner } from "../test/action/harness.ts";

const jobs = Number(process.argv[2] ?? 5);
const node = process.argv[3];
const runner = await Runner.create({
  policy: "version: 1\nrules:\n  - { name: web, to: allowed.example }\n",
  ...(node === undefined ? {} : { node }),
});

interface Figures {
  wall: number[];
  cpu: number[];
}

const figures = new Map<string, Figures>();

function note(name: string, wall: number, cpu: number | null): void {
  const each = figures.get(name) ?? { wall: [], cpu: [] };
  figures.set(name, each);
  each.wall.push(wall);
  if (cpu !== null) each.cpu.push(cpu);
}

try {
  for (let i = 0; i < jobs; i++) {
    const { failed, results } = await runner.run([runner.sallyport()], { env: { RUNNER_DEBUG: "1" } });
    if (failed) throw new Error(JSON.stringify(results));
    for (const { phase, milliseconds, output } of results) {
      const cpu = phase === "pre" ? noteParts(output) : null;
      note(phase, milliseconds, cpu);
    }
    const began = performance.now();
    if (spawnSync(node ?? process.execPath, ["--eval", "0"]).status !== 0) throw new Error("node does not run");
    note("node alone", performance.now() - began, null);
  }
} finally {
  await runner.close();
}

/** Notes every part that `pre` tells of to a runner that debugs; the processor time of all of them. */
function noteParts(output: string): number {
  let sum = 0;
  for (const [, who, parts] of output.matchAll(/^::debug::ms of wall time \(of processors\): (\S+): (.*)$/gm)) {
    for (const [, name, wall, cpu] of parts!.matchAll(/(\D[^(]*?) (\d+) \((\d+)\)(?:, |$)/g)) {
      note(`  ${who}: ${name}`, Number(wall), Number(cpu));
      sum += Number(cpu);
    }
  }
  return sum;
}

const middle = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];
const load = loadavg().map((each) => each.toFixed(1));
console.log(`load average ${load.join(" ")}; ms, median of ${jobs}: wall time and its range, processor time`);
for (const [name, { wall, cpu }] of figures) {
  const range = `(${Math.round(Math.min(...wall))} to ${Math.round(Math.max(...wall))})`;
  const work = cpu.length === 0 ? "" : String(Math.round(middle(cpu)!));
  console.log(
    `${name.padEnd(40)} ${String(Math.round(middle(wall)!)).padStart(6)} ${range.padEnd(18)} ${work.padStart(6)}`,
  );
}
