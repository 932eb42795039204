/** `sallyport workflow add`: the action's step first in every job of a repository, and `--check` that it stays so. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { SallyportError } from "../errors.ts";
import type { Scope, StepWanted } from "../workflow/options.ts";
import { addText, addToAll, checkAll, checkText } from "../workflow/repository.ts";
import { collect, integer } from "./options.ts";
import { say } from "./policy-file.ts";
import { lineAges, localActions, pathWithin, readWorkflows, workflowPaths, writeAll } from "./workflow-files.ts";

interface Flags {
  repository: string;
  uses?: { repository: string; ref: string | null };
  tag?: string;
  versionComment?: string;
  egressPolicy?: "audit" | "block";
  policy?: string;
  assumeLinux?: true;
  except: string[];
  write?: true;
  check?: true;
  auditDays?: number;
  json?: true;
}

const usual = "sallyport/sallyport";

export function addWorkflowCommand(program: Command): void {
  program
    .command("workflow")
    .description("The workflows of a repository.")
    .command("add")
    .description("Put the Sallyport step first in every job of every workflow, as a diff; writes only with --write.")
    .argument("[workflow...]", "files; default: all in .github/workflows")
    .option("-C, --repository <dir>", "the repository's folder", ".")
    .addOption(
      new Option("--uses <owner/repo@sha>", "the action, pinned by the commit's 40 digits").argParser(actionOf),
    )
    .addOption(new Option("--version-comment <text>", "behind the commit, such as v1").argParser(commentOf))
    .addOption(new Option("--tag <tag>", "pin a tag instead, which its owner can move").argParser(readTag))
    .addOption(
      new Option("--egress-policy <mode>", "what the step says; default: audit, or what a replaced step said").choices([
        "audit",
        "block",
      ]),
    )
    .addOption(new Option("--policy <path>", "path of the policy in the repository").argParser(readPolicyPath))
    .option("--assume-linux", "take jobs whose runs-on is an expression for Linux")
    .option("--except <job>", "a job that needs no step: job, or file.yml#job (repeatable)", collect, [])
    .option("--write", "edit the files, all or none; without it nothing is written")
    .addOption(new Option("--dry-run", "write nothing (the default)").conflicts(["write", "check"]))
    .addOption(
      new Option("--check", "only look: exit 1 where a job has no step, or not first, whole and pinned").conflicts(
        "write",
      ),
    )
    .addOption(
      new Option("--audit-days <n>", "with --check: how long a step may only audit, by git").argParser(
        integer(0, 36_500),
      ),
    )
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
Examples:
  sallyport workflow add --uses ${usual}@<40 hex> --version-comment v1
  sallyport workflow add --uses ${usual}@<40 hex> --version-comment v1 --write
  sallyport workflow add --check --audit-days 30       in CI

Steps with harden-runner, Bullfrog and CargoWall are replaced. More: docs/action.md
Exit codes: 0 every job has the step (or will have it), 1 some job has not, 2 nothing can be done`,
    )
    .action((typed: string[], flags: Flags) => {
      if (flags.auditDays !== undefined && flags.check !== true)
        throw new SallyportError("USAGE", "--audit-days goes with --check.");
      const wanted = flags.check === true ? null : wantedOf(flags);
      const all = typed.length === 0 ? workflowPaths(flags.repository) : [];
      const paths = typed.length === 0 ? all : [...new Set(typed.map((file) => pathWithin(flags.repository, file)))];
      const scope: Scope = {
        repository: flags.uses?.repository ?? usual,
        assumeLinux: flags.assumeLinux === true,
        except: new Set(flags.except),
        paths: new Set([...all, ...paths, ...(typed.length === 0 ? [] : besides(flags.repository))]),
      };
      if (wanted === null) check(paths, scope, flags);
      else add(paths, wanted, scope, flags);
    });
}

/** The other workflows of the repository, which a named one may call; they are checked when they are named. */
function besides(repository: string): string[] {
  try {
    return workflowPaths(repository);
  } catch {
    return [];
  }
}

