/**
 * An organisation or a repository by GitHub's API: settings, runners, groups, recent jobs, and the files of its default branch. Each
 * answer that does not come is a line of the report, and the rest is made all the same. Changes nothing.
 */
import type { Said } from "../checks/settings.ts";
import { fieldsOf } from "../checks/settings.ts";
import type { JobSeen } from "../checks/runners.ts";
import { ownJobs } from "../checks/runners.ts";
import type { RepositoryFacts } from "../facts.ts";
import type { SourceSeen } from "../report/report.ts";
import { settings } from "../settings.ts";
import type { Scope, Setting } from "../settings.ts";
import type { CalledBefore } from "./github-calls.ts";
import { filesOf } from "./github-files.ts";
import { isRefused } from "./github-client.ts";
import type { Answer, GithubClient, Refused } from "./github-client.ts";

/** Bytes of a job's log that are read: what is looked for stands near its beginning. */
const mostOfLog = 2 * 1024 * 1024;
const mostLogs = 5;

export interface OwnerRead {
  readonly scope: Scope;
  /** `octo`, or `octo/api`. */
  readonly name: string;
  readonly settings: readonly { readonly setting: Setting; readonly said: Said }[];
  readonly runners: Said;
  /** Null: a repository, which has no groups. */
  readonly groups: Said | null;
  /** By version, what GitHub says of its end. */
  readonly versions: ReadonlyMap<string, Said>;
  readonly sources: readonly SourceSeen[];
}

export interface RepositoryRead extends OwnerRead {
  /** Null: its files could not be read. */
  readonly facts: RepositoryFacts | null;
  readonly branch: string | null;
  /** What the branch requires: rules, and the older protection. */
  readonly rules: Said;
  readonly protection: Said;
  readonly jobs: readonly JobSeen[];
  readonly jobsAt: string;
  readonly logs: readonly { readonly job: JobSeen; readonly endpoint: string; readonly text: string }[];
}

export interface GithubWanted {
  /** How many recent runs are looked at for who did them. */
  readonly runs: number;
  readonly progress: (text: string) => void;
  /** `owner/repository` in lower case: whose step is ours. */
  readonly own: string;
  /** Kept from repository to repository. */
  readonly calls: CalledBefore;
}

const saidBy = (answer: Answer | Refused): Said =>
  isRefused(answer)
    ? { endpoint: answer.endpoint, value: null, why: answer.why }
    : { endpoint: answer.endpoint, value: answer.value, why: null };

/** What a token needs for lists of runners and groups. */
export const runnerNeeds: Readonly<Record<Scope, string>> = {
  org: "admin:org, or Self-hosted runners: read",
  repo: "repo (as an administrator), or Administration: read",
};

export async function readOwner(client: GithubClient, scope: Scope, name: string): Promise<OwnerRead> {
  const base = scope === "org" ? `orgs/${name}` : `repos/${name}`;
  const answered: { setting: Setting; said: Said }[] = [];
  for (const setting of settings) {
    if (setting.scopes.includes(scope))
      answered.push({ setting, said: saidBy(await client.get(`${base}/${setting.path}`)) });
  }
  const runners = saidBy(await client.list(`${base}/actions/runners`, "runners"));
  const groups = scope === "org" ? saidBy(await client.list(`${base}/actions/runner-groups`, "runner_groups")) : null;
  const versions = new Map<string, Said>();
  for (const version of versionsOf(runners).keys()) {
    // Only some plans have it; where it is not there, when the version ends stays unknown.
    versions.set(
      version,
      saidBy(await client.get(`${base}/actions/runners/deprecations/${encodeURIComponent(version)}`)),
    );
  }
  const all = [...answered.map(({ said }) => said), runners, ...(groups === null ? [] : [groups])];
  return { scope, name, settings: answered, runners, groups, versions, sources: all.map(sourceOf) };
}

/** Names of the runners by version. */
export function versionsOf({ value }: Said): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const each of Array.isArray(value) ? (value as unknown[]) : []) {
    const { version, name } = fieldsOf(each) ?? {};
    if (typeof version !== "string" || typeof name !== "string") continue;
    found.set(version, [...(found.get(version) ?? []), name]);
  }
  return found;
}

export function sourceOf({ endpoint, value, why }: Said): SourceSeen {
  const text = Array.isArray(value) ? `${value.length} in the list` : "answered";
  return { name: endpoint, seen: why === null, text: why ?? text };
}

/** Labels of GitHub's larger runners, in lower case: a runner's name is its label. Null: not known. */
export async function readLargerRunners(
  client: GithubClient,
  org: string,
): Promise<{ labels: Set<string> | null; source: SourceSeen }> {
  const said = saidBy(await client.list(`orgs/${org}/actions/hosted-runners`, "runners"));
  const list = Array.isArray(said.value) ? (said.value as unknown[]) : null;
  const labels = list?.flatMap((each) => {
    const name = fieldsOf(each)?.["name"];
    return typeof name === "string" ? [name.toLowerCase()] : [];
  });
  return { labels: labels === undefined ? null : new Set(labels), source: sourceOf(said) };
}

