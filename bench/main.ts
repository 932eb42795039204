/**
 * `npm run bench`: Sallyport beside others, measured in one run on this machine. What is measured is in `cases/`, the others'
 * configuration in `peers/`, the stands they are measured at in `stand/`. Ratios are what to compare: absolute figures are this
 * machine's.
 */
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { cases } from "./cases/cases.ts";
import { help, parseArguments } from "./arguments.ts";
import { peers } from "./peers/peers.ts";
import { packages } from "./peers/packages.ts";
import { writeDocument } from "./report/document.ts";
import { type Result, resultSchema } from "./report/result.ts";
import { cells, columns, groupsOf, targetCells } from "./report/table.ts";
import { targetsOf } from "./report/targets.ts";
import { Bench, type Case, mostForOpening } from "./stand/bench.ts";
import { Clock } from "./stand/clock.ts";
import { lookAtHost, packageVersions } from "./stand/host.ts";

const parsed = parseArguments(
  process.argv.slice(2),
  cases.map(({ name }) => name),
);
if (typeof parsed === "string") {
  console.error(parsed);
  process.exit(2);
}
if (parsed.help) {
  console.log(help(cases));
  process.exit(0);
}
if (process.getuid?.() !== 0) {
  console.error("npm run bench makes network namespaces: run it as root, `sudo npm run bench`.");
  process.exit(2);
}

const { quick, only, contenders, json, write, limit } = parsed;
const toTerminal = process.stderr.isTTY;
const say = (text: string) => process.stderr.write(toTerminal ? `\r\x1b[K${text}` : `bench: ${text}\n`);
const done = () => toTerminal && process.stderr.write("\r\x1b[K");
/** Where tables go: beside JSON on standard output they would spoil it. */
const print = json === "-" ? (text: string) => process.stderr.write(`${text}\n`) : console.log;

const begun = performance.now();
const host = await lookAtHost();
host.versions = packageVersions(packages);
const missing = packages.filter((name) => !(name in host.versions));
print(`${host.processor}, ${host.cpus} processors, ${host.memory_gb} GB, Linux ${host.kernel}, Node ${host.node}`);
print(
  host.quiet
    ? `The host is quiet (${host.busy} of ${availableParallelism()} processors busy).`
    : `THE HOST IS NOT QUIET: ${host.busy} of ${availableParallelism()} processors are busy with something else. Ratios are doubtful, figures worthless.`,
);
if (missing.length > 0)
  print(
    `Not installed, and so not measured: ${missing.join(" ")}. \`sudo sh scripts/setup --for-bench\` installs them.`,
  );

// Less what looking at the host and closing take.
const clock = new Clock((limit ?? (quick ? 60 : 900)) * 0.94 - 4);
const bench = await Bench.create({ quick, only: contenders }, clock, say);
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void bench.close().finally(() => process.exit(130)));
const chosen = cases.filter(({ name }) => only === null || only.includes(name));
const wants = ({ wants: { quick: little, whole } }: Case) => (quick ? little : whole);
const failures: string[] = [];
const tell = (from: number) => {
  done();
  for (const [group, rows] of groupsOf(bench.rows.slice(from))) print(`\n${group}\n${columns(cells(rows))}`);
};
/** Resolves with true when that is done; with false, and a word about it, when the run's time is over before. */
async function withinTime(what: string, work: () => Promise<void>, seconds = clock.left()): Promise<boolean> {
  if (clock.left() <= 0) {
    clock.shorten(`${what}: not begun, because the run's time was over`);
    return false;
  }
  const over = new AbortController();
  const working = work();
  working.catch(() => {});
  try {
    const end = sleep(Math.max(0, seconds) * 1000, false, { signal: over.signal });
    end.catch(() => {});
    if (await Promise.race([working.then(() => true), end])) return true;
    clock.shorten(`${what}: given up, because its time was over`);
    return false;
  } finally {
    over.abort();
  }
}

try {
  if (chosen.some(({ atStands }) => atStands)) {
    say("starting the contenders");
    await withinTime("starting the contenders", () => bench.open(peers), clock.left() * mostForOpening);
  }
  for (const [index, each] of chosen.entries()) {
    const before = bench.rows.length;
    clock.begin(wants(each), chosen.slice(index + 1).map(wants), each.parts(quick));
    const began = clock.now();
    try {
      await withinTime(each.name, () => each.run(bench));
    } catch (error) {
      failures.push(`${each.name}: ${(error as Error).message}`);
    }
    tell(before);
    say(`${each.name} took ${(clock.now() - began).toFixed(1)} s, ${clock.left().toFixed(0)} s are left`);
  }
} finally {
  say("closing");
  await bench.close();
  done();
}

const targets = targetsOf(bench.rows);
print(`\n${columns(targetCells(targets))}`);
if (clock.shortened.length > 0)
  print(`\nShortened, so that the run ends in time:\n${clock.shortened.map((each) => `  ${each}`).join("\n")}`);
const result: Result = resultSchema.parse({
  schema: "sallyport.bench/1",
  at: new Date().toISOString(),
  took: Math.round((performance.now() - begun) / 1000),
  quick,
  host,
  shortened: clock.shortened,
  cases: bench.rows,
  targets,
});
if (json === "-") console.log(JSON.stringify(result));
else if (json !== null) writeFileSync(json, `${JSON.stringify(result, null, 1)}\n`);
if (write) print(`Written: ${writeDocument(result)}`);
print(`Took ${result.took} s. Contenders: ${peers.map(({ name }) => name).join(", ")}.`);
for (const failure of failures) console.error(`bench: FAILED ${failure}`);
// What could not be measured is a failure of the benchmark; a missed target is not.
process.exit(failures.length > 0 ? 1 : 0);
