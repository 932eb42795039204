/**
 * `npm run battery`: every row of the threat list about names, DNS and transport, real tunnels, and what must work, against
 * the gateway and `sallyport run`, over IPv4 and IPv6, in enforce and monitor mode. Exit 0: all as it should be; 1: not, or
 * a stand could not be set up; 2: usage.
 */
import { parseArgs } from "node:util";
import { runBatteryTwice } from "./battery.ts";
import { caseName, fronts, modes, type Family } from "./case.ts";
import { allCases } from "./cases.ts";
import { matrix, patterns, summary, troubles } from "./matrix.ts";
import { isGood } from "./score.ts";

const help = `npm run battery [-- OPTIONS]     as root; traffic stays in network namespaces made for it

  --only TEXT      cases whose row or words contain it (repeatable): N6, iodine, fragments
  --front F        gateway or run (repeatable)
  --mode M         enforce or monitor (repeatable)
  --family V       4 or 6 (repeatable)
  --list           the cases, without running them
  --json           {schema: "sallyport.battery/1", cases: [...]} on standard output, progress on standard error

What a result means: test/battery/README.md
`;

async function main(): Promise<number> {
  const many = { type: "string", multiple: true } as const;
  const { values } = parseArgs({
    options: {
      only: many,
      front: many,
      mode: many,
      family: many,
      list: { type: "boolean" },
      json: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const wanted = (values.only ?? []).map((text) => text.toLowerCase());
  const cases = allCases().filter(
    (each) =>
      wanted.length === 0 ||
      wanted.some((text) => caseName(each).toLowerCase().includes(text) || each.variant.toLowerCase().includes(text)),
  );
  if (cases.length === 0) throw new TypeError(`no case has ${wanted.join(" or ")} in its name; --list shows them`);
  if (values.list === true) {
    const lines = cases.map((each) => `${each.row.padEnd(6)} ${each.kind.padEnd(7)} ${each.variant}`);
    process.stdout.write(values.json === true ? `${JSON.stringify(cases.map(caseName))}\n` : `${lines.join("\n")}\n`);
    return 0;
  }
  if (process.getuid?.() !== 0) {
    process.stderr.write("The battery needs root: it makes network namespaces. Run: sudo npm run battery\n");
    return 1;
  }
  const started = performance.now();
  const report = await runBatteryTwice({
    cases,
    fronts: (values.front ?? fronts).map((text) => oneOf(text, fronts)),
    modes: (values.mode ?? modes).map((text) => oneOf(text, modes)),
    families: (values.family ?? ["4", "6"]).map((text) => Number(oneOf(text, ["4", "6"])) as Family),
    onResult: (result, done, total) => {
      const { id, evidence } = result;
      const count = `${String(done).padStart(String(total).length)}/${total}`;
      const why = isGood(result.result) ? "" : `${troubles([result]).replace(/^.*\n/, "")}\n`;
      process.stderr.write(`${count} ${result.result.padEnd(12)} ${id} (${evidence.ms} ms)\n${why}`);
    },
  });
  const isWell = report.cases.every(({ result }) => isGood(result)) && report.problems.length === 0;
  const seconds = Math.round((performance.now() - started) / 1000);
  if (values.json === true) process.stdout.write(`${JSON.stringify(report, patterns, 1)}\n`);
  else {
    process.stdout.write(`\n${matrix(report.cases, process.stdout.isTTY && process.env["NO_COLOR"] === undefined)}\n`);
  }
  const out = values.json === true ? process.stderr : process.stdout;
  if (!isWell)
    out.write(`\n${[troubles(report.cases), ...report.problems].filter((text) => text !== "").join("\n")}\n`);
  out.write(`\n${report.cases.length} results of ${cases.length} cases in ${seconds} s: ${summary(report.cases)}\n`);
  return isWell ? 0 : 1;
}

function oneOf<T extends string>(text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new TypeError(`${text} is none of ${choices.join(", ")}`);
  return found;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof TypeError;
  process.stderr.write(`battery: ${isUsage ? error.message : String(error instanceof Error ? error.stack : error)}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
// A stand that could not be ended must not keep a failed battery alive.
process.exit();
