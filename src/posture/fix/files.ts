/**
 * Which workflows `--fix` would edit, and to what: the egress control put first, permissions written out, uses pinned, the
 * control made strict. Each edited text goes through the same checks again, and what still fails is left to people. Pure.
 */
import type { Node } from "yaml";
import { addStep } from "../../workflow/add.ts";
import { withBeside } from "../../workflow/jobs.ts";
import type { LocalAction, StepWanted } from "../../workflow/options.ts";
import { checkRepository } from "../checks/repository.ts";
import type { Frame, RepositoryFacts } from "../facts.ts";
import { subjectIn } from "../facts.ts";
import { findingId } from "../finding.ts";
import type { Finding } from "../finding.ts";
import { controlsOf, productOf } from "../workflows/control.ts";
import { hiddenControl } from "../workflows/hidden.ts";
import { readLocalActions } from "../workflows/local-actions.ts";
import type { LocalActions } from "../workflows/local-actions.ts";
import { readWorkflowTexts } from "../workflows/read.ts";
import type { Workflow, WorkflowJob } from "../workflows/read.ts";
import { kindOf } from "../workflows/runs-on.ts";
import type { Validator } from "../workflows/validate.ts";
import type { PlannedFile, Reason } from "./change.ts";
import { editLines, useKey } from "./lines.ts";
import type { LinesEdited } from "./lines.ts";

export interface FilesWanted {
  readonly facts: RepositoryFacts;
  /** Every finding of the same checks over the same facts. */
  readonly findings: readonly Finding[];
  /** Those that somebody accepted: nothing is changed for them. */
  readonly accepted: ReadonlySet<string>;
  /** Texts of the workflows as they are on the disk, with their byte order marks. */
  readonly texts: ReadonlyMap<string, string>;
  readonly frame: Frame;
  readonly validate: Validator;
  /** Null: nobody said which commit of the action to put in. */
  readonly step: StepWanted | null;
  /** Commits by `owner/repo@ref`, the first part in lower case. */
  readonly pins: ReadonlyMap<string, string>;
  readonly actions: ReadonlyMap<string, LocalAction>;
}

export interface FilesPlanned {
  readonly files: readonly PlannedFile[];
  /** Why a finding's edit is not made, by its id. */
  readonly why: ReadonlyMap<string, string>;
}

export function reasonOf({ rule, id, subject, seen }: Finding): Reason {
  return { rule, id, subject, text: seen };
}

export function planFiles(wanted: FilesWanted): FilesPlanned {
  const { facts, findings, accepted, frame, validate } = wanted;
  const open = new Map(
    findings.filter(({ status, id }) => status !== "pass" && !accepted.has(id)).map((each) => [each.id, each]),
  );
  const why = new Map<string, string>();
  const actions = readLocalActions(facts);
  const edited = readWorkflowTexts(facts.workflows).read.flatMap((workflow) => {
    const text = wanted.texts.get(workflow.path);
    if (text === undefined) return [];
    const made = editWorkflow(workflow, text, wanted, actions, open, why);
    return made.text === text ? [] : [{ path: workflow.path, from: text, to: made.text, diff: made.diff }];
  });
  if (edited.length === 0) return { files: [], why };
  const after = new Map(edited.map(({ path, to }) => [path, to]));
  const workflows = facts.workflows.map(({ path, text }) => ({ path, text: after.get(path) ?? text }));
  const again = checkRepository({ ...facts, workflows }, { defaultPermissions: null }, frame, validate).findings;
  const still = new Set(again.filter(({ status }) => status !== "pass").map(({ id }) => id));
  const known = new Set(findings.filter(({ status }) => status !== "pass").map(({ id }) => id));
  const isIn = (path: string) => (each: Finding) => each.where.kind === "file" && each.where.path === path;
  const files = edited.map(({ path, from, to, diff }): PlannedFile => ({
    kind: "file",
    path,
    from,
    to,
    diff,
    reasons: [...open.values()].filter((each) => isIn(path)(each) && !still.has(each.id)).map(reasonOf),
    after: again.filter((each) => each.status !== "pass" && isIn(path)(each) && !known.has(each.id)).map(reasonOf),
  }));
  // Nothing is changed that answers nothing.
  return { files: files.filter(({ reasons }) => reasons.length > 0), why };
}

