/**
 * A policy file's text in, an engine out; or every problem of the file at once. The one way a policy comes into force:
 * the command line, the gateway, the Action and `sallyport run --allow` all pass through here, and each worker thread
 * rebuilds its engine from the same text. Pure: the caller reads the file and the clock.
 */
import { createHash } from "node:crypto";
import type { z } from "zod";
import { compile } from "./compile.ts";
import type { Engine } from "./decision.ts";
import { readDocument } from "./document.ts";
import type { Document, Path } from "./document.ts";
import { lint } from "./lint.ts";
import { nextChange } from "./model.ts";
import type { Policy } from "./model.ts";
import { Problems, nearest } from "./problem.ts";
import type { Problem } from "./problem.ts";
import { resolvePolicy } from "./resolve.ts";
import { keysAt, policySchema } from "./schema.ts";
import { findUnreachable } from "./shadow.ts";

/** A policy in force. */
export interface LoadedPolicy {
  readonly engine: Engine;
  readonly policy: Policy;
  /** What loads but deserves a look (expired rules, opaque names, wide wildcards). */
  readonly warnings: readonly Problem[];
  /** When some rule expires or turns from monitor to enforce: load again then. Null when nothing will change. */
  readonly nextChange: Date | null;
}

/** Every problem of a file that does not load, in the order of the file; never empty. */
export interface PolicyProblems {
  readonly problems: readonly Problem[];
}

/** True for the failure arm of {@link loadPolicy} and {@link readPolicy}. */
export function isPolicyProblems(value: object): value is PolicyProblems {
  return "problems" in value;
}

/**
 * Loads and compiles a policy. `file` is for messages only. `now` decides which rules have expired and which monitor
 * rules have become enforcing. Never throws, whatever the text.
 */
export function loadPolicy(text: string, file: string, now: Date): LoadedPolicy | PolicyProblems {
  const policy = readPolicy(text, file);
  if (isPolicyProblems(policy)) return policy;
  const at = now.getTime();
  return {
    engine: compile(policy, at),
    policy,
    warnings: lint(policy, at),
    nextChange: nextChange(policy, at),
  };
}

/** The policy of a file without an engine: for reports, differences and the reference evaluator. */
export function readPolicy(text: string, file: string): Policy | PolicyProblems {
  const problems = new Problems(file);
  const document = readDocument(text, problems);
  if (document === null) return { problems: problems.list };
  const checked = policySchema.safeParse(document.value);
  if (!checked.success) {
    for (const issue of checked.error.issues) reportIssue(issue, [], document, problems);
    return { problems: problems.list };
  }
  const hash = createHash("sha256").update(text).digest("hex");
  const policy = resolvePolicy(checked.data, document, problems, hash, file);
  if (problems.count === 0) findUnreachable(policy, document, problems);
  return problems.count === 0 ? policy : { problems: problems.list };
}

/** One complaint of the schema, in the words of this language. */
function reportIssue(issue: z.core.$ZodIssue, base: Path, document: Document, problems: Problems): void {
  const path = [...base, ...issue.path] as (string | number)[];
  const where = path.length === 0 ? "the file" : path.map(String).join(".");
  const place = () => document.place(path);
  if (issue.code === "unrecognized_keys") {
    for (const key of issue.keys) {
      const known = keysAt(path);
      const guess = nearest(key, known);
      const fix = guess !== null ? `Did you mean ${guess}?` : known.length > 0 ? `Known keys: ${known.join(", ")}.` : "Remove it.";
      problems.add("unknown_key", () => document.place([...path, key], true), `unknown key “${key}” in ${where}`, fix);
    }
    return;
  }
  if (issue.code === "invalid_union") {
    const branch = likeliest(issue.errors);
    if (branch !== null) for (const inner of branch) reportIssue(inner, path, document, problems);
    else problems.add("schema", place, `${where} has the wrong form`, "Write a text or a list of texts; see docs/policy-reference.md.");
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
  problems.add(empty ? "empty" : "schema", place, `${where}: ${issue.message.toLowerCase()}`, "See docs/policy-reference.md.");
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
