/**
 * Holds a parsed file against the schema and says what does not fit in the words of this language. What does fit goes on
 * to be resolved, so that one run shows the problems of both kinds.
 */
import type { z } from "zod";
import type { Document, Path } from "./document.ts";
import { nearest } from "./problem.ts";
import type { Problems } from "./problem.ts";
import type { ShapedPolicy } from "./resolve.ts";
import { keysAt, policySchema } from "./schema.ts";
import type { RawPolicy } from "./schema.ts";

/** Reports every misfit; returns what fits. */
export function checkShape(document: Document, problems: Problems): ShapedPolicy {
  const checked = policySchema.safeParse(document.value);
  if (checked.success) return { ...checked.data, misshapen: new Set() };
  const bad = new Set<string>();
  for (const issue of checked.error.issues) {
    reportIssue(issue, [], document, problems);
    const [section, entry] = issue.path;
    // A rule with a key too many is otherwise as it should be.
    if (issue.code === "unrecognized_keys" && (section === "rules" || section === "permits")) continue;
    if (section !== undefined) bad.add(entry === undefined ? String(section) : `${String(section)} ${String(entry)}`);
  }
  return salvage(document.value, bad);
}

/** The entries of a file without those named in `bad` (a section, or a section and an entry). */
function salvage(value: unknown, bad: ReadonlySet<string>): ShapedPolicy {
  if (typeof value !== "object" || value === null) return { misshapen: bad };
  // Each part kept has passed the schema: no issue was raised at it or below it.
  const raw = value as Partial<RawPolicy>;
  const named = <T>(section: "sources" | "destinations", map: Record<string, T> | undefined): Record<string, T> =>
    bad.has(section)
      ? {}
      : Object.fromEntries(Object.entries(map ?? {}).filter(([name]) => !bad.has(`${section} ${name}`)));
  const listed = <T>(section: "permits" | "rules", list: T[] | undefined): (T | null)[] =>
    bad.has(section) ? [] : (list ?? []).map((entry, i) => (bad.has(`${section} ${i}`) ? null : entry));
  const badDefault = [...bad].some((path) => path.split(" ")[0] === "default");
  return {
    sources: named("sources", raw.sources),
    destinations: named("destinations", raw.destinations),
    permits: listed("permits", raw.permits),
    rules: listed("rules", raw.rules),
    ...(badDefault || raw.default === undefined ? {} : { default: raw.default }),
    misshapen: bad,
  };
}

/** One complaint of the schema, in the words of this language. */
function reportIssue(issue: z.core.$ZodIssue, base: Path, document: Document, problems: Problems): void {
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
    if (branch !== null) for (const inner of branch) reportIssue(inner, path, document, problems);
    else
      problems.add(
        "schema",
        place,
        `${where} has the wrong form`,
        "Write a text or a list of texts; see docs/policy-reference.md.",
      );
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
  problems.add(
    empty ? "empty" : "schema",
    place,
    `${where}: ${issue.message.toLowerCase()}`,
    "See docs/policy-reference.md.",
  );
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
    owner = typeof name === "string" ? `rule “${name}”` : `entry ${entry + 1} of ${section}`;
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