function check(paths: readonly string[], scope: Scope, flags: Flags): void {
  const { auditDays: days, repository } = flags;
  const audit = days === undefined ? null : { days, changed: lineAges(repository), now: new Date() };
  const files = readWorkflows(repository, paths);
  const actions = localActions(repository, files, scope);
  const report = checkAll(files, { ...scope, actions }, audit);
  say(flags.json === true ? JSON.stringify(report) : checkText(report));
  process.exitCode = report.passes ? 0 : 1;
}

function add(paths: readonly string[], wanted: StepWanted, scope: Scope, flags: Flags): void {
  const before = readWorkflows(flags.repository, paths);
  const actions = localActions(flags.repository, before, scope);
  const report = addToAll(before, wanted, { ...scope, actions });
  const unread = report.findings.filter(({ code }) => code === "unreadable");
  const written = flags.write === true && unread.length === 0 ? writeAll(flags.repository, before, report) : [];
  report.written = written.length > 0;
  if (flags.json === true) say(JSON.stringify(report));
  else {
    process.stdout.write(addText(report));
    const changed = report.files.filter(({ done }) => done.length > 0).length;
    if (report.written) say(`Written: ${written.join(", ")}`);
    else if (unread.length === 0)
      say(
        changed === 0
          ? "Nothing is to be changed."
          : `Nothing was written; --write changes ${changed} of ${paths.length} workflows.`,
      );
  }
  process.exitCode = report.complete ? 0 : 1;
  if (unread.length > 0) {
    const names = unread.map(({ file }) => file).join(", ");
    throw new SallyportError("WORKFLOW_INVALID", `${names} cannot be read as a workflow: nothing was written.`);
  }
}

function wantedOf(flags: Flags): StepWanted {
  const repository = flags.uses?.repository ?? usual;
  const sha = flags.uses?.ref ?? null;
  if (sha !== null && flags.tag !== undefined)
    throw new SallyportError("USAGE", "--uses says a commit already: leave --tag out, and say --version-comment.");
  const ref = sha ?? flags.tag;
  if (ref === undefined) {
    const find = `git ls-remote https://github.com/${repository} 'refs/tags/v1*'`;
    throw new SallyportError(
      "USAGE",
      `Say which commit of the action: --uses ${repository}@<its 40 hex digits> --version-comment v1 (${find} shows it), or --tag v1 to pin a tag, which its owner can move.`,
    );
  }
  return {
    repository,
    ref,
    comment: flags.versionComment ?? null,
    mode: flags.egressPolicy ?? null,
    policy: flags.policy ?? null,
  };
}

/** `owner/repository`, or with a commit behind `@`. */
export function actionOf(text: string): { repository: string; ref: string | null } {
  const [, repository, ref] = /^([\w.-]+\/[\w.-]+)(?:@(.*))?$/.exec(text) ?? [];
  if (repository === undefined || (ref !== undefined && !/^[0-9a-f]{40}$/.test(ref)))
    throw new InvalidArgumentError(`Write ${usual}@ and a commit's 40 digits (0-9, a-f); --tag pins a tag.`);
  return { repository, ref: ref ?? null };
}

export function commentOf(text: string): string {
  if (/^[\w.+-][\w.+ -]*$/.test(text)) return text.trim();
  throw new InvalidArgumentError("Write a version, such as v1.2.3.");
}

function readTag(text: string): string {
  if (/^[\w.-]+$/.test(text)) return text;
  throw new InvalidArgumentError("Write a tag, such as v1.");
}

/** As the action reads its input (`src/action/inputs.ts`). */
function readPolicyPath(text: string): string {
  const isInside = !/^\/|(^|\/)\.\.(\/|$)/.test(text);
  if (/^[\w./ -]+\.ya?ml$/i.test(text) && isInside) return text;
  throw new InvalidArgumentError("Write a path inside of the repository, such as .github/sallyport.yaml.");
}
