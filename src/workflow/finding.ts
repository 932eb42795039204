/** What is to be said about a workflow: a closed list of codes, each at its place, with what to write instead. */

/** Every code, with its title for documents; `note` says something and fails nothing. */
export const findingTitles = {
  unreadable: "The file is no workflow that can be read",
  missing: "The job has no Sallyport step",
  not_first: "The step is not the job's first",
  continue_on_error: "A failure of the step or the job is passed over",
  step_if: "The step has a condition",
  disabled: "The step is switched off",
  unpinned: "The step is pinned by a tag or branch",
  audit_too_long: "The step has only audited for too long",
  audit_age_unknown: "Since when the step audits is not known",
  container: "The job runs in a container",
  runner_os: "The job runs on Windows or macOS",
  runner_unknown: "Where the job runs is not known",
  called_elsewhere: "The job is a workflow of another repository",
  called_missing: "The job is a workflow that is not here",
  merge_key: "The job is made with a merge key",
  no_steps: "The job has no steps",
  flow_steps: "The steps are written in one line",
  odd_layout: "The text cannot be edited safely",
  shared_steps: "The steps are also those of a job that is not to have the step",
  needs_earlier: "The step uses what a step before it says",
  other_firewall: "Another firewall is a step of the job",
  never_runs: "The job never runs",
} as const;

export type FindingCode = keyof typeof findingTitles;

/** Said, and no reason to fail a check. */
const notes: ReadonlySet<FindingCode> = new Set(["never_runs", "audit_age_unknown"]);

/** Where in a file; both 1-based. */
export interface Spot {
  readonly line: number;
  readonly column: number;
}

/** One finding. `job` null: it is about the whole file. */
export interface Finding extends Spot {
  readonly file: string;
  readonly job: string | null;
  readonly code: FindingCode;
  readonly severity: "error" | "note";
  readonly message: string;
  readonly fix: string;
}

export function finding(
  file: string,
  job: string | null,
  { line, column }: Spot,
  code: FindingCode,
  message: string,
  fix: string,
): Finding {
  const severity = notes.has(code) ? "note" : "error";
  return { file, line, column, job, code, severity, message, fix };
}

/** `ci.yml:7:5: error: job build: … (missing)`, and the fix on a line of its own. */
export function findingText({ file, line, column, job, code, severity, message, fix }: Finding): string {
  const whose = job === null ? "" : `job ${job}: `;
  return `${file}:${line}:${column}: ${severity}: ${clean(`${whose}${message}`)} (${code})\n    fix: ${clean(fix)}`;
}

/** Foreign text on a terminal: no control characters, of bounded length. */
function clean(text: string): string {
  const plain = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ");
  return plain.length > 500 ? `${plain.slice(0, 499)}…` : plain;
}
