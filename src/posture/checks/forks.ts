/** RG-07: which triggers let somebody without write access reach which runner. */
import { Binary, type Expr, Unary } from "@actions/expressions/ast";
import type { Frame, RepositoryFacts } from "../facts.ts";
import { inFile, subjectIn } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding, Severity } from "../finding.ts";
import { conjuncts, parseExpression, pathOf } from "../workflows/expression.ts";
import { reachOf } from "../workflows/reach.ts";
import type { Reach } from "../workflows/reach.ts";
import type { Workflow, WorkflowJob } from "../workflows/read.ts";
import { kindOf } from "../workflows/runs-on.ts";

/** `complete`: every workflow of the repository was read; else one that was not may lead here, and nothing passes. */
export function checkForks(
  repository: RepositoryFacts,
  workflows: readonly Workflow[],
  frame: Frame,
  complete: boolean,
): Finding[] {
  const reached = reachOf(workflows);
  return workflows.flatMap((workflow) =>
    workflow.jobs.flatMap((job) => {
      if (job.job.call !== null || job.job.neverRuns) return [];
      return checkJob(repository, workflow, job, reached.get(workflow.path) ?? [], frame, complete);
    }),
  );
}

function checkJob(
  repository: RepositoryFacts,
  workflow: Workflow,
  { id, job, runsOn, line, column }: WorkflowJob,
  reached: readonly Reach[],
  frame: Frame,
  complete: boolean,
): Finding[] {
  const kinds = new Set(runsOn.possible.map((set) => kindOf(set, frame.largerRunners ?? new Set())));
  const mayBeOurs = kinds.has("self-hosted") || kinds.has("own") || !runsOn.isWhole;
  if (!mayBeOurs) return [];
  const at = workflow.source.entry(job.map, "runs-on")?.key;
  const spot = at === undefined ? { line, column } : workflow.source.spot(at);
  const subject = subjectIn(repository, `${workflow.path}#${id}`);
  const where = inFile(workflow.path, spot.line, spot.column, `jobs.${id}.runs-on`);
  const common = { rule: "RG-07", check: "fork-reach", subject, where } as const;
  const guard = guardOf(workflow.source.textOf(workflow.source.value(job.map, "if")));
  const left = reached.filter(({ means }) => means === "code" || !guard);
  const runner = `runs-on ${runsOn.text}`;
  if (left.length === 0) {
    const why = reached.length === 0 ? "no trigger that a stranger can pull leads here" : "its if: holds forks off";
    const isOpen = !complete || workflow.triggers.some(({ name }) => name === "workflow_call");
    if (!isOpen || (reached.length > 0 && complete))
      return [finding({ ...common, status: "pass", seen: `${runner}: ${why}` })];
    const doubt = complete ? "other repositories may call it" : "a workflow that could not be read may lead here";
    return [
      finding({ ...common, status: "unknown", seen: `${runner}: ${why}, but ${doubt}`, fix: "Check the callers too." }),
    ];
  }
  const means = left.some((each) => each.means === "code") ? "code" : "input";
  const ways = [...new Set(left.map(wayText))].join(", ");
  const carried = means === "code" ? "runs a fork's code" : "runs with a stranger's input";
  const guarded = guard && means === "code" ? "; its if: stands in a file that the fork may change" : "";
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

/** True where `if:` can only hold for branches of the repository itself. It counts only where a stranger cannot edit it. */
function guardOf(condition: string | null): boolean {
  if (condition === null) return false;
  const inner = /^\s*\$\{\{(.*)\}\}\s*$/s.exec(condition)?.[1] ?? condition;
  if (inner.includes("${{")) return false;
  const tree = parseExpression(inner);
  return tree !== null && conjuncts(tree).some(isGuard);
}

const head = "github.event.pull_request.head.repo";

function isGuard(tree: Expr): boolean {
  if (tree instanceof Unary) return tree.operator.lexeme === "!" && nameOf(tree.expr) === `${head}.fork`;
  if (!(tree instanceof Binary) || tree.operator.lexeme !== "==") return false;
  const names = [nameOf(tree.left), nameOf(tree.right)];
  return names.includes(`${head}.full_name`) && names.includes("github.repository");
}

function nameOf(tree: Expr): string | null {
  return pathOf(tree)?.join(".").toLowerCase() ?? null;
}
