/**
 * A schema's complaint in the words of the file: which key of which rule or sink, where it stands and what to write instead. For every
 * YAML file that people write for us.
 */
import type { z } from "zod";
import type { Document, Path } from "./document.ts";
import { nearest } from "./problem.ts";
import type { Problems } from "./problem.ts";

/** The file a complaint is about. */
export interface Shape {
  document: Document;
  problems: Problems;
  /** The keys a map at a place may have; empty where any key may stand. */
  keysAt: (path: Path) => string[];
  /** What to write at a place that has several forms, for files that have more than texts and lists of texts. */
  formAt?: (path: Path) => string | null;
  /** The document that describes the file. */
  reference: string;
}

/** One complaint of the schema, told with its place; `base` is where the value that it is about stands. */
export function reportIssue(issue: z.core.$ZodIssue, base: Path, shape: Shape): void {
  const { document, problems, keysAt, reference } = shape;
  const path = [...base, ...issue.path] as (string | number)[];
  const where = describe(document.value, path);
  const place = () => document.place(path);
  if (issue.code === "unrecognized_keys") {
    for (const key of issue.keys) {
      const known = keysAt(path);
      const guess = nearest(key, known);
      const fix =
        guess !== null
          ? `Did you mean ${guess}?`
          : known.length > 0
            ? `Known keys: ${known.join(", ")}.`
            : "Remove it.";
      problems.add("unknown_key", () => document.place([...path, key], true), `unknown key “${key}” in ${where}`, fix);
    }
    return;
  }
  if (issue.code === "invalid_union") {
    const branch = likeliest(issue.errors);
    if (branch !== null) for (const inner of branch) reportIssue(inner, path, shape);
    else {
      const fix = shape.formAt?.(path) ?? `Write a text or a list of texts; see ${reference}.`;
      problems.add("schema", place, `${where} has the wrong form`, fix);
    }
    return;
  }
  if (issue.code === "invalid_value") {
    const values = issue.values.map(String);
    const message = isMissing(document.value, path) ? `${where} is missing` : `${where} must be ${values.join(" or ")}`;
    problems.add("schema", place, message, `Write ${values.join(" or ")}.`);
    return;
  }
  if (issue.code === "invalid_type") {
    const expected = typeNames[issue.expected] ?? issue.expected;
    const message = isMissing(document.value, path) ? `${where} is missing` : `${where} must be ${expected}`;
    problems.add("schema", place, message, `Write ${expected}.`);
    return;
  }
  const empty = issue.code === "too_small" && (issue.origin === "array" || issue.origin === "string");
  problems.add(empty ? "empty" : "schema", place, `${where}: ${issue.message.toLowerCase()}`, `See ${reference}.`);
}

/** A path in words: `to of rule “python packages”`. */
function describe(value: unknown, path: Path): string {
  const [section, entry, ...keys] = path;
  if (section === undefined) return "the file";
  if (entry === undefined) return String(section);
  let owner = `${section}.${entry}`;
  if (typeof entry === "number") {
    const rule: unknown = (value as Record<string, unknown[]>)[section]?.[entry];
    const name = typeof rule === "object" && rule !== null && "name" in rule ? rule.name : null;
    const what = section === "export" ? "sink" : "rule";
    owner = typeof name === "string" ? `${what} “${name}”` : `entry ${entry + 1} of ${section}`;
  }
  return keys.length === 0 ? owner : `${keys.join(".")} of ${owner}`;
}

function isMissing(value: unknown, path: Path): boolean {
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return true;
    value = (value as Record<string | number, unknown>)[step];
  }
  return false;
}

const typeNames: Record<string, string> = {
  string: "a text",
  array: "a list",
  object: "a map of keys",
  record: "a map of names",
  int: "a whole number",
  number: "a number",
};

/** Of a union's branches, the one that got past the outermost type; null when none or several did. */
function likeliest(branches: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] | null {
  const deep = branches.filter((issues) => issues.every((i) => i.code !== "invalid_type" || i.path.length > 0));
  return deep.length > 0 ? deep.reduce((a, b) => (a.length <= b.length ? a : b)) : null;
}
