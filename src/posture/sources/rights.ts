/**
 * What a token may read, found out before the long work: one short request for each right, and of a classic token its scopes. Says
 * what will be unknown without it, so that nobody waits an hour for that.
 */
import type { SourceSeen } from "../report/report.ts";
import type { Scope } from "../settings.ts";
import { isRefused } from "./github-client.ts";
import type { GithubClient } from "./github-client.ts";

interface Right {
  readonly scope: Scope;
  /** Behind `orgs/ORG/` or `repos/OWNER/NAME/`; asked in its place for all that takes the same right. */
  readonly path: string;
  /** Scopes of a classic token that have it; one is enough. Null: also without any, where the repository is public. */
  readonly classic: readonly string[] | null;
  /** The least right, for a classic token and for a fine-grained one. */
  readonly least: string;
  /** What is unknown without it. */
  readonly shows: string;
}

/** docs.github.com, "Scopes for OAuth apps" and "Permissions required for fine-grained personal access tokens". */
export const rights: readonly Right[] = [
  {
    scope: "org",
    path: "actions/permissions",
    classic: ["admin:org"],
    least: "admin:org, or Organization administration: read",
    shows: "the organisation's settings (RG-05, RG-06, RG-08, RG-09)",
  },
  {
    scope: "org",
    path: "actions/runner-groups",
    classic: ["admin:org"],
    least: "admin:org, or Self-hosted runners: read",
    shows: "its runners and groups (RG-01, RG-02, RG-03, RG-04, RG-15, RG-16)",
  },
  {
    scope: "org",
    path: "actions/hosted-runners",
    classic: ["manage_runners:org"],
    least: "manage_runners:org, or Administration: read of the organisation",
    shows: "which labels are GitHub's larger runners (RG-07)",
  },
  {
    scope: "repo",
    path: "git/trees/HEAD",
    classic: null,
    least: "repo, or Contents: read",
    shows: "its workflows and policies (RG-07 to RG-14, RG-24)",
  },
  {
    scope: "repo",
    path: "actions/permissions",
    classic: ["repo"],
    least: "repo (as an administrator), or Administration: read",
    shows: "its settings and runners (RG-01, RG-05, RG-06, RG-08, RG-09, RG-15, RG-16)",
  },
  {
    scope: "repo",
    path: "actions/runs",
    classic: null,
    least: "repo, or Actions: read",
    shows: "who did its jobs (RG-01)",
  },
];

/** Scopes that have others in them. */
const within: Readonly<Record<string, readonly string[]>> = {
  "admin:org": ["write:org", "read:org", "manage_runners:org"],
  "write:org": ["read:org"],
  repo: ["public_repo", "repo:status", "repo_deployment", "repo:invite", "security_events"],
};

/** `names`: `octo` or `octo/api`. A line for each right that the token lacks, else one that says so. */
export async function checkRights(client: GithubClient, names: readonly string[]): Promise<SourceSeen[]> {
  const found: SourceSeen[] = [];
  for (const name of names) {
    const scope: Scope = name.includes("/") ? "repo" : "org";
    const lacking: SourceSeen[] = [];
    for (const right of rights) {
      if (right.scope !== scope) continue;
      const why = await whyNot(client, `${scope === "org" ? "orgs" : "repos"}/${name}/${right.path}`, right);
      if (why === null) continue;
      const text = `${right.shows} will be unknown: ${why}; it takes ${right.least}`;
      lacking.push({ name: `rights for ${name}`, seen: false, text });
      // A token that is none lacks everything, for one reason.
      if (client.isClosed) break;
    }
    if (lacking.length === 0)
      lacking.push({ name: `rights for ${name}`, seen: true, text: "enough for all that is asked" });
    found.push(...lacking);
  }
  return found;
}

/** Why a right is not there; null: it is. A classic token's scopes are known with its first answer, and then are enough. */
async function whyNot(client: GithubClient, path: string, { classic }: Right): Promise<string | null> {
  const missing = scopeMissing(client.scopes, classic);
  if (missing !== null) return missing;
  const answer = await client.get(path, { per_page: "1" });
  // An empty repository has no tree.
  if (!isRefused(answer) || answer.status === 409) return null;
  return scopeMissing(client.scopes, classic) ?? answer.why;
}

function scopeMissing(scopes: readonly string[] | null, classic: readonly string[] | null): string | null {
  if (scopes === null || classic === null) return null;
  const all = new Set(scopes.flatMap((scope) => [scope, ...(within[scope] ?? [])]));
  if (classic.some((scope) => all.has(scope))) return null;
  return `the token's scopes are ${scopes.join(", ") || "none"}`;
}
