/** Findings from what was read of an organisation and of repositories by the API. */
import type { Frame } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding } from "../finding.ts";
import type { OwnerRead, RepositoryRead } from "../sources/github.ts";
import type { Validator } from "../workflows/validate.ts";
import { checkProtection } from "./protection.ts";
import { checkRepository } from "./repository.ts";
import { checkGroups, checkJobsSeen, checkLog, checkRunners, checkVersion, flagsOf } from "./runners.ts";
import { checkSetting, fieldsOf } from "./settings.ts";

export interface GithubFrame extends Frame {
  readonly knownRunners: readonly string[];
  /** The flag of the organisation's runners by id; left out: nobody asked. */
  readonly ephemeral?: ReadonlyMap<number, boolean>;
  /** What a token needs for runners, by scope. */
  readonly runnerNeeds: Readonly<Record<"org" | "repo", string>>;
}

export function checkOwner(read: OwnerRead, frame: GithubFrame): Finding[] {
  const { scope, name } = read;
  const needs = frame.runnerNeeds[scope];
  const names = new Map<string, string[]>();
  for (const each of Array.isArray(read.runners.value) ? (read.runners.value as unknown[]) : []) {
    const { version, name: runner } = fieldsOf(each) ?? {};
    if (typeof version === "string" && typeof runner === "string")
      names.set(version, [...(names.get(version) ?? []), runner]);
  }
  return [
    ...read.settings.flatMap(({ setting, said }) => {
      const server = setting.server === null ? "github.com" : `github.com, or Enterprise Server ${setting.server}`;
      return checkSetting(setting, said, name, `${setting.needs[scope]} (${server})`);
    }),
    ...checkRunners(read.runners, name, frame.knownRunners, needs),
    ...(read.groups === null ? [] : checkGroups(read.groups, name, needs)),
    ...[...read.versions].flatMap(([version, said]) =>
      checkVersion(said, name, version, names.get(version) ?? [], frame.now),
    ),
  ];
}

export function checkGithubRepository(read: RepositoryRead, frame: GithubFrame, validate: Validator): Finding[] {
  const { facts, name, branch, jobs, jobsAt, logs } = read;
  const isPublic = facts?.visibility === "public";
  const token = read.settings.flatMap(({ setting, said }) =>
    setting.path === "actions/permissions/workflow" ? [fieldsOf(said.value)?.["default_workflow_permissions"]] : [],
  )[0];
  const defaultPermissions = token === "read" || token === "write" ? token : null;
  // A public repository has no private forks.
  const owned = checkOwner(read, frame).filter(({ rule }) => rule !== "RG-06" || !isPublic);
  const files =
    facts === null ? [unreadFiles(read)] : checkRepository(facts, { defaultPermissions }, frame, validate).findings;
  const hasPolicy = files.some(({ rule, check }) => rule === "RG-14" && check === "code-owner");
  return [
    ...owned,
    ...files,
    ...(hasPolicy && branch !== null ? [checkProtection(name, branch, read.rules, read.protection)] : []),
    ...checkJobsSeen(jobsAt, name, jobs, {
      ephemeral: new Map([...(frame.ephemeral ?? []), ...flagsOf(read.runners)]),
      names: frame.knownRunners,
    }),
    ...logs.flatMap(({ job, endpoint, text }) => checkLog(endpoint, name, job, text)),
  ];
}

/** RG-10, where there were no files to look at. */
function unreadFiles({ name, sources }: RepositoryRead): Finding {
  const reason = sources.find(
    ({ seen, name: endpoint }) => !seen && /\/git\/trees\/|^GET \/repos\/[^/]+\/[^/]+$/.test(endpoint),
  );
  return finding({
    rule: "RG-10",
    check: "files",
    status: "unknown",
    subject: `${name}: workflows`,
    seen: `its files were not seen: ${reason?.text ?? "no default branch"}`,
    where: { kind: "api", endpoint: reason?.name ?? `GET /repos/${name}`, field: null },
    fix: "Give a token that may read its contents: repo, or Contents: read.",
  });
}
