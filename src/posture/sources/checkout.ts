/** Which repository a folder is a checkout of, by git's own `origin` or by GitHub's runner. */
import { execFileSync } from "node:child_process";
import { realpathSync } from "node:fs";

/**
 * `octo/api`, or `octo/api/sub/folder` within one; null: nobody says. `environment`: GitHub's runner says in it which repository its
 * workspace is (docs.github.com, "Variables reference": GITHUB_REPOSITORY, GITHUB_WORKSPACE).
 */
export function checkoutName(folder: string, environment: Readonly<Record<string, string | undefined>>): string | null {
  const origin = repositoryOfUrl(git(folder, "config", "--get", "remote.origin.url"));
  if (origin !== null)
    return [origin, ...git(folder, "rev-parse", "--show-prefix").split("/")].filter(Boolean).join("/");
  const { GITHUB_REPOSITORY: repository = "", GITHUB_WORKSPACE: workspace = "" } = environment;
  const isThere = workspace !== "" && realOf(workspace) === realOf(folder);
  return isThere && /^[\w.-]+\/[\w.-]+$/.test(repository) ? repository : null;
}

/** `octo/api` of an address on a host: `https://…`, `ssh://…`, `git@HOST:…`; null for others, also for paths. */
export function repositoryOfUrl(url: string): string | null {
  const at = /^(?:[a-z+]+:\/\/[^/\s]+\/|(?:[^/@:\s]+@)?[^/:\s]{2,}:\/?)([\w.-]+\/[\w.-]+?)(?:\.git)?\/?$/i.exec(
    url,
  )?.[1];
  return at === undefined || at.split("/").some((part) => /^\.+$/.test(part)) ? null : at;
}

function git(folder: string, ...words: string[]): string {
  try {
    return execFileSync("git", ["-C", folder, ...words], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    // No git, no repository, or no origin.
    return "";
  }
}

function realOf(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}
