/** Who calls a workflow, and where what is said of one elsewhere stands: at the first call here that leads to it. */
import { inFile } from "../facts.ts";
import type { Where } from "../finding.ts";
import { elsewhereOf } from "../workflows/calls.ts";
import { placeOf } from "../workflows/reach.ts";
import type { Workflow, WorkflowJob } from "../workflows/read.ts";

export interface Caller {
  readonly workflow: Workflow;
  readonly job: WorkflowJob;
}

export type Callers = ReadonlyMap<string, readonly Caller[]>;

/** By name of what is called. */
export function callersOf(workflows: readonly Workflow[]): Callers {
  const found = new Map<string, Caller[]>();
  for (const workflow of workflows) {
    for (const job of workflow.jobs) {
      if (job.calls === null) continue;
      const list = found.get(job.calls);
      if (list === undefined) found.set(job.calls, [{ workflow, job }]);
      else list.push({ workflow, job });
    }
  }
  return found;
}

/** `called by ci.yml:7:5, nightly.yml:9:5 and 2 more`; empty: nobody here calls it. */
export function calledBy(callers: Callers, path: string): string {
  const list = callers.get(path) ?? [];
  if (list.length === 0) return "";
  const places = list.slice(0, 3).map(({ workflow, job }) => placeOf(workflow, job.job.call));
  return `called by ${places.join(", ")}${list.length > 3 ? ` and ${list.length - 3} more` : ""}`;
}

/** Where a finding about a job of a workflow stands; null: nothing of this repository leads to that workflow. */
export function whereOf(
  callers: Callers,
  workflow: Workflow,
  job: WorkflowJob,
  at: { line: number; column: number },
  part = `jobs.${job.id}`,
): Where | null {
  if (elsewhereOf(workflow.path) === null) return inFile(workflow.path, at.line, at.column, part);
  const waiting = [workflow.path];
  const seen = new Set(waiting);
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    for (const caller of callers.get(path) ?? []) {
      const { line, column } = caller.workflow.source.spot(caller.job.job.call);
      if (elsewhereOf(caller.workflow.path) === null)
        return inFile(caller.workflow.path, line, column, `jobs.${caller.job.id}.uses`);
      if (!seen.has(caller.workflow.path)) waiting.push(caller.workflow.path);
      seen.add(caller.workflow.path);
    }
  }
  return null;
}

/** What was seen, with its own place where the finding stands at another. */
export function seenAt({ path }: Workflow, at: { line: number; column: number }, seen: string): string {
  return elsewhereOf(path) === null ? seen : `${path}:${at.line}:${at.column}: ${seen}`;
}
