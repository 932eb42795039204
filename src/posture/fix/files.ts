/**
 * Which workflows `--fix` would edit, and to what: the egress control put first, permissions written out, uses pinned, the
 * control made strict. Each edited text goes through the same checks again, and what still fails is left to people. Pure.
 */
import { addStep } from "../../workflow/add.ts";
import type { LocalAction, StepWanted } from "../../workflow/options.ts";
import { checkRepository } from "../checks/repository.ts";
import type { Frame, RepositoryFacts } from "../facts.ts";
import { subjectIn } from "../facts.ts";
import { findingId } from "../finding.ts";
import type { Finding } from "../finding.ts";
import { controlsOf } from "../workflows/control.ts";
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
  const edited = readWorkflowTexts(facts.workflows).read.flatMap((workflow) => {
    const text = wanted.texts.get(workflow.path);
    if (text === undefined) return [];
    const made = editWorkflow(workflow, text, wanted, open, why);
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
  open: ReadonlyMap<string, Finding>,
  why: Map<string, string>,
): Made {
  const { facts, frame } = wanted;
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
    const [first] = controlsOf(workflow.source, job.job, frame.own);
    const weak = first?.weakened ?? [];
    // What else takes its force away somebody wrote on purpose.
    if (weak.some((each) => each !== onlyForgiving)) continue;
    if (weak.length > 0) strict.add(job.id);
    if (first?.index === 0) continue;
    const reason = whyNoStep(job, first?.product ?? null, wanted.step);
    if (reason === null) bare.add(job.id);
    else why.set(id, reason);
  }
  // What is written for every job is left to a person: which of its jobs need what?
  const isSilent = workflow.source.entry(workflow.source.root, "permissions") === null && open.has(permissions);
  const lines = editLines(workflow.path, text, { permissions: isSilent, pins, strict, own: frame.own });
  const [refused] = lines.refused;
  if (refused !== undefined) for (const id of [permissions]) if (open.has(id)) why.set(id, refused);
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
  const nodes = [job.call, ...job.steps.map(({ uses }) => uses)];
  return [...new Set(nodes.flatMap((node) => (node === null ? [] : (source.textOf(node)?.trim() ?? []))))];
}

/** `actions/checkout@v5`, whatever path in the repository is used. */
export function pinKey(uses: string): string {
  const [, repository, ref] = /^([^/@\s]+\/[^/@\s]+)(?:\/[^@]*)?@(.+)$/.exec(uses) ?? [];
  return repository === undefined ? uses : `${repository.toLowerCase()}@${ref}`;
}

/** Why the action's step is not put into a job; null: it is. */
function whyNoStep({ runsOn }: WorkflowJob, product: string | null, step: StepWanted | null): string | null {
  if (product !== null && product !== "Sallyport")
    return `${product} is in the job already; sallyport workflow add --write replaces it`;
  if (runsOn.isWhole && runsOn.possible.every((set) => kindOf(set, new Set()) === "firewall"))
    return "the job has GitHub's firewall: write its policy, .github/egress-firewall.yaml";
  return step === null ? "say which commit of the action: --uses OWNER/REPO@<40 hex digits>" : null;
}
