/**
 * How far GitHub's own egress firewall is adopted, repository by repository: which jobs run on its label, whether its policy is
 * there under the one name that is read, in which mode, who guards it, and where it has drifted from ours. Pure.
 */
import { ownersOf } from "../codeowners.ts";
import type { RepositoryFacts } from "../facts.ts";
import type { Finding } from "../finding.ts";
import { parsePolicyFile } from "../native-file.ts";
import { nativePath } from "../checks/native.ts";
import { readWorkflowTexts } from "../workflows/read.ts";
import type { Workflow } from "../workflows/read.ts";
import { kindOf } from "../workflows/runs-on.ts";

/** From the best on; `unprotected`: it enforces, and whoever may push may open it; `partial`: it enforces for some jobs alone. */
export const stages = ["enforced", "unprotected", "partial", "logging", "incomplete", "not-used", "unknown"] as const;
export type Stage = (typeof stages)[number];

export interface Adoption {
  /** `octo/api`, or `octo/api/folder` of a checkout. */
  readonly name: string;
  readonly stage: Stage;
  /** `misnamed`: one is there that GitHub does not read; `broken`: it is there and says no mode. */
  readonly file: "present" | "missing" | "misnamed" | "broken" | "unknown";
  readonly mode: "enforce" | "log" | null;
  /** Hosts that it allows besides GitHub's own. */
  readonly hosts: number;
  /** GitHub's own hosts are open besides; null: there is no policy. */
  readonly hasDefaults: boolean | null;
  /** Owners by CODEOWNERS, or null: nobody. */
  readonly owners: readonly string[] | null;
  /** Whether the default branch asks for their review; null: not seen. */
  readonly isReviewed: boolean | null;
  /** What differs from our policies, and whether each does. */
  readonly drift: readonly { readonly differs: boolean | null; readonly text: string }[];
  /** Jobs on the firewall's label, and how many jobs are on other runners. */
  readonly jobs: readonly string[];
  readonly others: number;
  /** What keeps it from the next stage, in words. */
  readonly lacks: readonly string[];
}

/** `findings`: of the same repository, by the posture's checks. */
export function adoptionOf(name: string, facts: RepositoryFacts | null, findings: readonly Finding[]): Adoption {
  if (facts === null) return unknownAdoption(name, "its files were not seen");
  const { read, called, unreadable } = readWorkflowTexts(facts.workflows, facts.called);
  const { all, unseen } = jobsIn([...read, ...called]);
  const jobs = all.filter(({ isOn }) => isOn).map((each) => each.name);
  const beside = all.filter(({ isAlways }) => !isAlways).length;
  const isUnseen =
    unseen.length + unreadable.length > 0 || facts.unread.some(({ path }) => path.startsWith(".github/workflows/"));
  const text = facts.files.get(nativePath);
  const parsed = text === undefined ? null : parsePolicyFile(text);
  const policy = parsed === null || "problem" in parsed ? null : parsed;
  const misnamed = findings.filter(({ check }) => check === "native-file-name").map(({ seen }) => seen);
  const isUnread = facts.notRead !== null || facts.unread.some(({ path }) => path === nativePath);
  const file =
    policy !== null
      ? "present"
      : parsed !== null
        ? "broken"
        : misnamed.length > 0
          ? "misnamed"
          : isUnread
            ? "unknown"
            : "missing";
  const owned = ownersOf(facts.files, nativePath);
  const owners = owned === null || owned.owners.length === 0 ? null : owned.owners;
  const review = findings.find(({ check }) => check === "review-required")?.status;
  const isReviewed = review === "pass" ? true : review === "fail" ? false : null;
  const drift = findings
    .filter(({ check }) => check === "native-drift")
    .map(({ status, subject, seen }) => ({
      differs: status === "unknown" ? null : status === "fail",
      text: `${subject}: ${seen}`,
    }));
  const unguarded = [
    ...(owners === null ? [`no CODEOWNERS line gives ${nativePath} an owner`] : []),
    ...(isReviewed === false ? ["the default branch asks for no review by code owners"] : []),
    ...(isReviewed === null ? ["whether the default branch asks for a review by code owners was not seen"] : []),
  ];
  const absent = {
    present: [],
    missing: [`${nativePath} is not there`],
    misnamed,
    broken: [`${nativePath}: ${parsed !== null && "problem" in parsed ? parsed.problem : ""}`],
    unknown: [`whether ${nativePath} is there was not seen`],
  }[file];
  const lacks = [
    ...(file === "missing" && jobs.length === 0 ? [] : absent),
    ...(file === "present" && jobs.length === 0 ? ["no job runs on a label with the firewall"] : []),
    ...(jobs.length > 0 && beside > 0 ? [`${beside} of ${all.length} jobs can run on other runners`] : []),
    ...(policy?.mode === "log" ? ["it only logs (mode: log)"] : []),
    ...(policy === null ? [] : unguarded),
    ...drift.filter(({ differs }) => differs !== false).map((each) => each.text),
    ...unreadable.map(({ path, why }) => `${path} cannot be read: ${why}`),
    ...unseen,
    ...facts.unread.map(({ path, why }) => `${path} was not read: ${why}`),
  ];
  return {
    ...{ name, file, owners, isReviewed, drift, jobs, lacks },
    stage: stageOf({
      ...{ jobs: jobs.length, beside, file, mode: policy?.mode ?? null, isGuarded: unguarded.length === 0 },
      isUnread: facts.notRead !== null || (jobs.length === 0 && isUnseen),
    }),
    mode: policy?.mode ?? null,
    hosts: policy?.allow.length ?? 0,
    hasDefaults: policy?.hasDefaults ?? null,
    others: all.length - jobs.length,
  };
}

