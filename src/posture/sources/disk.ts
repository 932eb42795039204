/** A repository on the disk: its workflows, what protects them, and the code that makes its runners. Reads, writes nothing. */
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { usualPolicy } from "../../action/inputs.ts";
import { SallyportError } from "../../errors.ts";
import { codeownersPaths } from "../codeowners.ts";
import type { RepositoryFacts, TextFile, UnreadFile } from "../facts.ts";
import { configPath } from "../checks/assurance.ts";
import { likelyPolicies } from "../checks/repository.ts";
import { nativePath } from "../checks/native.ts";
import { likelyActions } from "../workflows/local-actions.ts";
import { speaksOfRunners } from "../manifests.ts";

const workflowFolder = ".github/workflows";
/** Bytes. What is larger is not read. */
const largest = 16 * 1024 * 1024;
const largestCode = 1024 * 1024;
/** Entries of folders that are looked at for infrastructure code. */
const mostEntries = 50_000;
const passedOver = new Set([".git", "node_modules", ".terraform", "vendor", "dist", "target", ".venv", "__pycache__"]);
const codeNames = /(?:\.(?:tf|tftpl|tpl|hcl|sh|bash|ps1|ya?ml|json)|(?:^|\/)(?:Dockerfile|user[-_]?data)[^/]*)$/i;

export interface DiskRead {
  readonly facts: RepositoryFacts;
  /** What was looked at, for the report. */
  readonly text: string;
  /** Entries were left out: there were too many. */
  readonly cut: boolean;
}

/** Throws WORKFLOW_UNREADABLE where the folder cannot be read. */
export function readRepository(folder: string, name: string | null): DiskRead {
  if (!existsSync(folder)) throw new SallyportError("WORKFLOW_UNREADABLE", `${folder} is not there.`);
  const unread: UnreadFile[] = [];
  const workflows = filesIn(folder, workflowFolder).flatMap((path) => {
    const file = /\.ya?ml$/.test(path) ? readText(folder, path, largest) : null;
    if (file !== null && "why" in file) unread.push(file);
    return file === null || "why" in file ? [] : [file];
  });
  const named = likelyPolicies(workflows).filter((path) => !isOutside(path));
  const files = new Map<string, string>();
  const add = (path: string): TextFile[] => {
    const file = files.has(path) || !isNamed(join(folder, path)) ? null : readText(folder, path, largest);
    if (file !== null && "why" in file) unread.push(file);
    if (file === null || "why" in file) return [];
    files.set(path, file.text);
    return [file];
  };
  const wanted = [...codeownersPaths, nativePath, usualPolicy, configPath, `${workflowFolder}/actions.lock`, ...named];
  for (const path of new Set(wanted)) add(path);
  // Actions may use actions; each is read once.
  for (let texts: TextFile[] = workflows; texts.length > 0;) texts = likelyActions(texts).flatMap(add);
  const { code, cut } = readCode(folder);
  return {
    facts: {
      name,
      visibility: null,
      workflows,
      unread,
      called: [],
      notCalled: [],
      files,
      paths: [...filesIn(folder, ""), ...filesIn(folder, ".github"), ...filesIn(folder, workflowFolder)],
      infrastructure: code,
      notRead: null,
    },
    text: `${workflows.length} workflows, ${code.length} files that speak of runners${cut ? `; only the first ${mostEntries} entries of its folders` : ""}`,
    cut,
  };
}

/** Also of a link that leads nowhere yet: a step may make what it leads to. */
function isNamed(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function isOutside(path: string): boolean {
  return path.startsWith("/") || path.split("/").includes("..");
}

/** Names of the files in one folder, as paths from the repository's; none where there is no such folder. */
function filesIn(folder: string, within: string): string[] {
  try {
    return readdirSync(join(folder, within), { withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map(({ name }) => (within === "" ? name : `${within}/${name}`))
      .toSorted();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw new SallyportError("WORKFLOW_UNREADABLE", `${join(folder, within)}: ${(error as Error).message}`, {}, error);
  }
}

/** One file; links are not followed, since what they name is elsewhere. */
function readText(folder: string, path: string, most: number): TextFile | UnreadFile {
  try {
    const status = lstatSync(join(folder, path));
    if (!status.isFile()) return { path, why: "it is no regular file" };
    if (status.size > most) return { path, why: `it has ${status.size} bytes` };
    return { path, text: new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(join(folder, path))) };
  } catch (error) {
    return { path, why: error instanceof TypeError ? "it is not UTF-8" : (error as Error).message };
  }
}

/** Every file below that says something of runners; links and what is not ours to read are passed over. */
function readCode(folder: string): { code: TextFile[]; cut: boolean } {
  const code: TextFile[] = [];
  const waiting = [""];
  let entries = 0;
  for (let within = waiting.shift(); within !== undefined; within = waiting.shift()) {
    let list;
    try {
      list = readdirSync(join(folder, within), { withFileTypes: true });
    } catch {
      continue;
    }
    for (const entry of list) {
      if (++entries > mostEntries) return { code, cut: true };
      const path = within === "" ? entry.name : `${within}/${entry.name}`;
      if (entry.isDirectory() && !passedOver.has(entry.name) && path !== workflowFolder) waiting.push(path);
      if (!entry.isFile() || !codeNames.test(path)) continue;
      const file = readText(folder, path, largestCode);
      if ("text" in file && speaksOfRunners(file.text)) code.push(file);
    }
  }
  return { code: code.toSorted((a, b) => (a.path < b.path ? -1 : 1)), cut: false };
}
