/** `sallyport policy plan` and `promote`: recorded traffic against a policy that is not in force yet. */
import { type Command, Option } from "commander";
import { readRecorded } from "../baseline/inputs.ts";
import { planText, promotionText } from "../baseline/plan-text.ts";
import { Planner, type PlanOptions, type PlanReport } from "../baseline/plan.ts";
import { alreadyEnforced, promoted } from "../baseline/promote.ts";
import { RunTeller } from "../baseline/runs.ts";
import { writeAtomically } from "../baseline/write.ts";
import { SallyportError } from "../errors.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { duration, timeOrAgo } from "./options.ts";
import { atOption, load, read, say, type Shared } from "./policy-file.ts";

interface Replay {
  events: string[];
  since?: string;
  gap: number;
}

export function addPlan(policy: Command): void {
  replayOptions(policy.command("plan"))
    .description(
      "What a policy would have made of recorded traffic: newly denied, newly allowed, rules that nobody uses.",
    )
    .argument("<policy>", "the candidate")
    .option("--exit-code", "exit 1 when something that passed would be refused")
    .addOption(atOption())
    .option("--json", "as JSON")
    .action(async (file: string, options: Shared & Replay & { exitCode?: true }) => {
      const loaded = load(file, options);
      if (loaded === null) return;
      const report = await replay(options, { candidate: loaded.loaded, at: options.at });
      say(options.json === true ? JSON.stringify(report) : planText(report));
      if (options.exitCode === true && isDenying(report)) process.exitCode = 1;
    });
}

export function addPromote(policy: Command): void {
  replayOptions(policy.command("promote"))
    .description(
      "Turn enforcement on for one source, after a look at what that would have refused. Writes only with --write.",
    )
    .argument("<source>", "a declared source that the default only monitors")
    .requiredOption("-p, --policy <file>", "policy file to edit")
    .option("--write", "edit the file; without it nothing is written")
    .addOption(new Option("--dry-run", "write nothing (the default)").conflicts("write"))
    .option("--force", "also where recorded traffic would be refused")
    .addOption(atOption())
    .option("--json", "as JSON")
    .action(async (source: string, options: Shared & Replay & { policy: string; write?: true; force?: true }) => {
      await promote(source, options);
    });
}

async function promote(
  source: string,
  options: Shared & Replay & { policy: string; write?: true; force?: true },
): Promise<void> {
  const file = options.policy;
  const before = read(file);
  const after = promoted(before, file, source);
  if (after === alreadyEnforced) {
    say(
      options.json === true
        ? JSON.stringify({ schema: "sallyport.promote/1", source, written: false, already: true })
        : `${source} is enforced already.`,
    );
    return;
  }
  const candidate = loadPolicy(after, file, options.at);
  if (isPolicyProblems(candidate))
    throw new SallyportError("POLICY_INVALID", `${file} would not load any more.`, { file });
  const report = await replay(options, { candidate, at: options.at, source });
  // Nothing recorded is no leave: most often it is the wrong place.
  const isUnknown = report.connections === 0;
  const isRefused = (isDenying(report) || isUnknown) && options.force !== true;
  // What was read is what is replaced: an edit made meanwhile is not ours to undo.
  const isWritten = options.write === true && !isRefused && read(file) === before;
  if (isWritten) writeAtomically(file, after);
  if (options.json === true) {
    say(JSON.stringify({ schema: "sallyport.promote/1", source, written: isWritten, already: false, plan: report }));
  } else say([promotionText(source, report), ...outcome(source, file, isWritten, isRefused)].join("\n\n"));
  if (isRefused) {
    const why = isUnknown
      ? `nothing of ${source} is recorded there`
      : `enforcement for ${source} would refuse recorded traffic`;
    throw new SallyportError("PLAN_DENIES", `${file} was left as it is: ${why}.`);
  }
  if (options.write === true && !isWritten)
    throw new SallyportError("POLICY_CHANGED", `${file} changed meanwhile: nothing was written.`);
}

function outcome(source: string, file: string, isWritten: boolean, isRefused: boolean): string[] {
  if (isRefused) return [];
  if (isWritten) return [`${file} now enforces for ${source}. Put it in force with sallyport reload.`];
  return [`Nothing was written; --write adds ${source} to default.enforce_for in ${file}.`];
}

function isDenying({ changes, beyond }: PlanReport): boolean {
  return beyond > 0 || changes.some(({ kind }) => kind === "denied");
}

async function replay({ events, since, gap }: Replay, options: PlanOptions): Promise<PlanReport> {
  const planner = new Planner(new RunTeller(gap), options);
  for await (const { event, input } of readRecorded(events, {
    since: since === undefined ? undefined : timeOrAgo(since),
    onSkip: () => planner.skip(),
  })) {
    planner.add(event, input);
  }
  return planner.finish();
}

function replayOptions(command: Command): Command {
  return command
    .requiredOption("-e, --events <place...>", "state directories, and reports of sallyport run --report")
    .option("--since <when>", "RFC 3339 time, or 10m, 2h, 3d ago")
    .addOption(
      new Option("--gap <time>", "silence that parts two runs of one address")
        .argParser(duration)
        .default(600_000, "10m"),
    );
}
