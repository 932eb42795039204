/** RG-07: which triggers let somebody without write access reach which runner. */
import type { Frame, RepositoryFacts } from "../facts.ts";
import { subjectIn } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding, Severity } from "../finding.ts";
import { elsewhereOf, unreadText } from "../workflows/calls.ts";
import { guardOf } from "../workflows/guard.ts";
import { reachOf } from "../workflows/reach.ts";
import type { Reach } from "../workflows/reach.ts";
import type { Workflow, WorkflowJob } from "../workflows/read.ts";
import { kindOf } from "../workflows/runs-on.ts";
import { callersOf, seenAt, whereOf } from "./callers.ts";
import type { Callers } from "./callers.ts";
import type { Around } from "./jobs.ts";

/** `complete`: every workflow of the repository was read; else one that was not may lead here, and nothing passes. */
export function checkForks(
  repository: RepositoryFacts,
  workflows: readonly Workflow[],
  { called, notCalled }: Pick<Around, "called" | "notCalled">,
  frame: Frame,
  complete: boolean,
): Finding[] {
  const all = [...workflows, ...called];
  const known = new Set(all.map(({ path }) => path));
  const callers = callersOf(all);
  const reached = reachOf(all);
  return all.flatMap((workflow) =>
    workflow.jobs.flatMap((job) => {
      const reaches = reached.get(workflow.path) ?? [];
      if (job.job.neverRuns || (job.calls !== null && known.has(job.calls))) return [];
      return job.job.call === null
        ? checkJob(repository, workflow, job, callers, reaches, frame, complete)
        : checkCall(repository, workflow, job, callers, reaches, unreadText(job.calls, notCalled));
    }),
  );
}

/** A job that calls what was not read, where a stranger can start it. */
function checkCall(
  repository: RepositoryFacts,
  workflow: Workflow,
  each: WorkflowJob,
  callers: Callers,
  reached: readonly Reach[],
  why: string,
): Finding[] {
  const left = reached.filter((reach) => reach.means === "code" || !guardOf(workflow.source, each.job, reach));
  if (left.length === 0) return [];
  const at = workflow.source.spot(each.job.call);
  const where = whereOf(callers, workflow, each, at, `jobs.${each.id}.uses`);
  if (where === null) return [];
  const ways = [...new Set(left.map(wayText))].join(", ");
  const seen = `${ways} leads to ${workflow.source.textOf(each.job.call)}, ${why}`;
  const subject = subjectIn(repository, `${workflow.path}#${each.id}`);
  const fix = "Look at the repository by --github, with a token that may read what it calls.";
  return [
    finding({
      ...{ rule: "RG-07", check: "fork-reach", status: "unknown", severity: "high", subject, where, fix },
      seen: seenAt(workflow, at, seen),
    }),
  ];
}

function checkJob(
  repository: RepositoryFacts,
  workflow: Workflow,
  each: WorkflowJob,
  callers: Callers,
  reached: readonly Reach[],
  frame: Frame,
  complete: boolean,
): Finding[] {
  const { id, job, runsOn, line, column } = each;
  const kinds = new Set(runsOn.possible.map((set) => kindOf(set, frame.largerRunners ?? new Set())));
  const mayBeOurs = kinds.has("self-hosted") || kinds.has("own") || !runsOn.isWhole;
  if (!mayBeOurs) return [];
  const at = workflow.source.entry(job.map, "runs-on")?.key;
  const spot = at === undefined ? { line, column } : workflow.source.spot(at);
  const subject = subjectIn(repository, `${workflow.path}#${id}`);
  const where = whereOf(callers, workflow, each, spot, `jobs.${id}.runs-on`);
  if (where === null) return [];
  const common = { rule: "RG-07", check: "fork-reach", subject, where } as const;
  const left = reached.filter((reach) => reach.means === "code" || !guardOf(workflow.source, job, reach));
  const runner = seenAt(workflow, spot, `runs-on ${runsOn.text}`);
  if (left.length === 0) {
    const why = reached.length === 0 ? "no trigger that a stranger can pull leads here" : "its if: holds forks off";
    const isHere = elsewhereOf(workflow.path) === null;
    const isOpen = !complete || (isHere && workflow.triggers.some(({ name }) => name === "workflow_call"));
    if (!isOpen || (reached.length > 0 && complete))
      return [finding({ ...common, status: "pass", seen: `${runner}: ${why}` })];
    const doubt = complete ? "other repositories may call it" : "a workflow that could not be read may lead here";
    return [
      finding({ ...common, status: "unknown", seen: `${runner}: ${why}, but ${doubt}`, fix: "Check the callers too." }),
    ];
  }
  const certain = left.filter(({ doubt }) => doubt === null);
  const ways = [...new Set((certain.length > 0 ? certain : left).map(wayText))].join(", ");
  if (certain.length === 0) {
    const seen = `${runner}: ${ways} may run with a stranger's input; ${left[0]!.doubt}`;
    const fix = "See to it that no stranger can cause it, or run it on GitHub's runners.";
    return [finding({ ...common, status: "unknown", severity: "high", seen, fix })];
  }
  const means = certain.some((each) => each.means === "code") ? "code" : "input";
  const carried = means === "code" ? "runs a fork's code" : "runs with a stranger's input";
  const isGuarded = certain.some((reach) => reach.means === "code" && guardOf(workflow.source, job, reach));
  const guarded = isGuarded ? "; its if: stands in a file that the fork may change" : "";
  const seen = `${runner}: ${ways} ${carried}${guarded}`;
  if (kinds.has("self-hosted"))
    return [finding({ ...common, status: "fail", severity: severityOf(means, repository.visibility), seen })];
  const doubt = runsOn.isWhole
    ? "whether that is a self-hosted runner, the file does not say"
    : "which runner that is, only GitHub can work out";
  // Asked of the API, what is left of the organisation's own labels is no runner of GitHub's.
  if (runsOn.isWhole && frame.largerRunners !== null)
    return [finding({ ...common, status: "fail", severity: severityOf(means, repository.visibility), seen })];
  const fix =
    "Use a label that says it (self-hosted), or give a token, so that GitHub's larger runners are told apart.";
  return [finding({ ...common, status: "unknown", severity: "high", seen: `${seen}; ${doubt}`, fix })];
}

function wayText({ trigger, way }: Reach): string {
  return way.length === 1 ? trigger : `${trigger} (by way of ${way.slice(0, -1).join(", ")})`;
}

/** Public: anybody. Else whoever may read and fork it. */
function severityOf(means: Reach["means"], visibility: RepositoryFacts["visibility"]): Severity {
  if (visibility === "public") return means === "code" ? "critical" : "high";
  return visibility === null && means === "code" ? "high" : "medium";
}
