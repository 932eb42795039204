/**
 * What of a repository's workflows somebody without write access can start: a pull request from a fork, a comment, an issue, and
 * the runs that follow (`workflow_run`) or are called (`workflow_call`).
 */
import { isSeq } from "yaml";
import type { Node } from "yaml";
import { elsewhereOf } from "./calls.ts";
import { guardOf } from "./guard.ts";
import type { Trigger, Workflow } from "./read.ts";

/**
 * `code`: the stranger's commit decides what runs, the workflow file with it. `input`: the base branch's file runs, with what the
 * stranger wrote at hand.
 */
export type Means = "code" | "input";

export interface Reach {
  readonly means: Means;
  /** The trigger that a stranger pulls, `pull_request_target`. */
  readonly trigger: string;
  /** The event that the workflow's own jobs run by, those of a called one by its caller's: `workflow_run` in what follows. */
  readonly event: string;
  /** Why it may be that no stranger can pull it after all, which no file shows; null: he can. */
  readonly doubt: string | null;
  /** From that workflow to this one, each where it leads on (`ci.yml:7:5`); the last is the workflow itself. */
  readonly way: readonly string[];
  /** Where the trigger, or what leads here, is written. */
  readonly at: Pick<Trigger, "line" | "column">;
}

/** Events that somebody without write access can cause (docs.github.com, "Events that trigger workflows"). */
const open: Readonly<Record<string, Means>> = {
  pull_request: "code",
  pull_request_review: "code",
  pull_request_review_comment: "code",
  pull_request_target: "input",
  issue_comment: "input",
  issues: "input",
  discussion: "input",
  discussion_comment: "input",
  fork: "input",
  watch: "input",
};

/** Events that a stranger causes where something that no file shows lets him. */
const maybeOpen: Readonly<Record<string, string>> = {
  gollum: "whether everybody may edit the wiki, the files do not say",
  check_run: "whether an app reports on what forks send, the files do not say",
  check_suite: "whether an app reports on what forks send, the files do not say",
  status: "whether an app reports on what forks send, the files do not say",
};
const dispatched = "whether a workflow that strangers can start sends it, the files do not say";

/** For each workflow, every open trigger that reaches it, by path. */
export function reachOf(workflows: readonly Workflow[]): Map<string, Reach[]> {
  const reached = new Map<string, Reach[]>();
  const add = (path: string, reach: Reach): boolean => {
    const list = reached.get(path) ?? [];
    const isSame = ({ means, trigger, event, doubt }: Reach) =>
      means === reach.means && trigger === reach.trigger && event === reach.event && doubt === reach.doubt;
    if (list.some(isSame)) return false;
    reached.set(path, [...list, reach]);
    return true;
  };
  const waiting: string[] = [];
  // A fork's own commit runs with a token that can send nothing.
  const hasOpenInput = workflows.some(
    ({ path, triggers }) => elsewhereOf(path) === null && triggers.some(({ name }) => open[name] === "input"),
  );
  for (const { path, triggers } of workflows) {
    // Elsewhere its own triggers start it for others.
    if (elsewhereOf(path) !== null) continue;
    for (const { name, line, column } of triggers) {
      const means = Object.hasOwn(open, name) ? open[name]! : "input";
      const doubt = doubtOf(name, hasOpenInput);
      if (doubt === undefined) continue;
      add(path, { means, trigger: name, event: name, doubt, way: [path], at: { line, column } });
      waiting.push(path);
    }
  }
  const byPath = new Map(workflows.map((workflow) => [workflow.path, workflow]));
  const followers = workflows.flatMap((workflow) => followed(workflow));
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    const workflow = byPath.get(path)!;
    for (const reach of reached.get(path) ?? []) {
      for (const { calls, job } of workflow.jobs) {
        const target = calls === null ? undefined : byPath.get(calls);
        if (target === undefined || job.neverRuns) continue;
        // A condition of the caller's holds for what it calls, where the stranger cannot edit it.
        if (reach.means === "input" && guardOf(workflow.source, job, reach)) continue;
        const at = target.triggers.find(({ name }) => name === "workflow_call") ?? { line: 1, column: 1 };
        const way = [...reach.way.slice(0, -1), placeOf(workflow, job.call), target.path];
        if (add(target.path, { ...reach, way, at })) waiting.push(target.path);
      }
      for (const { names, follower, at } of followers) {
        if (!names.includes(workflow.name) && !names.includes(path)) continue;
        // What follows runs the default branch's file, whatever began it.
        const { trigger, doubt } = reach;
        const way = [...reach.way, follower];
        if (add(follower, { means: "input", trigger, event: "workflow_run", doubt, way, at })) waiting.push(follower);
      }
    }
  }
  return reached;
}

/** Null: a stranger can pull it; undefined: he cannot. */
function doubtOf(name: string, hasOpenInput: boolean): string | null | undefined {
  if (Object.hasOwn(open, name)) return null;
  if (name === "repository_dispatch") return hasOpenInput ? dispatched : undefined;
  return Object.hasOwn(maybeOpen, name) ? maybeOpen[name] : undefined;
}

/** `ci.yml:7:5`. */
export function placeOf({ path, source }: Workflow, node: Node | null): string {
  const { line, column } = source.spot(node);
  return `${path}:${line}:${column}`;
}

function followed({ path, source, triggers }: Workflow): { names: string[]; follower: string; at: Trigger }[] {
  const at = triggers.find(({ name }) => name === "workflow_run");
  if (at === undefined || elsewhereOf(path) !== null) return [];
  const list = source.value(at.node, "workflows");
  const names = (isSeq(list) ? list.items : [list]).flatMap((item) => source.textOf(item) ?? []);
  return [{ names, follower: path, at }];
}
