/**
 * Holds a parsed file against the schema and says what does not fit in the words of this language. What does fit goes on
 * to be resolved, so that one run shows the problems of both kinds.
 */
import type { Document } from "./document.ts";
import { reportIssue } from "./misfit.ts";
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
    reportIssue(issue, [], { document, problems, keysAt, reference: "docs/policy-reference.md" });
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
