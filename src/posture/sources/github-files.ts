/** The files of a repository's default branch by GitHub's API: one tree, then each file that a check looks at. */
import { usualPolicy } from "../../action/inputs.ts";
import { nativePath } from "../checks/native.ts";
import { configPath } from "../checks/assurance.ts";
import { policyPaths } from "../checks/repository.ts";
import { fieldsOf } from "../checks/settings.ts";
import { codeownersPaths } from "../codeowners.ts";
import type { RepositoryFacts, TextFile, UnreadFile } from "../facts.ts";
import type { SourceSeen } from "../report/report.ts";
import { readWorkflowTexts } from "../workflows/read.ts";
import { isRefused } from "./github-client.ts";
import type { GithubClient } from "./github-client.ts";

const workflowFolder = ".github/workflows";

interface Entry {
  readonly path: string;
  readonly sha: string;
}

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
): Promise<FilesRead> {
  const answer = await client.get(`repos/${name}/git/trees/${encodeURIComponent(branch)}`, { recursive: "1" });
  // An empty repository has no tree: 409 (docs.github.com, "Get a tree").
  if (isRefused(answer)) return { facts: null, source: { name: answer.endpoint, seen: false, text: answer.why } };
  const tree = fieldsOf(answer.value);
  const items: unknown[] = Array.isArray(tree?.["tree"]) ? tree["tree"] : [];
  const entries = items.flatMap((each): Entry[] => {
    const { path, sha, type } = fieldsOf(each) ?? {};
    return typeof path === "string" && typeof sha === "string" && type === "blob" ? [{ path, sha }] : [];
  });
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
  const named = policyPaths(readWorkflowTexts(workflows).read, { own });
  const files = new Map<string, string>();
  for (const path of new Set([
    ...codeownersPaths,
    nativePath,
    usualPolicy,
    configPath,
    `${workflowFolder}/actions.lock`,
    ...named,
  ])) {
    const file = await read(path);
    if (file !== null) files.set(path, file.text);
  }
  const isCut = tree?.["truncated"] === true || !Array.isArray(tree?.["tree"]);
  if (isCut) unread.push({ path: workflowFolder, why: "GitHub cut the list of files off" });
  return {
    facts: {
      name,
      visibility,
      workflows,
      unread,
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

async function blobOf(client: GithubClient, name: string, { sha }: Entry): Promise<string | { why: string }> {
  const answer = await client.get(`repos/${name}/git/blobs/${encodeURIComponent(sha)}`);
  if (isRefused(answer)) return { why: answer.why };
  const { content, encoding } = fieldsOf(answer.value) ?? {};
  if (typeof content !== "string" || encoding !== "base64") return { why: "the answer has no content" };
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(content, "base64"));
  } catch {
    return { why: "it is not UTF-8" };
  }
}
