/**
 * What GitHub Actions needs, in versions that never change. Written by `scripts/presets-github.ts` from GitHub's `/meta`
 * answer and read by a person before it was committed: change it with the script, which adds a version.
 */
import type { PresetHost } from "./presets.ts";

export const githubActions: readonly (readonly PresetHost[])[] = [
  [
    { host: "github.com", reason: "checkout over HTTPS, releases, the site that links lead to" },
    { host: "api.github.com", reason: "the REST and GraphQL interface that actions and gh call" },
    { host: "codeload.github.com", reason: "archives of actions and repositories" },
    { host: "objects.githubusercontent.com", reason: "release assets and Git LFS objects" },
    { host: "release-assets.githubusercontent.com", reason: "release assets; setup actions fetch tools from it" },
    {
      host: "actions-results-receiver-production.githubapp.com",
      reason: "uploads of logs, summaries, caches and artifacts are announced here",
    },
    {
      host: "*.actions.githubusercontent.com",
      reason: "job queue, OIDC tokens and caches; the names differ by region, and GitHub alone has names there",
    },
    {
      host: "productionresultssa{0-49,100-199}.blob.core.windows.net",
      reason:
        "logs, caches and artifacts: GitHub's own numbered accounts, never the zone, where anybody can register one",
    },
  ],
];
