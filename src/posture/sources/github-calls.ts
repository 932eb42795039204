/**
 * Reusable workflows of other repositories, by GitHub's API: what a repository's workflows call, and what those call, as deep and
 * as many as GitHub lets a run have. One that cannot be read is a reason, and the rest goes on.
 */
import type { TextFile, UnreadFile } from "../facts.ts";
import { elsewhereOf, likelyCalls, mostCalled, mostLevels } from "../workflows/calls.ts";
import { blobOf, treeOf } from "./github-blobs.ts";
import type { Tree } from "./github-blobs.ts";
import type { GithubClient, Refused } from "./github-client.ts";

/** What was read before: an organisation's repositories call the same few. */
export interface CalledBefore {
  /** By `owner/repository@ref`. */
  readonly trees: Map<string, Tree | Refused>;
  /** By name. */
  readonly texts: Map<string, TextFile | UnreadFile>;
}

export function nothingBefore(): CalledBefore {
  return { trees: new Map(), texts: new Map() };
}

export interface CalledRead {
  readonly read: readonly TextFile[];
  readonly unread: readonly UnreadFile[];
}

/** `workflows`: those of the repository. Each of them may call `mostCalled`. */
export async function readCalled(
  client: GithubClient,
  workflows: readonly TextFile[],
  before: CalledBefore,
): Promise<CalledRead> {
  const read = new Map<string, TextFile>();
  const unread = new Map<string, UnreadFile>();
  const most = mostCalled * Math.max(1, workflows.length);
  let texts = workflows;
  for (let level = 2; texts.length > 0; level++) {
    const next: TextFile[] = [];
    const names = new Set(texts.flatMap(({ path, text }) => likelyCalls(path, text)));
    for (const name of names) {
      if (elsewhereOf(name) === null || read.has(name) || unread.has(name)) continue;
      const file =
        level > mostLevels || read.size >= most
          ? {
              path: name,
              why: `it is on level ${level}, or one of more than ${most}: GitHub allows ${mostLevels} levels`,
            }
          : await oneCalled(client, name, before);
      if ("why" in file) unread.set(name, file);
      else {
        read.set(name, file);
        next.push(file);
      }
    }
    texts = next;
  }
  return { read: [...read.values()], unread: [...unread.values()] };
}

async function oneCalled(client: GithubClient, name: string, before: CalledBefore): Promise<TextFile | UnreadFile> {
  const known = before.texts.get(name);
  if (known !== undefined) return known;
  const { repository, path, ref } = elsewhereOf(name)!;
  const place = `${repository.toLowerCase()}@${ref}`;
  const tree = before.trees.get(place) ?? (await treeOf(client, repository, ref));
  before.trees.set(place, tree);
  const file = await textOf(client, name, repository, path, tree);
  before.texts.set(name, file);
  return file;
}

async function textOf(
  client: GithubClient,
  name: string,
  repository: string,
  path: string,
  tree: Tree | Refused,
): Promise<TextFile | UnreadFile> {
  if ("why" in tree) return { path: name, why: `${tree.endpoint}: ${tree.why}` };
  const entry = tree.entries.find((each) => each.path === path);
  if (entry === undefined)
    return { path: name, why: tree.isCut ? "GitHub cut the list of files off" : `${tree.endpoint} has no ${path}` };
  const text = await blobOf(client, repository, entry);
  return typeof text === "string" ? { path: name, text } : { path: name, why: text.why };
}
