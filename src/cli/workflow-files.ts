/** Workflows on the disk: found, read, replaced all or none; and how old a line is, by git. */
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { writeAtomically } from "../baseline/write.ts";
import { SallyportError } from "../errors.ts";
import { finding } from "../workflow/finding.ts";
import { folderOf, readLocalAction } from "../workflow/local-action.ts";
import type { LocalAction, Scope } from "../workflow/options.ts";
import type { AddReport, WorkflowFile } from "../workflow/repository.ts";

const folder = ".github/workflows";
/** Bytes. Far beyond what a workflow may have; what is larger is not read at all. */
const largest = 16 * 1024 * 1024;
const mostActions = 1_000;

/** Paths of a repository's workflows, as the repository names them. Throws WORKFLOW_UNREADABLE where there are none. */
export function workflowPaths(repository: string): string[] {
  let names: string[];
  try {
    names = readdirSync(join(repository, folder));
  } catch (error) {
    const message = `${join(repository, folder)} cannot be read: ${(error as Error).message}.`;
    throw new SallyportError("WORKFLOW_UNREADABLE", message, {}, error);
  }
  const paths = names.filter((name) => /\.ya?ml$/.test(name)).map((name) => `${folder}/${name}`);
  if (paths.length > 0) return paths.toSorted();
  throw new SallyportError("WORKFLOW_UNREADABLE", `${join(repository, folder)} has no workflow (*.yml, *.yaml).`);
}

/** A path that somebody typed, as the repository names it. Throws WORKFLOW_UNREADABLE where it is outside. */
export function pathWithin(repository: string, typed: string): string {
  const path = relative(resolve(repository), resolve(typed));
  if (path !== "" && path !== ".." && !path.startsWith(`..${sep}`)) return path;
  throw new SallyportError("WORKFLOW_UNREADABLE", `${typed} is not in the repository ${repository} (--repository).`);
}

/** Reads workflows; one that cannot be is a finding. Links are not followed: what they name is written elsewhere. */
export function readWorkflows(repository: string, paths: readonly string[]): WorkflowFile[] {
  return paths.map((path) => {
    const refuse = (message: string, fix: string) =>
      finding(path, null, { line: 1, column: 1 }, "unreadable", message, fix);
    try {
      const status = lstatSync(join(repository, path));
      if (!status.isFile()) return refuse("it is no regular file", "Replace it by a file.");
      if (status.size > largest) return refuse(`it has ${status.size} bytes`, "Keep it under 2 MiB.");
      // With its byte order mark, so that it is written back with it; what is no UTF-8 could not be.
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
        readFileSync(join(repository, path)),
      );
      return { path, text };
    } catch (error) {
      const isText = error instanceof TypeError;
      return refuse(
        isText ? "it is not UTF-8" : (error as Error).message,
        isText ? "Save it as UTF-8." : "Check the path.",
      );
    }
  });
}

/** The repository's own actions that workflows use, and those that these use. What is not there, or no file, is left out. */
export function localActions(
  repository: string,
  files: readonly WorkflowFile[],
  scope: Pick<Scope, "repository">,
): Map<string, LocalAction> {
  const found = new Map<string, LocalAction>();
  const named = (text: string) =>
    [...text.matchAll(/uses["']?\s*:\s*["']?([.$]\/[^\s"'#@,}]+)/g)].map((match) => match[1]!);
  const wanted = files.flatMap((file) => ("code" in file ? [] : named(file.text)));
  for (let action = wanted.pop(); action !== undefined && found.size < mostActions; action = wanted.pop()) {
    const at = folderOf(action);
    if (at === "" || at.split("/").includes("..") || found.has(at) || /\.ya?ml$/.test(at)) continue;
    const paths = ["action.yml", "action.yaml"].map((name) => `${at}/${name}`);
    const [file] = readWorkflows(repository, paths).filter((each) => "text" in each);
    const known = file === undefined ? { firewalls: [], uses: [] } : readLocalAction(file.path, file.text, scope);
    found.set(at, known);
    wanted.push(...known.uses);
  }
  return found;
}

/**
 * Writes every changed workflow and every new policy file, or nothing: each is compared with what was read first, and what was
 * written is taken back when a later one fails. Throws WORKFLOW_CHANGED and FILE_UNWRITABLE.
 */
export function writeAll(repository: string, before: readonly WorkflowFile[], { files }: AddReport): string[] {
  const old = new Map(before.flatMap((file) => ("code" in file ? [] : [[file.path, file.text] as const])));
  const changed = files.filter(({ file, text }) => old.get(file) !== text);
  const fresh = new Map<string, string>();
  for (const { path, text } of files.flatMap(({ policies }) => policies)) {
    const there = existsSync(join(repository, path)) ? readFileSync(join(repository, path), "utf8") : fresh.get(path);
    if (there !== undefined && there !== text)
      throw new SallyportError(
        "WORKFLOW_CHANGED",
        `${path} is there already, and says something else: nothing was written.`,
      );
    if (there === undefined) fresh.set(path, text);
  }
  for (const again of readWorkflows(
    repository,
    changed.map(({ file }) => file),
  )) {
    if ("code" in again || again.text !== old.get(again.path)) {
      const path = "code" in again ? again.file : again.path;
      throw new SallyportError("WORKFLOW_CHANGED", `${path} changed meanwhile: nothing was written.`);
    }
  }
  const undo: (() => void)[] = [];
  const written: string[] = [];
  try {
    // Policies first: a workflow must not name one that is not there.
    for (const [path, text] of fresh) {
      makeFolder(join(repository, dirname(path)));
      undo.push(() => rmSync(join(repository, path), { force: true }));
      writeAtomically(join(repository, path), text);
      written.push(path);
    }
    for (const { file, text } of changed) {
      writeAtomically(join(repository, file), text);
      undo.push(() => writeAtomically(join(repository, file), old.get(file)!));
      written.push(file);
    }
  } catch (error) {
    for (const back of undo.toReversed()) back();
    throw error;
  }
  return written;
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new SallyportError("FILE_UNWRITABLE", `${path} cannot be made: ${(error as Error).message}.`, {}, error);
  }
}

/** When lines were last changed, by `git blame`; null where there is no git, or only a part of the history. */
export function lineAges(repository: string): (file: string, line: number) => Date | null {
  const git = (...args: string[]): string | null => {
    try {
      return execFileSync("git", ["-C", repository, ...args], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
    } catch {
      return null;
    }
  };
  const isWhole = git("rev-parse", "--is-shallow-repository")?.trim() === "false";
  return (file, line) => {
    const text = isWhole ? git("blame", "--porcelain", "-L", `${line},${line}`, "--", file) : null;
    const seconds = /^committer-time (\d+)$/m.exec(text ?? "")?.[1];
    return seconds === undefined ? null : new Date(Number(seconds) * 1000);
  };
}
