/** The jobs of a workflow and their steps, as far as they matter to who wants to stand first in each of them. */
import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Node, Scalar, YAMLMap, YAMLSeq } from "yaml";
import { platformOf } from "./platform.ts";
import type { Platform } from "./platform.ts";
import type { Source } from "./source.ts";

/** Other firewalls that are a step, by their action. */
export const firewalls = {
  "step-security/harden-runner": "harden-runner",
  "bullfrogsec/bullfrog": "bullfrog",
  "code-cargo/cargowall-action": "cargowall",
} as const;

export type Firewall = (typeof firewalls)[keyof typeof firewalls];

/** One step. `node` is what stands in the list, `map` what it comes to. */
export interface Step {
  readonly node: Node;
  readonly isAlias: boolean;
  readonly map: YAMLMap | null;
  /** Lower case, without the ref and without a path in the repository; null: the step uses nothing. */
  readonly action: string | null;
  /** What stands behind the @. */
  readonly ref: string | null;
  readonly uses: Scalar | null;
}

export interface Job {
  readonly id: string;
  readonly key: Scalar;
  readonly map: YAMLMap | null;
  /** The list of steps: what stands in this job, or what an alias stands for. */
  readonly list: YAMLSeq | null;
  readonly steps: readonly Step[];
  /** The workflow that the job calls. */
  readonly call: Scalar | null;
  readonly container: Scalar | null;
  readonly platform: Platform;
  /** Its condition is the word false. */
  readonly neverRuns: boolean;
  readonly isMerged: boolean;
}

/** The jobs of a workflow, in order. */
export function jobsOf(source: Source): Job[] {
  const jobs = source.value(source.root, "jobs");
  if (!isMap(jobs)) return [];
  return jobs.items.flatMap(({ key, value }) => {
    if (!isScalar(key)) return [];
    const node = source.resolve(value);
    const map = isMap(node) ? node : null;
    const list = source.value(map, "steps");
    const call = source.value(map, "uses");
    const container = source.entry(map, "container");
    const condition = source.textOf(source.value(map, "if"));
    return [
      {
        id: String(key.value),
        key,
        map,
        list: isSeq(list) ? list : null,
        steps: isSeq(list) ? list.items.map((item) => stepOf(source, item as Node)) : [],
        call: isScalar(call) ? call : null,
        container:
          container !== null && source.textOf(container.value) !== "" && !isNothing(container.value)
            ? container.key
            : null,
        platform: platformOf(source, map),
        neverRuns: condition !== null && /^\s*(?:\$\{\{\s*false\s*\}\}|false)\s*$/i.test(condition),
        isMerged: source.entry(map, "<<") !== null,
      },
    ];
  });
}

function isNothing(node: Node | null): boolean {
  return node === null || (isScalar(node) && node.value === null);
}

/** One item of a list of steps, of a job or of a composite action. */
export function stepOf(source: Source, node: Node): Step {
  const resolved = source.resolve(node);
  const map = isMap(resolved) ? resolved : null;
  const uses = source.value(map, "uses");
  const text = source.textOf(uses);
  const [, action, ref] = /^([^/@\s]+\/[^/@\s]+)(?:\/[^@]*)?@(\S+)$/.exec(text?.trim() ?? "") ?? [];
  return {
    node,
    isAlias: isAlias(node),
    map,
    action: action === undefined ? (text?.trim() ?? null) : action.toLowerCase(),
    ref: ref ?? null,
    uses: isScalar(uses) ? uses : null,
  };
}

/** Steps, and behind each those that it runs beside each other (`parallel`). GitHub nests no such list in another. */
export function withBeside(source: Source, steps: readonly Step[]): Step[] {
  return steps.flatMap((step) => {
    const beside = source.value(step.map, "parallel");
    return [step, ...(isSeq(beside) ? beside.items.map((item) => stepOf(source, item as Node)) : [])];
  });
}

/** Which other firewall a step is; null: none. */
export function firewallOf({ action }: Step): Firewall | null {
  return action !== null && Object.hasOwn(firewalls, action) ? firewalls[action as keyof typeof firewalls] : null;
}