/** Every repository of an organisation that is not archived. */
export async function readRepositories(
  client: GithubClient,
  org: string,
): Promise<{ names: string[]; source: SourceSeen }> {
  const said = saidBy(await client.list(`orgs/${org}/repos`, null, { type: "all" }));
  const list = Array.isArray(said.value) ? (said.value as unknown[]) : [];
  const names = list.flatMap((each) => {
    const { full_name: name, archived } = fieldsOf(each) ?? {};
    return typeof name === "string" && archived !== true ? [name] : [];
  });
  return { names, source: sourceOf(said) };
}

export async function readGithubRepository(
  client: GithubClient,
  name: string,
  wanted: GithubWanted,
): Promise<RepositoryRead> {
  wanted.progress(`reading ${name}`);
  const about = saidBy(await client.get(`repos/${name}`));
  const fields = fieldsOf(about.value);
  const branch = typeof fields?.["default_branch"] === "string" ? fields["default_branch"] : null;
  const visibility = visibilityOf(fields);
  const owner = await readOwner(client, "repo", name);
  const nobody = (endpoint: string): Said => ({ endpoint, value: null, why: "the default branch is not known" });
  const at = branch === null ? null : encodeURIComponent(branch);
  const rules =
    at === null
      ? nobody(`GET /repos/${name}/rules/branches/…`)
      : saidBy(await client.list(`repos/${name}/rules/branches/${at}`, null));
  const protection =
    at === null
      ? nobody(`GET /repos/${name}/branches/…/protection`)
      : saidBy(await client.get(`repos/${name}/branches/${at}/protection`));
  const files = branch === null ? null : await filesOf(client, name, branch, visibility, wanted.own, wanted.calls);
  const seen = await jobsOf(client, name, wanted.runs);
  const logs = await logsOf(client, name, seen.jobs);
  const sources = [
    sourceOf(about),
    ...owner.sources,
    sourceOf(rules),
    ...(files === null ? [] : [files.source]),
    ...(wanted.runs === 0 ? [] : [seen.source]),
  ];
  return {
    ...owner,
    facts: files?.facts ?? null,
    branch,
    rules,
    protection,
    jobs: seen.jobs,
    jobsAt: `GET /repos/${name}/actions/runs/{run_id}/jobs`,
    logs,
    sources,
  };
}

/** By a repository of the API's; null: it says none. */
export function visibilityOf(fields: Readonly<Record<string, unknown>> | null): RepositoryFacts["visibility"] {
  const visibility = fields?.["visibility"];
  if (visibility === "public" || visibility === "private" || visibility === "internal") return visibility;
  return typeof fields?.["private"] === "boolean" ? (fields["private"] ? "private" : "public") : null;
}

async function jobsOf(
  client: GithubClient,
  name: string,
  most: number,
): Promise<{ jobs: JobSeen[]; source: SourceSeen }> {
  const endpoint = `GET /repos/${name}/actions/runs`;
  if (most === 0) return { jobs: [], source: { name: endpoint, seen: true, text: "not asked" } };
  const query = { per_page: String(Math.min(most, 100)), status: "completed", exclude_pull_requests: "true" };
  const said = saidBy(await client.get(`repos/${name}/actions/runs`, query));
  const runs = fieldsOf(said.value)?.["workflow_runs"];
  if (!Array.isArray(runs))
    return { jobs: [], source: { name: endpoint, seen: false, text: said.why ?? "no list of runs" } };
  const jobs: JobSeen[] = [];
  for (const run of (runs as unknown[]).slice(0, most)) {
    const id = fieldsOf(run)?.["id"];
    if (typeof id !== "number") continue;
    const answer = await client.list(`repos/${name}/actions/runs/${id}/jobs`, "jobs");
    if (isRefused(answer)) return { jobs, source: { name: answer.endpoint, seen: false, text: answer.why } };
    jobs.push(...ownJobs(answer.value));
  }
  return {
    jobs,
    source: { name: endpoint, seen: true, text: `${runs.length} runs, ${jobs.length} jobs on runners of one's own` },
  };
}

async function logsOf(client: GithubClient, name: string, jobs: readonly JobSeen[]): Promise<RepositoryRead["logs"]> {
  const byRunner = [...new Map(jobs.map((job) => [job.runnerName, job])).values()].slice(0, mostLogs);
  const logs: { job: JobSeen; endpoint: string; text: string }[] = [];
  for (const job of byRunner) {
    const answer = await client.text(`repos/${name}/actions/jobs/${job.id}/logs`, mostOfLog);
    if (!isRefused(answer)) logs.push({ job, endpoint: answer.endpoint, text: String(answer.value) });
  }
  return logs;
}
