/** What the inputs of workflows can be: their defaults and options, and what callers pass, from caller to caller. */
import { isMap, isScalar, isSeq } from "yaml";
import type { Job } from "../../workflow/jobs.ts";
import type { Source } from "../../workflow/source.ts";
import { calledFrom, elsewhereOf, mostLevels } from "./calls.ts";
import { textValues } from "./expression.ts";
import type { Value } from "./expression.ts";
import { lookupOf } from "./runs-on.ts";

export interface Draft {
  readonly source: Source;
  readonly jobs: readonly Job[];
}

/** By input in lower case; null among the values: not known. */
export type Inputs = ReadonlyMap<string, readonly Value[]>;

/** Values of one input; with more, null is among them. */
const most = 256;

export function targetOf(source: Source, { call }: Job): string | null {
  return calledFrom(source.path, source.textOf(call)?.trim() ?? "");
}

/** By workflow. As many rounds as GitHub has levels: what is passed on may be what was passed. */
export function inputsPassed(drafts: readonly Draft[]): Map<string, Inputs> {
  const all = new Map<string, Map<string, Value[]>>();
  const seen = new Set<string>();
  const add = (path: string, name: string, values: readonly Value[]): boolean => {
    const inputs = all.get(path) ?? new Map<string, Value[]>();
    all.set(path, inputs);
    const before = inputs.get(name.toLowerCase()) ?? [];
    inputs.set(name.toLowerCase(), before);
    let isNew = false;
    for (const value of values) {
      const one = before.length < most ? value : null;
      const key = JSON.stringify([path, name.toLowerCase(), one]);
      if (seen.has(key)) continue;
      seen.add(key);
      before.push(one);
      isNew = true;
    }
    return isNew;
  };
  for (const { source } of drafts) addOwn(source, (name, values) => add(source.path, name, values));
  const calls = drafts.flatMap(({ source, jobs }) =>
    jobs.flatMap((job) => {
      const target = targetOf(source, job);
      const given = source.value(job.map, "with");
      return target === null || !isMap(given) ? [] : [{ source, job, target, given }];
    }),
  );
  for (let level = 0, more = true; more && level < mostLevels; level++) {
    more = false;
    for (const { source, job, target, given } of calls) {
      const lookup = lookupOf(source, job.map, all.get(source.path) ?? new Map<string, Value[]>());
      for (const { key, value } of given.items) {
        if (!isScalar(key)) continue;
        const text = source.textOf(value);
        const values = text === null ? [null] : textValues(text, lookup);
        if (add(target, String(key.value), values)) more = true;
      }
    }
  }
  return all;
}

/** Defaults and options. A workflow elsewhere is only ever called. */
function addOwn(source: Source, add: (name: string, values: readonly Value[]) => void): void {
  for (const trigger of elsewhereOf(source.path) === null
    ? ["workflow_call", "workflow_dispatch"]
    : ["workflow_call"]) {
    const inputs = source.value(source.root, "on", trigger, "inputs");
    if (!isMap(inputs)) continue;
    for (const { key, value } of inputs.items) {
      if (!isScalar(key)) continue;
      const name = String(key.value);
      const text = source.textOf(source.value(value, "default"));
      const options = source.value(value, "options");
      if (trigger === "workflow_dispatch")
        add(name, isSeq(options) ? options.items.flatMap((each) => source.textOf(each) ?? []) : [null]);
      if (text !== null) add(name, [text]);
    }
  }
}
