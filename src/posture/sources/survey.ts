/** Everything that was named of GitHub, one after the other: organisations with their repositories, and repositories. */
import { checkGithubRepository, checkOwner } from "../checks/github.ts";
import type { GithubFrame } from "../checks/github.ts";
import { flagsOf } from "../checks/runners.ts";
import type { Finding } from "../finding.ts";
import type { SourceSeen } from "../report/report.ts";
import type { OwnerRead, RepositoryRead } from "./github.ts";
import type { Validator } from "../workflows/validate.ts";
import { checkRights } from "./rights.ts";
import { readGithubRepository, readLargerRunners, readOwner, readRepositories } from "./github.ts";
import { nothingBefore } from "./github-calls.ts";
import type { GithubClient } from "./github-client.ts";

export interface SurveyWanted {
  readonly frame: GithubFrame;
  readonly runs: number;
  readonly progress: (text: string) => void;
  readonly validate: Validator;
}

export interface Survey {
  readonly findings: readonly Finding[];
  readonly sources: readonly SourceSeen[];
  /** Organisations and repositories as they were read, for who wants to set something right. */
  readonly owners: readonly OwnerRead[];
  readonly repositories: readonly { readonly read: RepositoryRead; readonly findings: readonly Finding[] }[];
}

/** `names`: `octo` or `octo/api`. */
export async function surveyGithub(
  client: GithubClient,
  names: readonly string[],
  wanted: SurveyWanted,
): Promise<Survey> {
  const findings: Finding[] = [];
  const sources: SourceSeen[] = [];
  const owners: OwnerRead[] = [];
  const repositories: { read: RepositoryRead; findings: Finding[] }[] = [];
  const calls = nothingBefore();
  const rights = await checkRights(client, names);
  const lacking = rights.filter(({ seen }) => !seen);
  if (lacking.length > 0) wanted.progress(lacking.map(({ name, text }) => `${name}: ${text}`).join("\n"));
  const repository = async (
    name: string,
    larger: ReadonlySet<string> | null,
    ephemeral: ReadonlyMap<number, boolean>,
  ) => {
    const read = await readGithubRepository(client, name, { ...wanted, own: wanted.frame.own, calls });
    sources.push(...read.sources);
    const found = checkGithubRepository(read, { ...wanted.frame, largerRunners: larger, ephemeral }, wanted.validate);
    for (const each of found) findings.push(each);
    owners.push(read);
    repositories.push({ read, findings: found });
  };
  for (const name of names) {
    if (name.includes("/")) {
      await repository(name, null, new Map());
      continue;
    }
    const owner = await readOwner(client, "org", name);
    const larger = await readLargerRunners(client, name);
    const repositories = await readRepositories(client, name);
    sources.push(...owner.sources, larger.source, repositories.source);
    owners.push(owner);
    findings.push(...checkOwner(owner, wanted.frame));
    for (const [i, each] of repositories.names.entries()) {
      wanted.progress(`${each} (${i + 1} of ${repositories.names.length})`);
      await repository(each, larger.labels, flagsOf(owner.runners));
    }
  }
  sources.push(...rights);
  if (client.scopes !== null)
    sources.push({ name: "token", seen: true, text: `a classic token with ${client.scopes.join(", ") || "no scope"}` });
  return { findings, sources, owners, repositories };
}