/** As the checks say it (`workflows/control.ts`). */
const onlyForgiving = "its step has continue-on-error";

type Made = Pick<LinesEdited, "text" | "diff">;

function editWorkflow(
  workflow: Workflow,
  text: string,
  wanted: FilesWanted,
  actions: LocalActions,
  open: ReadonlyMap<string, Finding>,
  why: Map<string, string>,
): Made {
  const { facts, frame } = wanted;
  const { source } = workflow;
  const idOf = (rule: Finding["rule"], check: string, subject: string) =>
    findingId(rule, check, subjectIn(facts, subject));
  const permissions = idOf("RG-08", "permissions", workflow.path);
  const pins = new Map<string, string>();
  const strict = new Set<string>();
  const bare = new Set<string>();
  for (const job of workflow.jobs) {
    for (const uses of usesOf(workflow, job)) {
      const id = idOf("RG-09", "unpinned", `${workflow.path}#${job.id}: ${uses}`);
      const commit = wanted.pins.get(pinKey(uses));
      if (!open.has(id)) continue;
      if (commit !== undefined) pins.set(useKey(job.id, uses), commit);
      else if (!uses.startsWith("docker:")) why.set(id, `say its commit: --pin ${uses}=<40 hex digits>`);
    }
    const id = idOf("RG-10", "control", `${workflow.path}#${job.id}`);
    if (open.get(id)?.status !== "fail") continue;
    const [first] = controlsOf(source, job.job, frame.own);
    const weak = first?.weakened ?? [];
    // What else takes its force away somebody wrote on purpose.
    if (weak.some((each) => each !== onlyForgiving)) continue;
    if (weak.length > 0) strict.add(job.id);
    if (first?.index === 0) continue;
    const reason = whyNoStep(workflow, job, first?.product ?? null, wanted, actions);
    if (reason === null) bare.add(job.id);
    else why.set(id, reason);
  }
  for (const [key, other] of keepApart(workflow, { pins, strict }, frame.own)) {
    const [job, uses] = JSON.parse(key) as [string, string | null];
    const id =
      uses === null
        ? idOf("RG-10", "control", `${workflow.path}#${job}`)
        : idOf("RG-09", "unpinned", `${workflow.path}#${job}: ${uses}`);
    why.set(id, `the step is by alias one of job ${other} too, where it is to stay as it is`);
  }
  // What is written for every job is left to a person: which of its jobs need what?
  const isSilent = source.entry(source.root, "permissions") === null && open.has(permissions);
  const whySilent = isSilent ? whyNoPermissions(workflow) : null;
  if (whySilent !== null) why.set(permissions, whySilent);
  const isToSay = isSilent && whySilent === null;
  const lines = editLines(workflow.path, text, { permissions: isToSay, pins, strict, own: frame.own });
  const [refused] = lines.refused;
  if (refused !== undefined && isToSay) why.set(permissions, refused);
  if (bare.size === 0 || wanted.step === null) return lines;
  const paths = new Set(facts.workflows.map(({ path }) => path));
  const except = new Set(workflow.jobs.flatMap(({ id }) => (bare.has(id) ? [] : [`${workflow.path}#${id}`])));
  const scope = { repository: frame.own, assumeLinux: false, except, paths, actions: wanted.actions };
  const added = addStep(workflow.path, lines.text, wanted.step, scope);
  for (const { job, message, fix } of added.findings)
    if (job !== null) why.set(idOf("RG-10", "control", `${workflow.path}#${job}`), `${message}: ${spoken(fix)}`);
  return { text: added.text, diff: lines.diff + added.diff };
}

/** Advice of `workflow add` names its own options. */
function spoken(fix: string): string {
  return fix
    .replace("name the job with --except", "accept the finding (--accept)")
    .replace("say --assume-linux", "let sallyport workflow add --assume-linux do it");
}

