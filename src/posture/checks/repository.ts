/** Every check that a repository's files allow, in one place. Texts in, findings out; never throws, whatever the texts. */
import { usualPolicy } from "../../action/inputs.ts";
import type { Frame, RepositoryFacts } from "../facts.ts";
import { inFile, subjectIn } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding } from "../finding.ts";
import { elsewhereOf } from "../workflows/calls.ts";
import { controlsOf, inputOf } from "../workflows/control.ts";
import { readLocalActions } from "../workflows/local-actions.ts";
import { readWorkflowTexts } from "../workflows/read.ts";
import type { Workflow } from "../workflows/read.ts";
import type { Validator } from "../workflows/validate.ts";
import { checkAllowlists } from "./allowlist.ts";
import { checkRetention } from "./assurance.ts";
import { checkElsewhere } from "./elsewhere.ts";
import { checkForks } from "./forks.ts";
import { checkInfrastructure } from "./infrastructure.ts";
import { checkJobs } from "./jobs.ts";
import { checkManifests } from "./manifests.ts";
import { nativePath, nativePolicyOf } from "./native.ts";
import { checkPermissions, checkPins } from "./pins.ts";

/** What of the settings changes how files are read. */
export interface SettingsForFiles {
  /** The token's rights where a workflow says nothing; null: not known. */
  readonly defaultPermissions: "read" | "write" | null;
}

export interface RepositoryChecked {
  readonly findings: readonly Finding[];
  readonly workflows: readonly Workflow[];
}

export function checkRepository(
  repository: RepositoryFacts,
  settings: SettingsForFiles,
  frame: Frame,
  validate: Validator,
): RepositoryChecked {
  const {
    read: workflows,
    called,
    unreadable: allUnreadable,
  } = readWorkflowTexts(repository.workflows, repository.called);
  const isHere = ({ path }: { readonly path: string }) => elsewhereOf(path) === null;
  const unreadable = allUnreadable.filter(isHere);
  const notCalled = new Map(
    [...repository.notCalled, ...allUnreadable.filter((each) => !isHere(each))].map(({ path, why }) => [path, why]),
  );
  const around = { called, notCalled, actions: readLocalActions(repository) };
  const native = nativePolicyOf(repository, frame);
  const unseen = [
    ...unreadable.map(({ path, why, fix, line, column }) => ({ path, why, fix, line, column })),
    ...repository.unread.map(({ path, why }) => ({ path, why, fix: "Check the path.", line: 1, column: 1 })),
  ];
  const findings = [
    ...unseen.map(({ path, why, fix, line, column }) =>
      finding({
        rule: "RG-10",
        check: "unreadable",
        status: "unknown",
        subject: subjectIn(repository, path),
        seen: `no workflow that can be read: ${why}`,
        where: inFile(path, line, column),
        fix,
      }),
    ),
    ...workflows.flatMap((workflow) => refusals(repository, workflow, validate)),
    ...checkJobs(repository, workflows, around, native, frame),
    ...native.findings,
    ...checkForks(repository, workflows, around, frame, unseen.length === 0),
    ...checkPins(repository, workflows, around.actions),
    ...checkElsewhere(repository, workflows, around, frame.own),
    ...checkPermissions(repository, workflows, settings.defaultPermissions),
    ...checkAllowlists(repository, workflows, policyPaths(workflows, frame), native, frame),
    ...checkInfrastructure(repository),
    ...checkManifests(repository),
    ...checkTests(repository, workflows),
    ...checkRetention(repository, frame),
  ];
  return { findings, workflows };
}

function refusals(repository: RepositoryFacts, workflow: Workflow, validate: Validator): Finding[] {
  const [first, ...more] = validate(workflow.source);
  if (first === undefined) return [];
  const besides = more.length === 0 ? "" : ` (and ${more.length} more)`;
  return [
    finding({
      rule: "RG-10",
      check: "refused-by-github",
      status: "unknown",
      severity: "info",
      subject: subjectIn(repository, workflow.path),
      seen: `GitHub's parser refuses it, so it may not run at all: ${first.message}${besides}`,
      where: inFile(workflow.path, first.line, first.column),
      fix: "Correct the workflow.",
    }),
  ];
}

/** Paths that may be policies, by a quick look at texts: more than those which steps name, so that these can be read first. */
export function likelyPolicies(texts: readonly { readonly text: string }[]): string[] {
  const found = texts.flatMap(({ text }) =>
    [...text.matchAll(/\bpolicy:\s*["']?([\w./-]+\.ya?ml)/gi)].map((match) => match[1]!),
  );
  return [...new Set(found.map((path) => path.replace(/^(\.\/)+/, "")))];
}

/** The policies that our steps name, and the usual one. */
export function policyPaths(workflows: readonly Workflow[], { own }: Pick<Frame, "own">): string[] {
  const named = workflows.flatMap(({ source, jobs }) =>
    jobs.flatMap(({ job }) =>
      controlsOf(source, job, own).flatMap(({ product, step }) => {
        const text = product === "Sallyport" ? source.textOf(inputOf(source, step, "policy")) : null;
        return text === null || text.includes("${{") ? [] : [text.trim().replace(/^(\.\/)+/, "")];
      }),
    ),
  );
  return [...new Set([usualPolicy, ...named])].filter((path) => path !== "" && path !== nativePath);
}

/** RG-22 as far as files show it: a schedule that runs the simulator. */
function checkTests(repository: RepositoryFacts, workflows: readonly Workflow[]): Finding[] {
  const scheduled = workflows.flatMap((workflow) => {
    const { source, triggers, jobs } = workflow;
    if (!triggers.some(({ name }) => name === "schedule")) return [];
    return jobs.flatMap(({ job }) =>
      job.steps.flatMap((step) => {
        const run = source.value(step.map, "run");
        return /\bsallyport\s+simulate\b/.test(source.textOf(run) ?? "") ? [{ workflow, run }] : [];
      }),
    );
  });
  const [first] = scheduled;
  const common = { rule: "RG-22", check: "scheduled", subject: subjectIn(repository, "exfiltration test") } as const;
  if (first === undefined) {
    const seen = "no workflow here runs sallyport simulate on a schedule; whether it is done elsewhere was not seen";
    return [finding({ ...common, status: "unknown", seen, where: inFile(".github/workflows", null, null) })];
  }
  const { workflow, run } = first;
  const { line, column } = workflow.source.spot(run);
  const seen = "a schedule runs sallyport simulate; how its last run ended was not seen";
  const fix = "Look at the last run's report.";
  return [finding({ ...common, status: "unknown", seen, where: inFile(workflow.path, line, column), fix })];
}
