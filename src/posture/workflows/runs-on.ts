/**
 * Which runners a job can get: its `runs-on` with matrices, inputs and expressions written out as far as the file says, and what
 * kind of runner that is. A label is only a text: a self-hosted runner may be called ubuntu-latest, and no file shows it.
 */
import { isMap, isSeq } from "yaml";
import type { Node } from "yaml";
import { matrixValues } from "../../workflow/platform.ts";
import type { Source } from "../../workflow/source.ts";
import { textValues } from "./expression.ts";
import type { Lookup, Value } from "./expression.ts";

/** One possibility. */
export interface RunnerSet {
  readonly labels: readonly string[];
  readonly group: string | null;
}

export interface RunsOn {
  readonly possible: readonly RunnerSet[];
  /** False: something in it only GitHub can work out. */
  readonly isWhole: boolean;
  /** As written, on one line. */
  readonly text: string;
}

/**
 * `hosted`: GitHub's, by a label that GitHub documents. `firewall`: the same behind GitHub's egress firewall. `self-hosted`: says
 * so. `own`: a label or group of the organisation's own: a self-hosted runner, a scale set, or a larger runner of GitHub's.
 */
export type RunnerKind = "hosted" | "firewall" | "self-hosted" | "own";

const most = 256;

const hosted = [
  /^ubuntu-(?:latest|slim|\d\d\.\d\d)(?:-arm)?$/,
  /^windows-(?:latest|20\d\d|11)(?:-vs20\d\d)?(?:-arm)?$/,
  /^macos-(?:latest|\d\d)(?:-(?:x?large|intel))?$/,
];
const firewall = /^ubuntu-(?:latest|\d\d\.\d\d)-firewall$/;

/** `larger`: labels of GitHub's own larger runners, in lower case, where the API was asked for them. */
export function kindOf({ labels, group }: RunnerSet, larger: ReadonlySet<string>): RunnerKind {
  const lower = labels.map((label) => label.toLowerCase());
  if (lower.includes("self-hosted")) return "self-hosted";
  if (lower.length > 0 && lower.every((label) => larger.has(label))) return "hosted";
  if (group !== null) return "own";
  if (lower.length === 1 && firewall.test(lower[0]!)) return "firewall";
  return lower.length === 1 && hosted.some((pattern) => pattern.test(lower[0]!)) ? "hosted" : "own";
}

/** What `inputs` and `matrix` of a job can be. `inputs`: what callers and defaults give, by name in lower case. */
export function lookupOf(source: Source, job: Node | null, inputs: ReadonlyMap<string, readonly Value[]>): Lookup {
  const matrix = source.value(job, "strategy", "matrix");
  const lookup: Lookup = ([context, name, ...rest]) => {
    if (name === undefined) return null;
    if (context === "inputs") return rest.length === 0 ? (inputs.get(name.toLowerCase()) ?? null) : null;
    if (context !== "matrix") return null;
    const written = source.textOf(source.value(matrix, name));
    // The whole list is an expression: what it comes to are lists, and a value is one item.
    if (written !== null && rest.length === 0 && source.value(matrix, "include") === null)
      return textValues(written, ofInputs).flatMap((list) => (Array.isArray(list) ? (list as string[]) : [null]));
    const values = matrixValues(source, matrix, [name, ...rest]);
    return values === null || values.length === 0
      ? null
      : values.slice(0, most).flatMap((text) => (text === null ? [null] : nested(text)));
  };
  const ofInputs: Lookup = (path) => (path[0] === "inputs" ? lookup(path) : null);
  // A matrix may hold expressions itself; one level, and no matrix in a matrix.
  const nested = (text: string): Value[] => {
    if (text.includes("${{")) return textValues(text, ofInputs);
    return [text.includes(",") ? text.split(",") : text];
  };
  return lookup;
}

export function runsOnOf(source: Source, job: Node | null, inputs: ReadonlyMap<string, readonly Value[]>): RunsOn {
  const node = source.value(job, "runs-on");
  const lookup = lookupOf(source, job, inputs);
  const group = isMap(node) ? source.value(node, "group") : null;
  const groups: (string | null | undefined)[] =
    group === null ? [null] : single(textValues(source.textOf(group) ?? "", lookup));
  const labels = isMap(node) ? source.value(node, "labels") : node;
  const sets = labelSets(source, labels, lookup);
  const possible = sets.flatMap((set) =>
    groups.flatMap((name) => (set === null || name === undefined ? [] : [{ labels: set, group: name }])),
  );
  const isWhole = node !== null && !sets.includes(null) && !groups.includes(undefined) && possible.length > 0;
  return { possible, isWhole, text: writtenAs(source, node) };
}

/** Group names; undefined: not known. */
function single(values: readonly Value[]): (string | undefined)[] {
  return values.map((value) => (typeof value === "string" ? value : undefined));
}

/** Each possible set of labels; null among them: not known. */
function labelSets(source: Source, node: Node | null, lookup: Lookup): (readonly string[] | null)[] {
  if (node === null) return [[]];
  if (!isSeq(node)) {
    const text = source.textOf(node);
    return text === null ? [null] : textValues(text, lookup).map((value) => (value === null ? null : [value].flat()));
  }
  let sets: (readonly string[] | null)[] = [[]];
  for (const item of node.items) {
    const values = textValues(source.textOf(item) ?? "", lookup);
    sets = sets.flatMap((before) =>
      values.map((value) => (before === null || value === null ? null : [...before, ...[value].flat()])),
    );
    if (sets.length > most) return [...sets.slice(0, most), null];
  }
  return sets;
}

function writtenAs(source: Source, node: Node | null): string {
  const [start, end] = node?.range ?? [0, 0];
  return source.text
    .slice(start, Math.min(end, start + 200))
    .replaceAll(/\s+/g, " ")
    .trim();
}
