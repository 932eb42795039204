/** The files of a repository's default branch by GitHub's API: one tree, then each file that a check looks at. */
import { usualPolicy } from "../../action/inputs.ts";
import { nativePath } from "../checks/native.ts";
import { policyPaths } from "../checks/repository.ts";
import { codeownersPaths } from "../codeowners.ts";
import type { RepositoryFacts, TextFile, UnreadFile } from "../facts.ts";
import type { SourceSeen } from "../report/report.ts";
import { likelyActions } from "../workflows/local-actions.ts";
import { readWorkflowTexts } from "../workflows/read.ts";
import { readCalled } from "./github-calls.ts";
import type { CalledBefore } from "./github-calls.ts";
import { blobOf, treeOf } from "./github-blobs.ts";
import type { GithubClient } from "./github-client.ts";

const workflowFolder = ".github/workflows";

export interface FilesRead {
  readonly facts: RepositoryFacts | null;
  readonly source: SourceSeen;
}

export async function filesOf(
  client: GithubClient,
  name: string,
  branch: string,
  visibility: RepositoryFacts["visibility"],
  own: string,
  calls: CalledBefore,
): Promise<FilesRead> {
  const answer = await treeOf(client, name, branch);
  if ("why" in answer) return { facts: null, source: { name: answer.endpoint, seen: false, text: answer.why } };
  const { entries, isCut } = answer;
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  const unread: UnreadFile[] = [];
  const read = async (path: string): Promise<TextFile | null> => {
    const entry = byPath.get(path);
    if (entry === undefined) return null;
    const text = await blobOf(client, name, entry);
    if (typeof text === "string") return { path, text };
    unread.push({ path, why: text.why });
    return null;
  };
  const workflows: TextFile[] = [];
  for (const { path } of entries) {
    if (!path.startsWith(`${workflowFolder}/`) || !/^[^/]+\.ya?ml$/.test(path.slice(workflowFolder.length + 1)))
      continue;
    const file = await read(path);
    if (file !== null) workflows.push(file);
  }
  const elsewhere = await readCalled(client, workflows, calls);
  const named = policyPaths(readWorkflowTexts(workflows).read, { own });
  const files = new Map<string, string>();
  for (const path of new Set([
    ...codeownersPaths,
    nativePath,
    usualPolicy,
    `${workflowFolder}/actions.lock`,
    ...named,
  ])) {
    const file = await read(path);
    if (file !== null) files.set(path, file.text);
  }
  // Actions may use actions; each is read once.
  for (let texts: TextFile[] = workflows; texts.length > 0;) {
    const more: TextFile[] = [];
    for (const path of likelyActions(texts)) {
      const file = files.has(path) ? null : await read(path);
      if (file === null) continue;
      files.set(path, file.text);
      more.push(file);
    }
    texts = more;
  }
  if (isCut) unread.push({ path: workflowFolder, why: "GitHub cut the list of files off" });
  return {
    facts: {
      name,
      visibility,
      workflows,
      unread,
      called: elsewhere.read,
      notCalled: elsewhere.unread,
      files,
      paths: entries.map(({ path }) => path).filter((path) => /^(?:\.github\/)?[^/]+$/.test(path)),
      infrastructure: [],
      notRead: isCut ? "GitHub cut the list of files off" : null,
    },
    source: {
      name: answer.endpoint,
      seen: !isCut,
      text: isCut
        ? "GitHub cut the list of files off"
        : `${workflows.length} workflows; infrastructure code is read from folders alone`,
    },
  };
}
