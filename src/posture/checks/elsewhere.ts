/**
 * RG-09 in what is used of other repositories: workflows that were read there are judged as one's own are, and what was not read is
 * unknown. That a call names a commit says nothing of what stands at that commit.
 */
import type { Node } from "yaml";
import type { RepositoryFacts } from "../facts.ts";
import { inFile, subjectIn } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding, Where } from "../finding.ts";
import { readLock } from "../lockfile.ts";
import { unreadText } from "../workflows/calls.ts";
import type { Workflow, WorkflowJob } from "../workflows/read.ts";
import { callersOf, seenAt, whereOf } from "./callers.ts";
import type { Callers } from "./callers.ts";
import type { Around } from "./jobs.ts";
import { imagesIn, lockPath, pinOf, plainUse, usesIn } from "./pins.ts";

/** `own`: `owner/repository` of the action that is ours, in lower case. */
export function checkElsewhere(
  repository: RepositoryFacts,
  workflows: readonly Workflow[],
  around: Around,
  own: string,
): Finding[] {
  const all = [...workflows, ...around.called];
  const callers = callersOf(all);
  const known = new Set(all.map(({ path }) => path));
  return [
    ...all.flatMap((workflow) =>
      workflow.jobs.flatMap((job) =>
        job.job.call === null || (job.calls !== null && known.has(job.calls))
          ? []
          : unreadCall(repository, workflow, job, callers, around.notCalled),
      ),
    ),
    ...around.called.flatMap((workflow) => workflow.jobs.flatMap((job) => looseIn(repository, workflow, job, callers))),
    ...actionsElsewhere(repository, workflows, around, callers, own),
  ];
}

function unreadCall(
  repository: RepositoryFacts,
  workflow: Workflow,
  job: WorkflowJob,
  callers: Callers,
  notCalled: ReadonlyMap<string, string>,
): Finding[] {
  const at = workflow.source.spot(job.job.call);
  const where = whereOf(callers, workflow, job, at, `jobs.${job.id}.uses`);
  const text = workflow.source.textOf(job.job.call) ?? "";
  if (where === null) return [];
  const seen = `it calls ${text}, ${unreadText(job.calls, notCalled)}: what it uses is not known`;
  const fix = "Look at the repository by --github, with a token that may read what it calls.";
  const subject = subjectIn(repository, `${workflow.path}#${job.id}: ${text}`);
  const common = { rule: "RG-09", check: "call-unread", status: "unknown", subject, where, fix } as const;
  return [finding({ ...common, seen: seenAt(workflow, at, seen) })];
}

/** What a job of a workflow elsewhere uses that can be moved. */
function looseIn(repository: RepositoryFacts, workflow: Workflow, job: WorkflowJob, callers: Callers): Finding[] {
  const { source, path } = workflow;
  const used = [
    ...(job.job.call === null ? [] : [{ node: job.job.call, text: source.textOf(job.job.call)?.trim() ?? "" }]),
    ...usesIn(source, job.job.steps),
  ].map((each) => ({ ...each, pin: pinOf(each.text, null) }));
  const images = imagesIn(source, job.job).map((each) => ({ ...each, pin: pinOf(`docker://${each.text}`, null) }));
  const loose = [...used, ...images].filter(({ pin }) => pin === "loose");
  const once = new Map<string, Node>();
  for (const { text, node } of loose) if (!once.has(text)) once.set(text, node);
  return [...once].flatMap(([text, node]) => {
    const at = source.spot(node);
    const where = whereOf(callers, workflow, job, at);
    if (where === null) return [];
    const isKnown = !text.includes("${{");
    const seen = isKnown ? `${text} is pinned by a name that can be moved` : `${text} only GitHub can work out`;
    const subject = subjectIn(repository, `${path}#${job.id}: ${text}`);
    const status = isKnown ? "fail" : "unknown";
    return [finding({ rule: "RG-09", check: "unpinned", status, subject, where, seen: seenAt(workflow, at, seen) })];
  });
}

/** Actions that are not opened, in one finding for all of them: every repository uses some. */
function actionsElsewhere(
  repository: RepositoryFacts,
  workflows: readonly Workflow[],
  { called, actions }: Around,
  callers: Callers,
  own: string,
): Finding[] {
  const lock = readLock(repository.files.get(lockPath) ?? null);
  const found = new Map<string, Where>();
  const nameOf = (text: string) => text.replace(/@[^@]*$/, "");
  const add = (name: string, where: Where | null) => {
    if (where !== null && !found.has(name)) found.set(name, where);
  };
  const isElsewhere = (text: string) =>
    /^[^./$][^/\s]*\/[^@\s]+@/.test(text) && !/^docker:/i.test(text) && !plainUse(text).startsWith(`${own}@`);
  for (const { path, source, jobs } of workflows)
    for (const { id, job } of jobs)
      for (const { node, text } of usesIn(source, job.steps)) {
        const { line, column } = source.spot(node);
        // The lockfile has what an action uses in turn, each with its commit; a line that does not say so leaves it open.
        const use = plainUse(text);
        const isLocked = lock !== null && lock.uses.get(path)?.has(use) === true && lock.whole.has(use);
        if (isElsewhere(text) && !isLocked) add(nameOf(text), inFile(path, line, column, `jobs.${id}`));
      }
  for (const { source, steps } of actions.values())
    for (const { node, text } of usesIn(source, steps)) {
      const { line, column } = source.spot(node);
      if (isElsewhere(text)) add(nameOf(text), inFile(source.path, line, column, "runs.steps"));
    }
  // A path in a workflow elsewhere is of its repository, or of whatever was checked out: neither is opened.
  for (const workflow of called)
    for (const job of workflow.jobs)
      for (const { node, text } of usesIn(workflow.source, job.job.steps)) {
        const isPath = /^[.$]\//.test(text);
        if (!isPath && !isElsewhere(text)) continue;
        const where = whereOf(callers, workflow, job, workflow.source.spot(node));
        add(isPath ? `${text} (in ${nameOf(workflow.path)})` : nameOf(text), where);
      }
  const [first] = found.values();
  if (first === undefined) return [];
  const names = [...found.keys()].toSorted();
  const listed = `${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`;
  const count = names.length === 1 ? "1 action" : `${names.length} actions`;
  return [
    finding({
      ...{ rule: "RG-09", check: "action-elsewhere", status: "unknown", severity: "low", where: first },
      subject: subjectIn(repository, "actions of other repositories"),
      seen: `${count} of other repositories ${names.length === 1 ? "is" : "are"} not opened, and a composite one may use what is not pinned: ${listed}`,
      fix: "Look at the action.yml of each at its commit, or lock them (gh actions-lock), which pins what they use, too.",
    }),
  ];
}
