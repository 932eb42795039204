/**
 * RG-01 to RG-04, RG-15 and RG-16 from runners, groups and jobs. Whether a runner is ephemeral is read from evidence, the strongest
 * first: the API's flag (absent says nothing), a runner that did several jobs, and what a job's log says of its workspace.
 */
import type { CheckId } from "../check-catalogue.ts";
import { finding } from "../finding.ts";
import type { Finding, FindingInput } from "../finding.ts";
import { fieldsOf, shown } from "./settings.ts";
import type { Said } from "./settings.ts";

type Say = (input: Omit<FindingInput, "where"> & { field?: string }) => Finding;

const sayAt =
  (endpoint: string): Say =>
  ({ field, ...input }) =>
    finding({ ...input, where: { kind: "api", endpoint, field: field ?? null } });

const listOf = ({ value }: Said): Readonly<Record<string, unknown>>[] | null =>
  Array.isArray(value) ? (value as unknown[]).map(fieldsOf).filter((each) => each !== null) : null;
const textOf = (value: unknown) => (typeof value === "string" ? value : null);

/** Names that malware gave to runners it registered (Shai-Hulud 2.0). */
const isBadName = (name: string) => /sha1[-_ ]?hulud/i.test(name);
const badNameText = "the name is one that Shai-Hulud gives to runners it registers";

/** `known`: patterns with `*` of names that runners have; empty: nobody said. `owner`: `octo` or `octo/api`. */
export function checkRunners(said: Said, owner: string, known: readonly string[], needs: string): Finding[] {
  const say = sayAt(said.endpoint);
  const runners = listOf(said);
  const fix = `Give a token that may read it: ${needs}.`;
  if (runners === null) {
    const seen = `not seen: ${said.why ?? "the answer is no list"}`;
    const subject = `${owner}: runners`;
    return (["RG-01", "RG-15", "RG-16"] as const).map((rule) =>
      say({ rule, check: "runners", status: "unknown", subject, seen, fix }),
    );
  }
  const patterns = known.map(patternOf);
  return runners.flatMap((runner) => {
    const name = textOf(runner["name"]) ?? `runner ${shown(runner["id"])}`;
    const subject = `${owner}: runner ${name}`;
    const { ephemeral, version } = runner;
    const flag = ephemeral === true ? "pass" : ephemeral === false ? "fail" : "unknown";
    const isKnown = patterns.some((pattern) => pattern.test(name));
    const isBad = isBadName(name);
    const [registered, text] = isBad
      ? (["fail", badNameText] as const)
      : patterns.length === 0
        ? (["unknown", "nobody said which names runners have (--known-runners)"] as const)
        : isKnown
          ? (["pass", "the name is a known one"] as const)
          : (["fail", `the name fits none of ${known.join(", ")}`] as const);
    const severity = isBad ? ({ severity: "critical" } as const) : {};
    return [
      say({
        rule: "RG-01",
        check: "ephemeral",
        status: flag,
        subject,
        field: "ephemeral",
        seen:
          ephemeral === undefined ? "the API does not say whether it is ephemeral" : `ephemeral is ${shown(ephemeral)}`,
      }),
      ...(typeof version === "string"
        ? []
        : [
            say({
              rule: "RG-15",
              check: "version",
              status: "unknown",
              subject,
              field: "version",
              seen: "the API does not say its version",
            }),
          ]),
      say({ rule: "RG-16", check: "known", status: registered, ...severity, subject, seen: text }),
    ];
  });
}

/** A name with `*` for any characters, in any case. */
function patternOf(text: string): RegExp {
  const parts = text.split(/\*+/).map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, (mark) => `\\${mark}`));
  return new RegExp(`^${parts.join(".*")}$`, "is");
}

export function checkGroups(said: Said, org: string, needs: string): Finding[] {
  const say = sayAt(said.endpoint);
  const groups = listOf(said);
  if (groups === null) {
    const seen = `not seen: ${said.why ?? "the answer is no list"}`;
    const fix = `Give a token that may read it: ${needs}.`;
    return (["RG-02", "RG-03", "RG-04"] as const).map((rule) =>
      say({ rule, check: "groups", status: "unknown", subject: `${org}: runner groups`, seen, fix }),
    );
  }
  return groups.flatMap((group) => {
    const name = textOf(group["name"]) ?? `group ${shown(group["id"])}`;
    const subject = `${org}: runner group ${name}`;
    const inherited = group["inherited"] === true ? " It is the enterprise's: set it there." : "";
    const row = (
      rule: "RG-02" | "RG-03" | "RG-04",
      check: CheckId,
      field: string,
      holds: (value: unknown) => boolean | null,
      fix: string,
    ) => {
      const value = group[field];
      const held = holds(value);
      const status = held === null ? "unknown" : held ? "pass" : "fail";
      const seen = value === undefined ? `the API does not say ${field}` : `${field} is ${shown(value)}`;
      return say({ rule, check, status, subject, field, seen, fix: `${fix}${inherited}` });
    };
    const bool = (wanted: boolean) => (value: unknown) => (typeof value === "boolean" ? value === wanted : null);
    return [
      row(
        "RG-02",
        "allows-public-repositories",
        "allows_public_repositories",
        bool(false),
        "Set allows_public_repositories to false.",
      ),
      row(
        "RG-03",
        "visibility",
        "visibility",
        (value) => (value === "selected" ? true : value === "all" || value === "private" ? false : null),
        "Set the visibility to selected, and list the repositories.",
      ),
      row(
        "RG-04",
        "restricted-to-workflows",
        "restricted_to_workflows",
        bool(true),
        "Set restricted_to_workflows, with workflows and a ref each in selected_workflows.",
      ),
    ];
  });
}

