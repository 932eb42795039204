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
import { textValues } from "./expression.ts";
import type { Value } from "./expression.ts";
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
  /** Path of the workflow it calls in this repository; null: none, or one elsewhere. */
  readonly callsHere: string | null;
}

export interface Workflow {
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
  readonly unreadable: readonly Unreadable[];
}

export function readWorkflowTexts(files: readonly { readonly path: string; readonly text: string }[]): Workflows {
  const unreadable: Unreadable[] = [];
  const sources: Source[] = [];
  for (const { path, text } of files) {
    const source = readSource(path, text.replace(/^\uFEFF/, ""), false);
    if ("code" in source)
      unreadable.push({ path, why: source.message, fix: source.fix, line: source.line, column: source.column });
    else sources.push(source);
  }
  const drafts = sources.map((source) => ({ source, jobs: jobsOf(source) }));
  const passed = inputsPassed(drafts);
  const read = drafts.map(({ source, jobs }) => ({
    path: source.path,
    name: source.textOf(source.value(source.root, "name")) ?? source.path,
    source,
    triggers: triggersOf(source),
    jobs: jobs.map((job) => ({
      id: job.id,
      job,
      ...source.spot(job.key),
      runsOn: runsOnOf(source, job.map, passed.get(source.path) ?? new Map<string, readonly Value[]>()),
      callsHere: calledHere(source, job),
    })),
  }));
  return { read, unreadable };
}

/** Also `$/…`, the repository itself (July 2026). */
function calledHere(source: Source, { call }: Job): string | null {
  return /^(?:\.|\$)\/(\.github\/workflows\/[^@]+)$/.exec(source.textOf(call)?.trim() ?? "")?.[1] ?? null;
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

/** For each called workflow: what its inputs can be, by default and from callers here. Null where anybody may call it. */
function inputsPassed(drafts: readonly { source: Source; jobs: readonly Job[] }[]): Map<string, Map<string, Value[]>> {
  const all = new Map<string, Map<string, Value[]>>();
  const add = (path: string, name: string, values: readonly Value[]) => {
    const inputs = all.get(path) ?? new Map<string, Value[]>();
    all.set(path, inputs);
    const before = inputs.get(name.toLowerCase()) ?? [];
    const fresh = values.filter((value) => !before.some((each) => JSON.stringify(each) === JSON.stringify(value)));
    inputs.set(name.toLowerCase(), [...before, ...fresh]);
  };
  for (const { source } of drafts) {
    for (const trigger of ["workflow_call", "workflow_dispatch"]) {
      const inputs = source.value(source.root, "on", trigger, "inputs");
      if (!isMap(inputs)) continue;
      for (const { key, value } of inputs.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        const text = source.textOf(source.value(value, "default"));
        const options = source.value(value, "options");
        if (trigger === "workflow_dispatch" && isSeq(options))
          add(
            source.path,
            name,
            options.items.flatMap((each) => source.textOf(each) ?? []),
          );
        else if (trigger === "workflow_dispatch") add(source.path, name, [null]);
        if (text !== null) add(source.path, name, [text]);
      }
    }
  }
  for (const { source, jobs } of drafts) {
    for (const job of jobs) {
      const target = calledHere(source, job);
      const given = source.value(job.map, "with");
      if (target === null || !isMap(given)) continue;
      for (const { key, value } of given.items) {
        if (isScalar(key))
          add(
            target,
            String(key.value),
            textValues(source.textOf(value) ?? "", () => null),
          );
      }
    }
  }
  return all;
}
