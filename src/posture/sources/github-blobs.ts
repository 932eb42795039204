/** One tree of a repository, and its files, by GitHub's API. */
import { fieldsOf } from "../checks/settings.ts";
import { isRefused } from "./github-client.ts";
import type { GithubClient, Refused } from "./github-client.ts";

export interface Entry {
  readonly path: string;
  readonly sha: string;
}

export interface Tree {
  readonly endpoint: string;
  /** Files alone. */
  readonly entries: readonly Entry[];
  /** GitHub left some out. */
  readonly isCut: boolean;
}

/** Everything at a branch, a tag or a commit. An empty repository has no tree: 409 (docs.github.com, "Get a tree"). */
export async function treeOf(client: GithubClient, name: string, ref: string): Promise<Tree | Refused> {
  const answer = await client.get(`repos/${name}/git/trees/${encodeURIComponent(ref)}`, { recursive: "1" });
  if (isRefused(answer)) return answer;
  const tree = fieldsOf(answer.value);
  const items: unknown[] = Array.isArray(tree?.["tree"]) ? tree["tree"] : [];
  const entries = items.flatMap((each): Entry[] => {
    const { path, sha, type } = fieldsOf(each) ?? {};
    return typeof path === "string" && typeof sha === "string" && type === "blob" ? [{ path, sha }] : [];
  });
  const isCut = tree?.["truncated"] === true || !Array.isArray(tree?.["tree"]);
  return { endpoint: answer.endpoint, entries, isCut };
}

/** The text of one file. */
export async function blobOf(client: GithubClient, name: string, { sha }: Entry): Promise<string | { why: string }> {
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