function usesOf({ source }: Workflow, { job }: WorkflowJob): string[] {
  const nodes = [job.call, ...withBeside(source, job.steps).map(({ uses }) => uses)];
  return [...new Set(nodes.flatMap((node) => (node === null ? [] : (source.textOf(node)?.trim() ?? []))))];
}

/** `actions/checkout@v5`, whatever path in the repository is used. */
export function pinKey(uses: string): string {
  const [, repository, ref] = /^([^/@\s]+\/[^/@\s]+)(?:\/[^@]*)?@(.+)$/.exec(uses) ?? [];
  return repository === undefined ? uses : `${repository.toLowerCase()}@${ref}`;
}

/** Why no `permissions:` is put at the top; null: it is. Its jobs without any get that, and a called workflow's no more than it. */
function whyNoPermissions({ source, triggers, jobs }: Workflow): string | null {
  if (triggers.some(({ name }) => name === "workflow_call"))
    return "it is called by others, which give its jobs what they need or less: write permissions: in each of its jobs";
  const silent = jobs.find(({ job }) => job.call !== null && source.entry(job.map, "permissions") === null);
  if (silent === undefined) return null;
  return `job ${silent.id} calls a workflow, which may need more than contents: read and is refused without: write permissions: in that job`;
}

/**
 * Takes out of what is wanted the edits of steps that are by alias also another job's, where it is not wanted. What was taken out:
 * by the job and the text of `uses:` (null: the control), the other job.
 */
function keepApart(
  { source, jobs }: Workflow,
  { pins, strict }: { readonly pins: Map<string, string>; readonly strict: Set<string> },
  own: string,
): Map<string, string> {
  const users = new Map<Node, Set<string>>();
  const steps = jobs.map(({ id, job }) => ({ id, all: withBeside(source, job.steps) }));
  for (const { id, all } of steps)
    for (const node of all.flatMap(({ map, uses }) => [map, uses]))
      if (node !== null) users.set(node, (users.get(node) ?? new Set()).add(id));
  const out = new Map<string, string>();
  for (let more = true; more;) {
    more = false;
    for (const { id, all } of steps) {
      const control = all.find((step) => productOf(step, own) !== null)?.map ?? null;
      const apart = [...(users.get(control!) ?? [])].find((other) => !strict.has(other));
      if (strict.has(id) && apart !== undefined) {
        strict.delete(id);
        out.set(useKey(id, null), apart);
        more = true;
      }
      for (const { uses } of all) {
        const text = uses === null ? "" : (source.textOf(uses)?.trim() ?? "");
        if (!pins.has(useKey(id, text))) continue;
        const other = [...(users.get(uses!) ?? [])].find((each) => !pins.has(useKey(each, text)));
        if (other === undefined) continue;
        pins.delete(useKey(id, text));
        out.set(useKey(id, text), other);
        more = true;
      }
    }
  }
  return out;
}

/** Why the action's step is not put into a job; null: it is. */
function whyNoStep(
  { source }: Workflow,
  { job, runsOn }: WorkflowJob,
  product: string | null,
  { step, frame }: Pick<FilesWanted, "step" | "frame">,
  actions: LocalActions,
): string | null {
  if (product !== null && product !== "Sallyport")
    return `${product} is in the job already; sallyport workflow add --write replaces it`;
  const hidden = hiddenControl(source, job, actions, frame.own);
  if (hidden !== null) return `${hidden}: take it out of there first, since two undo each other`;
  if (runsOn.isWhole && runsOn.possible.every((set) => kindOf(set, new Set()) === "firewall"))
    return "the job has GitHub's firewall: write its policy, .github/egress-firewall.yaml";
  if (job.platform === "unsaid")
    return "its runs-on names no system: say it in a label ([self-hosted, linux]), or let sallyport workflow add do it";
  return step === null ? "say which commit of the action: --uses OWNER/REPO@<40 hex digits>" : null;
}
