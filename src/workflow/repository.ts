/** A repository's workflows together: what a plan for all of them comes to, and what a check of all of them says. Pure. */
import { addStep } from "./add.ts";
import type { Addition } from "./add.ts";
import { checkWorkflow } from "./check.ts";
import type { AuditLimit } from "./check.ts";
import { findingText } from "./finding.ts";
import type { Finding } from "./finding.ts";
import type { Scope, StepWanted } from "./options.ts";

/** A file as it was read, or why it could not be. */
export type WorkflowFile = { readonly path: string; readonly text: string } | Finding;

/** The JSON of `sallyport workflow add --json`. */
export interface AddReport {
  readonly schema: "sallyport.workflow-add/1";
  /** All of it is on the disk. */
  written: boolean;
  /** Every job has the step, or will have it. */
  readonly complete: boolean;
  readonly files: readonly Addition[];
  readonly findings: readonly Finding[];
}

/** The JSON of `sallyport workflow add --check --json`. */
export interface CheckReport {
  readonly schema: "sallyport.workflow-check/1";
  /** No finding is more than a note. */
  readonly passes: boolean;
  readonly workflows: number;
  readonly findings: readonly Finding[];
}

export function addToAll(files: readonly WorkflowFile[], wanted: StepWanted, scope: Scope): AddReport {
  const unread = files.filter((file) => "code" in file);
  const additions = files.flatMap((file) => ("code" in file ? [] : [addStep(file.path, file.text, wanted, scope)]));
  const findings = [...unread, ...additions.flatMap((each) => each.findings)];
  const complete = findings.every(({ severity }) => severity === "note");
  return { schema: "sallyport.workflow-add/1", written: false, complete, files: additions, findings };
}

/** For people: the diff, what was done and lost, and what could not be. */
export function addText({ files, findings }: AddReport): string {
  const diffs = files.map(({ diff }) => diff).join("");
  const policies = files.flatMap((file) => file.policies.map(({ path, text }) => newFileDiff(path, text))).join("");
  const done = files.flatMap((file) =>
    file.done.flatMap(({ job, line, message, lost }) => [
      `${file.file}:${line}: job ${job}: ${message}`,
      ...lost.map((each) => `    lost: ${each}`),
    ]),
  );
  const rows = [...done, ...findings.map(findingText)];
  return [diffs + policies, rows.length === 0 ? "" : `${rows.join("\n")}\n`].filter((part) => part !== "").join("\n");
}

function newFileDiff(path: string, text: string): string {
  const lines = text.replace(/\n$/, "").split("\n");
  return `--- /dev/null\n+++ b/${path}\n@@ -0,0 +1,${lines.length} @@\n${lines.map((line) => `+${line}\n`).join("")}`;
}

export function checkAll(files: readonly WorkflowFile[], scope: Scope, audit: AuditLimit | null): CheckReport {
  const findings = files.flatMap((file) =>
    "code" in file ? [file] : checkWorkflow(file.path, file.text, scope, audit),
  );
  const passes = findings.every(({ severity }) => severity === "note");
  return { schema: "sallyport.workflow-check/1", passes, workflows: files.length, findings };
}

export function checkText({ findings, passes, workflows }: CheckReport): string {
  const counted = `${workflows} workflow${workflows === 1 ? "" : "s"}`;
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const end = passes
    ? `${counted}: every job has the step first, but for those excepted and those noted`
    : `${counted}: ${errors} finding${errors === 1 ? "" : "s"}`;
  return [...findings.map(findingText), end].join("\n");
}
