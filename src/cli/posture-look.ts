/** What `sallyport posture` was told to look at, looked at: a folder, GitHub, the cloud; and what was found there. */
import { readFileSync } from "node:fs";
import { SallyportError } from "../errors.ts";
import { acceptedNow, parseAccepted } from "../posture/accepted.ts";
import type { Frame, RepositoryFacts } from "../posture/facts.ts";
import type { Finding } from "../posture/finding.ts";
import { checkEvidence } from "../posture/checks/assurance.ts";
import { checkRepository } from "../posture/checks/repository.ts";
import type { Acceptance, SourceSeen } from "../posture/report/report.ts";
import { readCloudFiles } from "../posture/sources/cloud-files.ts";
import { readRepository } from "../posture/sources/disk.ts";
import { runnerNeeds } from "../posture/sources/github.ts";
import { GithubClient } from "../posture/sources/github-client.ts";
import { surveyGithub } from "../posture/sources/survey.ts";
import type { Survey } from "../posture/sources/survey.ts";
import { githubValidator } from "../posture/sources/parser-schema.ts";
import type { Validator } from "../posture/workflows/validate.ts";
import { judgeCloud } from "./posture-cloud.ts";
import type { PostureFlags } from "./posture.ts";
import { lineAges } from "./workflow-files.ts";

export interface Looked {
  readonly now: Date;
  readonly target: string;
  readonly targets: readonly string[];
  readonly findings: readonly Finding[];
  readonly sources: readonly SourceSeen[];
  readonly accepted: ReadonlyMap<string, Acceptance>;
  readonly notes: readonly string[];
  /** Null: no folder was looked at. `findings`: those of its files. */
  readonly folder: {
    readonly facts: RepositoryFacts;
    readonly findings: readonly Finding[];
    readonly frame: Frame;
  } | null;
  readonly validate: Validator;
  /** Null: GitHub was not asked. */
  readonly github: { readonly client: GithubClient; readonly seen: Survey } | null;
}

/** Throws USAGE where nothing was named, POSTURE_UNSEEN and what the sources throw. */
export async function look(flags: PostureFlags): Promise<Looked> {
  const now = new Date();
  const findings: Finding[] = [];
  const sources: SourceSeen[] = [];
  const targets: string[] = [];
  const validate = githubValidator();
  const own = flags.uses.repository.toLowerCase();
  const { auditDays, keepDays, testDays } = flags;
  const frame: Frame = { now, own, auditDays, keepDays, testDays, changed: () => null, largerRunners: null };
  let folder: Looked["folder"] = null;
  if (flags.repository !== false) {
    const at = flags.repository;
    const { facts, text, cut } = readRepository(at, null);
    sources.push({ name: `files of ${at}`, seen: !cut, text });
    const here = { ...frame, changed: lineAges(at) };
    folder = {
      facts,
      frame: here,
      findings: checkRepository(facts, { defaultPermissions: null }, here, validate).findings,
    };
    for (const each of folder.findings) findings.push(each);
    targets.push(at);
  }
  let github: Looked["github"] = null;
  if (flags.github.length > 0) {
    const client = clientOf(flags);
    const seen = await surveyGithub(client, flags.github, {
      frame: { ...frame, knownRunners: flags.knownRunners, runnerNeeds },
      runs: flags.runs,
      progress,
      validate,
    });
    github = { client, seen };
    for (const each of seen.findings) findings.push(each);
    for (const each of seen.sources) sources.push(each);
    targets.push(...flags.github);
  }
  if (flags.evidence.length > 0) {
    const files = readCloudFiles(flags.evidence).map(({ file, text }) => ({ path: file, text }));
    for (const each of checkEvidence(files, frame)) findings.push(each);
    sources.push({ name: `evidence ${flags.evidence.join(", ")}`, seen: true, text: `${files.length} files` });
    targets.push(...flags.evidence);
  }
  const cloud = await judgeCloud(flags);
  for (const each of cloud.findings) findings.push(each);
  for (const each of cloud.sources) sources.push(each);
  if (cloud.target !== null) targets.push(cloud.target);
  if (targets.length === 0)
    throw new SallyportError(
      "USAGE",
      "Say what to look at: --repository DIR, --github NAME, or --iam, --network, --plan FILE.",
    );
  const target = targets.join(", ");
  const { accepted, notes } =
    flags.accept === undefined
      ? { accepted: new Map<string, Acceptance>(), notes: [] }
      : acceptedNow(parseAccepted(readAccepted(flags.accept), flags.accept), findings, flags.accept, now);
  return { now, target, targets, findings, sources, accepted, notes, folder, validate, github };
}

/** Throws POSTURE_UNSEEN where nothing could be looked at. */
export function mustHaveSeen({ sources, target }: Looked): void {
  if (sources.some(({ seen }) => seen)) return;
  const why = sources[0]?.text ?? "";
  throw new SallyportError("POSTURE_UNSEEN", `nothing of ${target} could be looked at: ${why}.`);
}

export function clientOf({ apiUrl, maxWait }: Pick<PostureFlags, "apiUrl" | "maxWait">): GithubClient {
  const token = process.env["GITHUB_TOKEN"] || process.env["GH_TOKEN"] || "";
  if (token === "") console.error("sallyport: neither GITHUB_TOKEN nor GH_TOKEN is set: GitHub shows what is public");
  return new GithubClient({ url: apiUrl, token: token === "" ? null : token, maxWait, progress });
}

function readAccepted(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new SallyportError("ACCEPTED_INVALID", `${file}: ${(error as Error).message}.`, {}, error);
  }
}

let told = 0;

/** At most a line every two seconds. */
function progress(text: string): void {
  if (Date.now() - told < 2_000) return;
  told = Date.now();
  console.error(`sallyport: ${text}`);
}
