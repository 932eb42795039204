/** `sallyport posture`: where runners and workflows break the runner policy, with the evidence, in the format that is wanted. */
import { type Command, Option } from "commander";
import type { Frame } from "../posture/facts.ts";
import { severities } from "../posture/finding.ts";
import type { Finding, Severity } from "../posture/finding.ts";
import { checkRepository } from "../posture/checks/repository.ts";
import { reportJunit } from "../posture/report/junit.ts";
import { reportMarkdown } from "../posture/report/markdown.ts";
import { failsOn, reportOf } from "../posture/report/report.ts";
import type { PostureReport, SourceSeen } from "../posture/report/report.ts";
import { reportSarif } from "../posture/report/sarif.ts";
import { reportText } from "../posture/report/text.ts";
import { readRepository } from "../posture/sources/disk.ts";
import { githubValidator } from "../posture/sources/parser-schema.ts";
import { version } from "../version.ts";
import { addCloudOptions, judgeCloud } from "./posture-cloud.ts";
import type { CloudFlags } from "./posture-cloud.ts";
import { integer } from "./options.ts";
import { say } from "./policy-file.ts";
import { lineAges } from "./workflow-files.ts";

interface Flags extends CloudFlags {
  repository: string | false;
  uses: string;
  auditDays: number;
  format: keyof typeof formats;
  json?: true;
  all?: true;
  failOn: Severity | "never";
  unknownFails?: true;
}

const formats = {
  text: (report: PostureReport, all: boolean) => reportText(report, all ? Infinity : 10),
  markdown: (report: PostureReport, all: boolean) => reportMarkdown(report, all ? Infinity : 50),
  json: (report: PostureReport) => JSON.stringify(report),
  sarif: (report: PostureReport) => JSON.stringify(reportSarif(report)),
  junit: (report: PostureReport) => reportJunit(report),
} as const;

export function addPostureCommand(program: Command): void {
  const command = program
    .command("posture")
    .description("Where runners and workflows break the runner policy, with the evidence. Changes nothing.")
    .option("-C, --repository <dir>", "a repository's folder", ".")
    .option("--no-repository", "look at no folder")
    .option("--uses <owner/repo>", "whose step is ours", "sallyport/sallyport")
    .addOption(
      new Option("--audit-days <n>", "how long a control may only watch, by git")
        .argParser(integer(0, 36_500))
        .default(30),
    )
    .addOption(new Option("--format <format>", "how it is said").choices(Object.keys(formats)).default("text"))
    .option("--json", "as --format json")
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
  sallyport posture --no-repository --iam roles.json --network vpc.json --subnet subnet-0a1 --picture out.svg

What could not be seen is unknown, never ok. The rules: docs/posture.md
Exit codes: 0 nothing as bad as --fail-on, 1 something is, 2 nothing could be looked at`,
    )
    .action(async (flags: Flags) => {
      await posture(flags);
    });
  addCloudOptions(command);
}

async function posture(flags: Flags): Promise<void> {
  const now = new Date();
  const findings: Finding[] = [];
  const sources: SourceSeen[] = [];
  const targets: string[] = [];
  const validate = githubValidator();
  if (flags.repository !== false) {
    const folder = flags.repository;
    const changed = lineAges(folder);
    const own = flags.uses.toLowerCase();
    const frame: Frame = { now, own, auditDays: flags.auditDays, changed, largerRunners: null };
    const { facts, text, cut } = readRepository(folder, null, frame);
    sources.push({ name: `files of ${folder}`, seen: !cut, text });
    findings.push(...checkRepository(facts, { defaultPermissions: null }, frame, validate).findings);
    targets.push(folder);
  }
  const cloud = await judgeCloud(flags);
  for (const each of cloud.findings) findings.push(each);
  for (const each of cloud.sources) sources.push(each);
  if (cloud.target !== null) targets.push(cloud.target);
  const target = targets.join(", ");
  const report = reportOf({ version, now, target, sources, findings, accepted: new Map(), notes: [] });
  const format = flags.json === true ? "json" : flags.format;
  say(formats[format](report, flags.all === true));
  process.exitCode = flags.failOn !== "never" && failsOn(report, flags.failOn, flags.unknownFails === true) ? 1 : 0;
}