/** What of jobs is known: those that run, by their names, and where it was not seen, why. */
function jobsIn(workflows: readonly Workflow[]): {
  readonly all: readonly { readonly name: string; readonly isOn: boolean; readonly isAlways: boolean }[];
  readonly unseen: readonly string[];
} {
  const known = new Set(workflows.map(({ path }) => path));
  const unseen: string[] = [];
  const all = workflows.flatMap(({ path, jobs }) =>
    jobs.flatMap(({ id, job, runsOn, calls }) => {
      if (job.neverRuns) return [];
      const name = `${path}#${id}`;
      if (job.call !== null) {
        if (calls === null || !known.has(calls)) unseen.push(`${name} calls a workflow whose jobs were not read`);
        return [];
      }
      const kinds = runsOn.possible.map((set) => kindOf(set, new Set()));
      const isOn = kinds.includes("firewall");
      if (!isOn && !runsOn.isWhole) unseen.push(`${name}: on which runner it runs, only GitHub can work out`);
      return [{ name, isOn, isAlways: isOn && runsOn.isWhole && kinds.every((kind) => kind === "firewall") }];
    }),
  );
  return { all, unseen };
}

interface Seen extends Pick<Adoption, "file" | "mode"> {
  readonly jobs: number;
  /** Jobs that can run where there is no firewall. */
  readonly beside: number;
  readonly isGuarded: boolean;
  readonly isUnread: boolean;
}

function stageOf({ jobs, beside, file, mode, isGuarded, isUnread }: Seen): Stage {
  if (file === "unknown" || isUnread) return "unknown";
  if (jobs === 0) return file === "missing" ? "not-used" : "incomplete";
  if (file !== "present") return "incomplete";
  if (mode === "log") return "logging";
  if (beside > 0) return "partial";
  return isGuarded ? "enforced" : "unprotected";
}

function unknownAdoption(name: string, why: string): Adoption {
  return {
    ...{ name, stage: "unknown", file: "unknown", mode: null, hosts: 0, hasDefaults: null, owners: null },
    ...{ isReviewed: null, drift: [], jobs: [], others: 0, lacks: [why] },
  };
}
