/** `sallyport posture`: where runners and workflows break the runner policy, with the evidence, in the format that is wanted. */
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { SallyportError } from "../errors.ts";
import { acceptedNow, parseAccepted } from "../posture/accepted.ts";
import type { Frame } from "../posture/facts.ts";
import { severities } from "../posture/finding.ts";
import type { Finding, Severity } from "../posture/finding.ts";
import { checkRepository } from "../posture/checks/repository.ts";
import { reportJunit } from "../posture/report/junit.ts";
import { reportMarkdown } from "../posture/report/markdown.ts";
import { failsOn, reportOf } from "../posture/report/report.ts";
import type { PostureReport, SourceSeen } from "../posture/report/report.ts";
import { runnerPolicy } from "../posture/report/runner-policy.ts";
import { reportSarif } from "../posture/report/sarif.ts";
import { reportText } from "../posture/report/text.ts";
import { readRepository } from "../posture/sources/disk.ts";
import { runnerNeeds } from "../posture/sources/github.ts";
import { GithubClient } from "../posture/sources/github-client.ts";
import { surveyGithub } from "../posture/sources/survey.ts";
import { githubValidator } from "../posture/sources/parser-schema.ts";
import { version } from "../version.ts";
import { collect, integer } from "./options.ts";
import { say } from "./policy-file.ts";
import { lineAges } from "./workflow-files.ts";

interface Flags {
  repository: string | false;
  uses: string;
  auditDays: number;
  format: keyof typeof formats;
  json?: true;
  all?: true;
  failOn: Severity | "never";
  unknownFails?: true;
  github: string[];
  apiUrl: string;
  runs: number;
  knownRunners: string[];
  maxWait: number;
  accept?: string;
}

const formats = {
  text: (report: PostureReport, all: boolean) => reportText(report, all ? Infinity : 10),
  markdown: (report: PostureReport, all: boolean) => reportMarkdown(report, all ? Infinity : 50),
  json: (report: PostureReport) => JSON.stringify(report),
  sarif: (report: PostureReport) => JSON.stringify(reportSarif(report)),
  junit: (report: PostureReport) => reportJunit(report),
  "runner-policy": (report: PostureReport) => runnerPolicy(report),
} as const;

export function addPostureCommand(program: Command): void {
  program
    .command("posture")
    .description("Where runners and workflows break the runner policy, with the evidence. Changes nothing.")
    .option("-C, --repository <dir>", "a repository's folder", ".")
    .option("--no-repository", "look at no folder")
    .option(
      "--github <name>",
      "an organisation, or owner/repository, by GitHub's API (repeatable); token from GITHUB_TOKEN or GH_TOKEN",
      (name: string, before: string[]) => collect(readName(name), before),
      [],
    )
    .option("--api-url <url>", "GitHub Enterprise Server: https://HOST/api/v3", usualApi())
    .addOption(
      new Option("--runs <n>", "recent runs of each repository to look at for who did them")
        .argParser(integer(0, 100))
        .default(10),
    )
    .option("--known-runners <pattern>", "names that runners have, with * (repeatable)", collect, [])
    .addOption(
      new Option("--max-wait <s>", "seconds to wait for GitHub's limits, each time")
        .argParser(integer(0, 7200))
        .default(120),
    )
    .option("--uses <owner/repo>", "whose step is ours", "sallyport/sallyport")
    .addOption(
      new Option("--audit-days <n>", "how long a control may only watch, by git")
        .argParser(integer(0, 36_500))
        .default(30),
    )
    .addOption(new Option("--format <format>", "how it is said").choices(Object.keys(formats)).default("text"))
    .option("--json", "as --format json")
    .option("--accept <file>", "accepted findings, each with owner, reason and expiry")
    .option("--all", "write every finding out")
    .addOption(
      new Option("--fail-on <severity>", "exit 1 for a fail as bad as this or worse")
        .choices([...severities, "never"])
        .default("high"),
    )
    .option("--unknown-fails", "what was not seen fails like what was")
    .addHelpText(
      "after",
      `
Examples:
  sallyport posture                              the repository here
  sallyport posture --format sarif > posture.sarif
  GITHUB_TOKEN=… sallyport posture --no-repository --github octo

What could not be seen is unknown, never ok. The rules: docs/posture.md
Exit codes: 0 nothing as bad as --fail-on, 1 something is, 2 nothing could be looked at`,
    )
    .action(async (flags: Flags) => {
      await posture(flags);
    });
}

async function posture(flags: Flags): Promise<void> {
  const now = new Date();
  const findings: Finding[] = [];
  const sources: SourceSeen[] = [];
  const targets: string[] = [];
  const validate = githubValidator();
  const own = flags.uses.toLowerCase();
  const frame: Frame = { now, own, auditDays: flags.auditDays, changed: () => null, largerRunners: null };
  if (flags.repository !== false) {
    const folder = flags.repository;
    const { facts, text, cut } = readRepository(folder, null, frame);
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
  if (targets.length === 0)
    throw new SallyportError("USAGE", "Say what to look at: --repository DIR or --github NAME.");
  const target = targets.join(", ");
  const { accepted, notes } =
    flags.accept === undefined
      ? { accepted: new Map(), notes: [] }
      : acceptedNow(parseAccepted(readAccepted(flags.accept), flags.accept), findings, flags.accept, now);
  const report = reportOf({ version, now, target, sources, findings, accepted, notes });
  const format = flags.json === true ? "json" : flags.format;
  say(formats[format](report, flags.all === true));
  if (!sources.some(({ seen }) => seen)) {
    const why = sources[0]?.text ?? "";
    throw new SallyportError("POSTURE_UNSEEN", `nothing of ${target} could be looked at: ${why}.`);
  }
  process.exitCode = flags.failOn !== "never" && failsOn(report, flags.failOn, flags.unknownFails === true) ? 1 : 0;
}

function clientOf({ apiUrl, maxWait }: Pick<Flags, "apiUrl" | "maxWait">): GithubClient {
  const token = process.env["GITHUB_TOKEN"] ?? process.env["GH_TOKEN"] ?? "";
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

/** GitHub's runner says where its API is. */
function usualApi(): string {
  return process.env["GITHUB_API_URL"] ?? "https://api.github.com";
}

function readName(name: string): string {
  const parts = name.split("/");
  if (parts.length <= 2 && parts.every((part) => /^[\w.-]+$/.test(part) && !/^\.+$/.test(part))) return name;
  throw new InvalidArgumentError("Write an organisation, or owner/repository.");
}
