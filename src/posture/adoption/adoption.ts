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
import { kindOf } from "../workflows/runs-on.ts";

/** From the best on; `unprotected`: it enforces, and whoever may push may open it. */
export const stages = ["enforced", "unprotected", "logging", "incomplete", "not-used", "unknown"] as const;
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
  const { read, unreadable } = readWorkflowTexts(facts.workflows);
  const all = read.flatMap(({ path, jobs }) =>
    jobs.flatMap(({ id, job, runsOn }) => {
      if (job.call !== null || job.neverRuns) return [];
      const kinds = runsOn.possible.map((set) => kindOf(set, new Set()));
      return [{ name: `${path}#${id}`, isOn: kinds.includes("firewall") }];
    }),
  );
  const jobs = all.filter(({ isOn }) => isOn).map((each) => each.name);
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
    ...(policy?.mode === "log" ? ["it only logs (mode: log)"] : []),
    ...(policy === null ? [] : unguarded),
    ...drift.filter(({ differs }) => differs !== false).map((each) => each.text),
    ...unreadable.map(({ path, why }) => `${path} cannot be read: ${why}`),
    ...facts.unread.map(({ path, why }) => `${path} was not read: ${why}`),
  ];
  return {
    ...{ name, file, owners, isReviewed, drift, jobs, lacks },
    stage: stageOf(jobs.length, file, policy?.mode ?? null, unguarded.length === 0, facts.notRead !== null),
    mode: policy?.mode ?? null,
    hosts: policy?.allow.length ?? 0,
    hasDefaults: policy?.hasDefaults ?? null,
    others: all.length - jobs.length,
  };
}

function stageOf(
  jobs: number,
  file: Adoption["file"],
  mode: Adoption["mode"],
  isGuarded: boolean,
  isUnread: boolean,
): Stage {
  if (file === "unknown" || isUnread) return "unknown";
  if (jobs === 0) return file === "missing" ? "not-used" : "incomplete";
  if (file !== "present") return "incomplete";
  if (mode === "log") return "logging";
  return isGuarded ? "enforced" : "unprotected";
}

function unknownAdoption(name: string, why: string): Adoption {
  return {
    ...{ name, stage: "unknown", file: "unknown", mode: null, hosts: 0, hasDefaults: null, owners: null },
    ...{ isReviewed: null, drift: [], jobs: [], others: 0, lacks: [why] },
  };
}