/** One completed job on a runner of the organisation's own. */
export interface JobSeen {
  readonly id: number;
  readonly runnerId: number;
  readonly runnerName: string;
}

/** Jobs of a run's answer that ran on no runner of GitHub's. */
export function ownJobs(value: unknown): JobSeen[] {
  const jobs: unknown[] = Array.isArray(value) ? value : [];
  return jobs.flatMap((each) => {
    const { id, status, runner_id: runnerId, runner_name: name, runner_group_name: group } = fieldsOf(each) ?? {};
    if (status !== "completed" || typeof runnerId !== "number" || runnerId === 0 || typeof id !== "number") return [];
    // GitHub's own runners are in this group, with ids of their own.
    if (group === "GitHub Actions" || typeof name !== "string") return [];
    return [{ id, runnerId, runnerName: name }];
  });
}

/** What else is known of runners, for the jobs that they did. */
export interface RunnersKnown {
  /** The API's flag by runner id; one that is not there is not known. */
  readonly ephemeral: ReadonlyMap<number, boolean>;
  /** As `--known-runners` has them. */
  readonly names: readonly string[];
}

/** The API's flag by runner id, of those whose flag it says. */
export function flagsOf(said: Said): Map<number, boolean> {
  const pairs = (listOf(said) ?? []).flatMap(({ id, ephemeral }) =>
    typeof id === "number" && typeof ephemeral === "boolean" ? [[id, ephemeral] as const] : [],
  );
  return new Map(pairs);
}

/**
 * RG-01 and RG-16 by the jobs that each runner did: an ephemeral runner is gone from the list when somebody asks, and stands in the
 * jobs alone. Several jobs outweigh the API's flag; one job proves nothing, so that the flag decides. Larger runners of GitHub's are
 * in groups too; their names are not told apart here.
 */
export function checkJobsSeen(
  endpoint: string,
  owner: string,
  jobs: readonly JobSeen[],
  { ephemeral, names }: RunnersKnown,
): Finding[] {
  const say = sayAt(endpoint);
  const patterns = names.map(patternOf);
  return [...Map.groupBy(jobs, ({ runnerId }) => runnerId)].flatMap(([id, list]) => {
    const { runnerName } = list[0]!;
    const subject = `${owner}: runner ${runnerName}`;
    const ids = [...new Set(list.map((each) => each.id))];
    const flag = ephemeral.get(id);
    const common = { rule: "RG-01", check: "ephemeral", subject, field: "runner_id" } as const;
    const once = `runner_id ${id} did one job of those looked at`;
    const age =
      ids.length > 1
        ? say({
            ...common,
            status: "fail",
            seen: `runner_id ${id} did ${ids.length} jobs (${ids.slice(0, 3).join(", ")}): it stays`,
          })
        : flag === undefined
          ? say({ ...common, status: "unknown", seen: `${once}, which proves nothing` })
          : say({ ...common, status: flag ? "pass" : "fail", seen: `${once}, and its ephemeral is ${flag}` });
    const [status, seen] = isBadName(runnerName)
      ? (["fail", `${badNameText}; it did job ${ids[0]}`] as const)
      : patterns.length > 0 && !patterns.some((pattern) => pattern.test(runnerName))
        ? (["fail", `the name fits none of ${names.join(", ")}; it did job ${ids[0]}`] as const)
        : (["pass", ""] as const);
    if (status === "pass") return [age];
    const severity = isBadName(runnerName) ? ({ severity: "critical" } as const) : {};
    return [age, say({ rule: "RG-16", check: "known", status, ...severity, subject, field: "runner_name", seen })];
  });
}

/** RG-01 by a log: actions/checkout cleans up what an earlier job left. */
export function checkLog(endpoint: string, owner: string, job: JobSeen, log: string): Finding[] {
  if (!/^\S*\s*(?:##\[group\])?Cleaning the repository\s*$/m.test(log)) return [];
  const seen = `the log of job ${job.id} says “Cleaning the repository”: an earlier job's workspace was there`;
  const subject = `${owner}: runner ${job.runnerName}`;
  return [sayAt(endpoint)({ rule: "RG-01", check: "workspace", status: "fail", subject, seen })];
}

/** RG-15 by what GitHub says of a version; `runners`: who has it. */
export function checkVersion(
  said: Said,
  owner: string,
  version: string,
  runners: readonly string[],
  now: Date,
): Finding[] {
  const say = sayAt(said.endpoint);
  const all = fieldsOf(said.value);
  return runners.map((name) => {
    const common = { rule: "RG-15", check: "version", subject: `${owner}: runner ${name}` } as const;
    const end = textOf(all?.["runtime_deprecates_at"]);
    const time = Date.parse(end ?? "");
    if (all === null)
      return say({
        ...common,
        status: "unknown",
        seen: `version ${version}; when it ends was not seen: ${said.why ?? ""}`,
      });
    if (end === null || Number.isNaN(time))
      return say({ ...common, status: "pass", seen: `version ${version} has no end yet` });
    const status = time <= now.getTime() ? "fail" : "pass";
    return say({ ...common, status, field: "runtime_deprecates_at", seen: `version ${version} ends ${end}` });
  });
}
