/** What `sallyport policy check` says of a file: every problem with its line and a caret, or what the policy is. */
import { isPolicyProblems } from "./load.ts";
import type { LoadedPolicy, PolicyProblems } from "./load.ts";
import type { Problem } from "./problem.ts";
import { count } from "./wording.ts";

/** The JSON of `sallyport policy check --json`, one for each file. */
export interface CheckReport {
  schema: "sallyport.check/1";
  file: string;
  /** The file can be put in force. */
  loads: boolean;
  problems: readonly Problem[];
  warnings: readonly Problem[];
  /** Null where the file does not load. */
  policy: {
    hash: string;
    permits: number;
    rules: number;
    sources: number;
    default_mode: "monitor" | "enforce";
    enforce_for: string[];
    /** When a rule expires or turns from monitor to enforce next. */
    next_change: string | null;
  } | null;
}

/** The report for a file after loading. */
export function checkReport(file: string, loaded: LoadedPolicy | PolicyProblems): CheckReport {
  const schema = "sallyport.check/1";
  if (isPolicyProblems(loaded)) {
    return { schema, file, loads: false, problems: loaded.problems, warnings: [], policy: null };
  }
  const { policy, warnings, nextChange } = loaded;
  const permits = policy.rules.filter((rule) => rule.tier === 1).length;
  return {
    schema,
    file,
    loads: true,
    problems: [],
    warnings,
    policy: {
      hash: policy.hash,
      permits,
      rules: policy.rules.length - permits,
      sources: policy.sources.length,
      default_mode: policy.default.mode,
      enforce_for: policy.default.enforceFor.map((source) => source.name),
      next_change: nextChange === null ? null : nextChange.toISOString(),
    },
  };
}

/** The report for people; `text` is the file's content. No line break at its end. */
export function checkText(report: CheckReport, text: string): string {
  const { file, policy, problems, warnings } = report;
  if (policy === null) {
    const counted = count(problems.length, "problem");
    return [problemsText(problems, text, "error"), `${file}: does not load: ${counted}`].join("\n\n");
  }
  const { permits, rules, sources, default_mode, enforce_for, next_change, hash } = policy;
  const facts = [
    ...(permits > 0 ? [count(permits, "permit")] : []),
    count(rules, "rule"),
    count(sources, "source"),
    `default ${default_mode}${enforce_for.length > 0 ? ` (enforce for ${enforce_for.join(", ")})` : ""}`,
    ...(next_change === null ? [] : [`changes by itself at ${next_change.replace(".000Z", "Z")}`]),
    `policy ${hash.slice(0, 12)}`,
  ];
  const summary = `${file}: ${warnings.length === 0 ? "fine" : `loads, with ${count(warnings.length, "warning")}`}: ${facts.join(", ")}`;
  return warnings.length === 0 ? summary : [problemsText(warnings, text, "warning"), summary].join("\n\n");
}

/** Problems with the lines they are about: `file:line:column: message`, the line, a caret, the fix. */
export function problemsText(problems: readonly Problem[], text: string, kind: "error" | "warning"): string {
  const lines = text.split(/\r\n?|\n/);
  return problems.map((problem) => problemText(problem, lines[problem.line - 1] ?? "", kind)).join("\n\n");
}

/** How much of a long line is shown, and how much of it before the place that is meant. */
const shown = 100;
const lead = 40;

function problemText({ file, line, column, code, message, text, fix }: Problem, source: string, kind: string): string {
  const at = column - 1;
  const start = at + text.length > shown ? Math.max(0, at - lead) : 0;
  const cut = printable(source.slice(start, start + shown));
  const isThere = text !== "" && printable(source.slice(at)).startsWith(text);
  const under = Math.max(1, Math.min(isThere ? text.length : 1, shown - (at - start)));
  const margin = " ".repeat(String(line).length);
  return [
    `${file}:${line}:${column}: ${kind}: ${message} (${code})`,
    `  ${line} | ${start > 0 ? "…" : ""}${cut}${source.length > start + shown ? "…" : ""}`,
    `  ${margin} | ${start > 0 ? " " : ""}${" ".repeat(at - start)}${"^".repeat(under)}`,
    `  ${margin} = fix: ${fix}`,
  ].join("\n");
}

/** What is shown must not drive a terminal; one column for one character, tabs too, so that the caret meets its place. */
function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- exactly these are replaced
  return text.replaceAll("\t", " ").replaceAll(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, "\u{fffd}");
}
