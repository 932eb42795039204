/**
 * A repository's workflows read together: triggers, jobs, the runners they can get with what callers pass them, and what of it a
 * fork can reach. Texts in, facts out; never throws, whatever the texts.
 */
import { isMap, isScalar, isSeq } from "yaml";
import type { Node } from "yaml";
import { jobsOf } from "../../workflow/jobs.ts";
import type { Job } from "../../workflow/jobs.ts";
import { readSource } from "../../workflow/source.ts";
import type { Source } from "../../workflow/source.ts";
import type { Spot } from "../../workflow/finding.ts";
import { elsewhereOf } from "./calls.ts";
import type { Value } from "./expression.ts";
import { inputsPassed, targetOf } from "./inputs.ts";
import type { Draft } from "./inputs.ts";
import { runsOnOf } from "./runs-on.ts";
import type { RunsOn } from "./runs-on.ts";

export interface Trigger extends Spot {
  readonly name: string;
  /** `on.<name>`, where it has settings. */
  readonly node: Node | null;
}

export interface WorkflowJob extends Spot {
  readonly id: string;
  readonly job: Job;
  readonly runsOn: RunsOn;
  /** The workflow it calls, by its name (`calls.ts`), whether it was read or not; null: none. */
  readonly calls: string | null;
}

export interface Workflow {
  /** In the repository; of a workflow elsewhere its name, `owner/repository/.github/workflows/x.yml@ref`. */
  readonly path: string;
  /** What `workflow_run` calls it. */
  readonly name: string;
  readonly source: Source;
  readonly triggers: readonly Trigger[];
  readonly jobs: readonly WorkflowJob[];
}

/** A file that is no workflow that can be read. */
export interface Unreadable extends Spot {
  readonly path: string;
  readonly why: string;
  readonly fix: string;
}

export interface Workflows {
  readonly read: readonly Workflow[];
  /** Workflows elsewhere that these call. */
  readonly called: readonly Workflow[];
  readonly unreadable: readonly Unreadable[];
}

interface Text {
  readonly path: string;
  readonly text: string;
}

/** `called`: texts of workflows elsewhere, each by its name; one that cannot be read is among the unreadable. */
export function readWorkflowTexts(files: readonly Text[], called: readonly Text[] = []): Workflows {
  const unreadable: Unreadable[] = [];
  const drafts: Draft[] = [];
  for (const { path, text } of [...files, ...called]) {
    const source = readSource(path, text.replace(/^\uFEFF/, ""), false);
    if ("code" in source)
      unreadable.push({ path, why: source.message, fix: source.fix, line: source.line, column: source.column });
    else drafts.push({ source, jobs: jobsOf(source) });
  }
  const passed = inputsPassed(drafts);
  const all = drafts.map(({ source, jobs }) => ({
    path: source.path,
    name: source.textOf(source.value(source.root, "name")) ?? source.path,
    source,
    triggers: triggersOf(source),
    jobs: jobs.map((job) => ({
      id: job.id,
      job,
      ...source.spot(job.key),
      runsOn: runsOnOf(source, job.map, passed.get(source.path) ?? new Map<string, readonly Value[]>()),
      calls: targetOf(source, job),
    })),
  }));
  const isHere = ({ path }: Workflow) => elsewhereOf(path) === null;
  return { read: all.filter(isHere), called: all.filter((each) => !isHere(each)), unreadable };
}

/** `on:` in its three forms. */
function triggersOf(source: Source): Trigger[] {
  const on = source.value(source.root, "on");
  if (isMap(on))
    return on.items.flatMap(({ key, value }) =>
      isScalar(key) ? [{ name: String(key.value), node: source.resolve(value), ...source.spot(key) }] : [],
    );
  const items: unknown[] = isSeq(on) ? on.items : [on];
  return items.flatMap((item) => {
    const name = source.textOf(item);
    return name === null ? [] : [{ name, node: null, ...source.spot(item) }];
  });
}
