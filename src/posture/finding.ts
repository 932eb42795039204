/**
 * What is said about one thing under one rule: what was seen, where, whether that holds, and what to do. Every source makes the
 * same findings, so that every report, baseline and fix reads them alike. What could not be seen is `unknown`, never `pass`.
 */
import { createHash } from "node:crypto";
import { catalogue } from "./catalogue.ts";
import type { Controls, RuleId } from "./catalogue.ts";
import type { CheckId } from "./check-catalogue.ts";

/** From the worst on. */
export const severities = ["critical", "high", "medium", "low", "info"] as const;
export type Severity = (typeof severities)[number];

/** `unknown`: the evidence was not there, or could not be read; `seen` says which, and `fix` how to get it. */
export type Status = "fail" | "pass" | "unknown";

/** Where somebody looks to see the same. */
export type Where =
  | {
      readonly kind: "file";
      /** As the repository or the command line names it, with `/`. */
      readonly path: string;
      /** 1-based; null where the file has no lines worth naming (one-line JSON). */
      readonly line: number | null;
      readonly column: number | null;
      /** What in it: `jobs.build.steps[0]`, `aws_iam_role.runner`, a JSON pointer; null: the whole file. */
      readonly part: string | null;
    }
  | {
      readonly kind: "api";
      /** `GET /orgs/octo/actions/runners`. */
      readonly endpoint: string;
      /** The field of the answer; null: all of it, or that there was none. */
      readonly field: string | null;
    };

export interface Finding {
  /** `RG-10-` and twelve hex digits of what is found about what: the same from run to run, wherever lines move. */
  readonly id: string;
  readonly rule: RuleId;
  readonly severity: Severity;
  readonly status: Status;
  /** Which of the rule's checks, in kebab case: `missing`, `not-first`. */
  readonly check: string;
  /** What it is about: `.github/workflows/ci.yml#build`, `runner group Default`, a role's ARN. */
  readonly subject: string;
  /** What was seen, as evidence: values as they were. One line, no secrets. */
  readonly seen: string;
  readonly where: Where;
  /** Why it matters; from the catalogue. */
  readonly why: string;
  /** A real incident that went this way; null: none is known to us. */
  readonly incident: string | null;
  /** What to do. For `pass`: an empty text. */
  readonly fix: string;
  /** What this is evidence for; the status says which way. */
  readonly controls: Controls;
}

export interface FindingInput {
  readonly rule: RuleId;
  readonly check: CheckId;
  readonly status: Status;
  readonly subject: string;
  readonly seen: string;
  readonly where: Where;
  /** Left out: the rule's. */
  readonly severity?: Severity;
  /** Left out: the rule's. */
  readonly fix?: string;
}

/** Makes a finding; what is not said comes from the rule's entry in the catalogue. */
export function finding({ rule, check, status, subject, seen, where, severity, fix }: FindingInput): Finding {
  const entry = catalogue[rule];
  return {
    id: findingId(rule, check, subject),
    rule,
    severity: severity ?? entry.severity,
    status,
    check,
    subject: oneLine(subject, 300),
    seen: oneLine(seen, 600),
    where,
    why: entry.why,
    incident: entry.incident,
    fix: status === "pass" ? "" : (fix ?? entry.fix),
    controls: entry.controls,
  };
}

/** The stable id: of the rule, the check and the subject alone. */
export function findingId(rule: RuleId, check: string, subject: string): string {
  const digest = createHash("sha256")
    .update(JSON.stringify([rule, check, subject]))
    .digest("hex");
  return `${rule}-${digest.slice(0, 12)}`;
}

/** `ci.yml:7:5`, or `GET /repos/o/r/actions/permissions: allowed_actions`. */
export function whereText(where: Where): string {
  if (where.kind === "api") return where.field === null ? where.endpoint : `${where.endpoint}: ${where.field}`;
  const { path, line, column, part } = where;
  const place = [path, ...(line === null ? [] : [line, ...(column === null ? [] : [column])])].join(":");
  return line === null && part !== null ? `${place} (${part})` : place;
}

/** Worst first, then by place, so that two runs print alike. */
export function compareFindings(a: Finding, b: Finding): number {
  const order = ["fail", "unknown", "pass"];
  return (
    order.indexOf(a.status) - order.indexOf(b.status) ||
    severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
    a.rule.localeCompare(b.rule, "en") ||
    (a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : 0) ||
    (a.check < b.check ? -1 : a.check > b.check ? 1 : 0)
  );
}

/** Foreign text made fit for a line: no control or formatting characters, of bounded length (UTF-16 units). */
export function oneLine(text: string, most: number): string {
  const plain = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029\s]+/gu, " ").trim();
  return plain.length > most ? `${plain.slice(0, most - 1)}…` : plain;
}
