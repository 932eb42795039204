/** `sallyport baseline`: the arguments, where the text goes, and the exit code. */
import { existsSync, readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { Gatherer } from "../baseline/evidence.ts";
import { readRecorded } from "../baseline/inputs.ts";
import { driftOf, renderPage } from "../baseline/page.ts";
import { propose } from "../baseline/propose.ts";
import { type BaselineReport, baselineReport } from "../baseline/report.ts";
import { baselineText } from "../baseline/report-text.ts";
import { RunTeller } from "../baseline/runs.ts";
import { writeAtomically } from "../baseline/write.ts";
import { SallyportError } from "../errors.ts";
import type { Mode } from "../policy/decision.ts";
import type { LoadedPolicy } from "../policy/load.ts";
import { collect, duration, share, timeOrAgo } from "./options.ts";
import { load } from "./policy-file.ts";

interface BaselineArguments {
  policy?: string;
  out?: string;
  docs?: string;
  check?: true;
  accept: string[];
  foldStars?: true;
  mode: Mode;
  gap: number;
  since?: string;
  risk: number;
  confidence: number;
  span: number;
  together: number;
  json?: true;
}

export function addBaselineCommand(program: Command): void {
  program
    .command("baseline")
    .description("From recorded traffic to a proposed policy, with how complete it is.")
    .argument("<input...>", "state directories, and reports of sallyport run --report")
    .option(
      "-p, --policy <file>",
      "policy in force: which source an address belongs to, and what it denies is held back",
    )
    .option("-o, --out <file>", "write the proposed policy there; without it and --docs it goes to standard output")
    .option("-d, --docs <file>", "keep the allowlist for people there (docs/egress-allowlist.md)")
    .option("--check", "write nothing; exit 1 where --out or --docs are not what they would be")
    .option("--accept <host:port[=doubt]>", "propose what was held back (repeatable)", collect, [])
    .option("--fold-stars", "fold random-looking names of one zone into *.zone, where only its owner makes names")
    .addOption(
      new Option("-m, --mode <mode>", "mode of the proposal's default")
        .choices(["monitor", "enforce"])
        .default("monitor"),
    )
    .addOption(
      new Option("--gap <time>", "silence that parts two runs of one address, where events do not name their run")
        .argParser(duration)
        .default(600_000, "10m"),
    )
    .option("--since <when>", "RFC 3339 time, or 10m, 2h, 3d ago")
    .addOption(
      new Option("--risk <share>", "ready when the next run is new with at most this chance")
        .argParser(share)
        .default(0.05),
    )
    .addOption(new Option("--confidence <share>", "… with this confidence").argParser(share).default(0.95))
    .addOption(
      new Option("--span <time>", "… and the runs are from so long a time")
        .argParser(duration)
        .default(604_800_000, "7d"),
    )
    .addOption(
      new Option(
        "--together <time>",
        "runs that begin within so long are one, where events do not name their workflow run",
      )
        .argParser(duration)
        .default(300_000, "5m"),
    )
    .option("--json", "the whole report as JSON, and nothing else, on standard output")
    .addHelpText(
      "after",
      `
Examples:
  sallyport baseline seen.json > sallyport.yaml                          from one watched command
  sallyport baseline /var/lib/sallyport -p sallyport.yaml -o new.yaml    from a gateway's record
  sallyport baseline records/* -d docs/egress-allowlist.md --check       in CI: does the list still hold?

Exit codes: 0 fine, 1 --check found a difference, 2 usage, or something cannot be read`,
    )
    .action(async (inputs: string[], options: BaselineArguments) => {
      process.exitCode = await baseline(inputs, options);
    });
}

async function baseline(inputs: string[], options: BaselineArguments): Promise<number> {
  if (options.check === true && options.out === undefined && options.docs === undefined) {
    throw new SallyportError("USAGE", "--check needs --out or --docs to compare with.");
  }
  const loaded = options.policy === undefined ? null : load(options.policy, { at: new Date() });
  if (options.policy !== undefined && loaded === null) return 2;
  const { report, text } = await gathered(inputs, options, loaded?.loaded ?? null);
  if (options.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
  else process.stderr.write(`${baselineText(report)}\n`);
  if (options.check === true) return check(report, options);
  if (options.out !== undefined) writeAtomically(options.out, text);
  if (options.docs !== undefined) writeAtomically(options.docs, renderPage(report, textOf(options.docs)));
  if (options.json !== true && options.out === undefined && options.docs === undefined) process.stdout.write(text);
  return 0;
}

async function gathered(
  inputs: string[],
  options: BaselineArguments,
  loaded: LoadedPolicy | null,
): Promise<{ report: BaselineReport; text: string }> {
  const gatherer = new Gatherer(new RunTeller(options.gap), loaded?.engine ?? null);
  let skipped = 0;
  const since = options.since === undefined ? undefined : timeOrAgo(options.since);
  for await (const { event, input } of readRecorded(inputs, { since, onSkip: () => void skipped++ })) {
    gatherer.add(event, input);
  }
  const evidence = gatherer.finish();
  const proposal = propose(evidence, {
    mode: options.mode,
    accept: new Set(options.accept),
    stars: options.foldStars === true,
    sources: loaded?.policy.sources ?? [],
  });
  const { risk, confidence, span, together } = options;
  const aim = { risk, confidence, span, together };
  return { report: baselineReport(evidence, proposal, aim, skipped), text: proposal.text };
}

function check(report: BaselineReport, { out, docs }: BaselineArguments): number {
  // As a checkout may have ended its lines.
  const isSame = (path: string) => textOf(path)?.replaceAll("\r\n", "\n") === report.policy;
  const complaints = [
    ...(out === undefined || isSame(out) ? [] : [`${out} is not what would be proposed.`]),
    ...(docs === undefined ? [] : driftOf(report, textOf(docs)).map((line) => `${docs}: ${line}`)),
  ];
  for (const complaint of complaints) process.stderr.write(`sallyport: ${complaint}\n`);
  return complaints.length === 0 ? 0 : 1;
}

/** Null where there is no file yet. Throws FILE_UNWRITABLE: what cannot be read is not replaced. */
function textOf(path: string): string | null {
  try {
    return existsSync(path) ? readFileSync(path, "utf8") : null;
  } catch (error) {
    throw new SallyportError(
      "FILE_UNWRITABLE",
      `${path} cannot be replaced: ${(error as Error).message}.`,
      { path },
      error,
    );
  }
}
