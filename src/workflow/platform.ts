/** Where a job runs, as far as the file says: its `runs-on`, with a matrix written out where its values are literal. */
import { isMap, isSeq } from "yaml";
import type { Node } from "yaml";
import type { Source } from "./source.ts";

/**
 * `other`: Windows or macOS; `mixed`: some runs of a matrix are; `unknown`: an expression that only GitHub can work out; `unsaid`:
 * labels or a group of the organisation's own, which name no system.
 */
export type Platform = "linux" | "other" | "mixed" | "unknown" | "unsaid";

/** What a label can come to: texts, and null for what cannot be told. */
export type Values = readonly (string | null)[];

export function platformOf(source: Source, job: Node | null): Platform {
  const runsOn = source.value(job, "runs-on");
  const labels = labelsOf(source, runsOn);
  const matrix = source.value(job, "strategy", "matrix");
  const readings = labels.map((label) => (label === null ? [null] : expand(source, label, matrix)));
  if (readings.some((values) => values.length > 0 && values.every(isOther))) return "other";
  if (readings.some((values) => values.some(isOther))) return "mixed";
  if (readings.length === 0 || readings.some((values) => values.includes(null))) return "unknown";
  return readings.some((values) => values.length > 0 && values.every(isLinux)) ? "linux" : "unsaid";
}

/** The same for labels that are written out, with the group's name among them. */
export function platformOfLabels(labels: readonly string[]): "linux" | "other" | "unsaid" {
  if (labels.some(isOther)) return "other";
  return labels.some(isLinux) ? "linux" : "unsaid";
}

function isOther(value: string | null): boolean {
  return value !== null && /(?:^|,)\s*(?:windows|macos)/i.test(value);
}

const linuxNames = ["linux", "ubuntu", "debian", "fedora", "centos", "rhel", "rocky", "alma", "alpine", "suse"];
const linuxWord = new RegExp(`(?<![a-z])(?:${linuxNames.join("|")})(?![a-z])`, "i");

/** Names of Linux and its distributions as a word of a label: `ubuntu-24.04`, `linux-x64`, `gpu_linux`. */
function isLinux(value: string | null): boolean {
  return value !== null && linuxWord.test(value);
}

function labelsOf(source: Source, node: Node | null): Values {
  if (isSeq(node)) return node.items.map((item) => source.textOf(item));
  if (!isMap(node)) {
    const text = source.textOf(node);
    return text === null ? [] : [text];
  }
  const labels = labelsOf(source, source.value(node, "labels"));
  // A group of runners has a name of the organisation's own, as a label of a self-hosted runner has.
  return labels.length > 0 ? labels : [source.textOf(source.value(node, "group"))];
}

function expand(source: Source, label: string, matrix: Node | null): Values {
  const [expression, path] = /\$\{\{\s*matrix\.([\w.-]+)\s*\}\}/.exec(label) ?? [];
  if (expression === undefined) return [label.includes("${{") ? null : label];
  const values = matrixValues(source, matrix, path!.split("."));
  if (values === null || values.length === 0) return [null];
  return values.slice(0, 256).flatMap((value) => {
    if (value === null || value.includes("${{")) return [null];
    const rest = label.replaceAll(expression, value);
    return [rest.includes("${{") ? null : rest];
  });
}

/** Every value that a key of the matrix has, `include` counted in. What `exclude` takes away is not: it can only be less. */
export function matrixValues(source: Source, matrix: Node | null, [name, ...rest]: readonly string[]): Values | null {
  if (!isMap(matrix)) return null;
  const listed = source.value(matrix, name!);
  const included = source.value(matrix, "include");
  if (listed !== null && !isSeq(listed)) return null;
  if (included !== null && !isSeq(included)) return null;
  const items = [
    ...(listed?.items ?? []),
    ...(included?.items ?? []).flatMap((item) => source.value(item, name!) ?? []),
  ];
  return items.map((item) => {
    const value = source.value(item, ...rest);
    return isSeq(value) ? value.items.map((each) => source.textOf(each) ?? "").join(",") : source.textOf(value);
  });
}
