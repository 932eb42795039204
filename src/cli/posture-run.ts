/** What `sallyport posture` does once it is asked: sources read, one report made, said in the format that is wanted. */
import { readFileSync } from "node:fs";
import { SallyportError } from "../errors.ts";
import { acceptedNow, parseAccepted } from "../posture/accepted.ts";
import type { Frame } from "../posture/facts.ts";
import type { Finding } from "../posture/finding.ts";
import { checkEvidence } from "../posture/checks/assurance.ts";
import { checkRepository } from "../posture/checks/repository.ts";
import { reportJunit } from "../posture/report/junit.ts";
import { reportMarkdown } from "../posture/report/markdown.ts";
import { failsOn, reportOf } from "../posture/report/report.ts";
import type { PostureReport, SourceSeen } from "../posture/report/report.ts";
import { runnerPolicy } from "../posture/report/runner-policy.ts";
import { reportSarif } from "../posture/report/sarif.ts";
import { reportText } from "../posture/report/text.ts";
import { readCloudFiles } from "../posture/sources/cloud-files.ts";
import { readRepository } from "../posture/sources/disk.ts";
import { runnerNeeds } from "../posture/sources/github.ts";
import { GithubClient } from "../posture/sources/github-client.ts";
import { surveyGithub } from "../posture/sources/survey.ts";
import { githubValidator } from "../posture/sources/parser-schema.ts";
import { version } from "../version.ts";
import { judgeCloud } from "./posture-cloud.ts";
import type { PostureFlags } from "./posture.ts";
import { say } from "./policy-file.ts";
import { lineAges } from "./workflow-files.ts";

const formats = {
  text: (report: PostureReport, all: boolean) => reportText(report, all ? Infinity : 10),
  markdown: (report: PostureReport, all: boolean) => reportMarkdown(report, all ? Infinity : 50),
  json: (report: PostureReport) => JSON.stringify(report),
  sarif: (report: PostureReport) => JSON.stringify(reportSarif(report)),
  junit: (report: PostureReport) => reportJunit(report),
  "runner-policy": (report: PostureReport) => runnerPolicy(report),
} as const;

export async function posture(flags: PostureFlags): Promise<void> {
  const now = new Date();
  const findings: Finding[] = [];
  const sources: SourceSeen[] = [];
  const targets: string[] = [];
  const validate = githubValidator();
  const own = flags.uses.toLowerCase();
  const frame: Frame = {
    now,
    own,
    auditDays: flags.auditDays,
    keepDays: flags.keepDays,
    testDays: flags.testDays,
    changed: () => null,
    largerRunners: null,
  };
  if (flags.repository !== false) {
    const folder = flags.repository;
    const { facts, text, cut } = readRepository(folder, null);
    sources.push({ name: `files of ${folder}`, seen: !cut, text });
    const here = { ...frame, changed: lineAges(folder) };
    findings.push(...checkRepository(facts, { defaultPermissions: null }, here, validate).findings);
    targets.push(folder);
  }
  if (flags.github.length > 0) {
    const seen = await surveyGithub(clientOf(flags), flags.github, {
      frame: { ...frame, knownRunners: flags.knownRunners, runnerNeeds },
      runs: flags.runs,
      progress,
      validate,
    });
    findings.push(...seen.findings);
    sources.push(...seen.sources);
    targets.push(...flags.github);
  }
  if (flags.evidence.length > 0) {
    const files = readCloudFiles(flags.evidence).map(({ file, text }) => ({ path: file, text }));
    findings.push(...checkEvidence(files, frame));
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
      ? { accepted: new Map(), notes: [] }
      : acceptedNow(parseAccepted(readAccepted(flags.accept), flags.accept), findings, flags.accept, now);
  const report = reportOf({ version, now, target, sources, findings, accepted, notes });
  const format = flags.json === true ? "json" : flags.format;
  say(formats[format](report, flags.all === true));
  // Said where a person looks, also where a machine reads the report.
  if (format !== "text") for (const note of notes) console.error(`sallyport: ${note}`);
  if (!sources.some(({ seen }) => seen)) {
    const why = sources[0]?.text ?? "";
    throw new SallyportError("POSTURE_UNSEEN", `nothing of ${target} could be looked at: ${why}.`);
  }
  process.exitCode = flags.failOn !== "never" && failsOn(report, flags.failOn, flags.unknownFails === true) ? 1 : 0;
}

function clientOf({ apiUrl, maxWait }: Pick<PostureFlags, "apiUrl" | "maxWait">): GithubClient {
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
