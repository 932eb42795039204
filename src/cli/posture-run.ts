/** What `sallyport posture` does once it is asked: looks, makes one report, and says it in the format that is wanted. */
import { SallyportError } from "../errors.ts";
import { reportJunit } from "../posture/report/junit.ts";
import { reportMarkdown } from "../posture/report/markdown.ts";
import { failsOn, reportOf } from "../posture/report/report.ts";
import type { PostureReport } from "../posture/report/report.ts";
import { runnerPolicy } from "../posture/report/runner-policy.ts";
import { reportSarif } from "../posture/report/sarif.ts";
import { reportText } from "../posture/report/text.ts";
import { version } from "../version.ts";
import { look, mustHaveSeen } from "./posture-look.ts";
import type { PostureFlags } from "./posture.ts";
import { say } from "./policy-file.ts";

const formats = {
  text: (report: PostureReport, all: boolean) => reportText(report, all ? Infinity : 10),
  markdown: (report: PostureReport, all: boolean) => reportMarkdown(report, all ? Infinity : 50),
  json: (report: PostureReport) => JSON.stringify(report),
  sarif: (report: PostureReport) => JSON.stringify(reportSarif(report)),
  junit: (report: PostureReport) => reportJunit(report),
  "runner-policy": (report: PostureReport) => runnerPolicy(report),
} as const;

export async function posture(flags: PostureFlags): Promise<void> {
  const isFix = flags.fix === true || flags.undo !== undefined;
  if (isFix && flags.adoptionIssue !== undefined)
    throw new SallyportError("USAGE", "--adoption-issue or --fix, not both.");
  const goesWithFix = Object.entries({
    "--apply": flags.adoptionIssue === undefined ? flags.apply : undefined,
    "--undo-file": flags.undoFile,
    "--version-comment": flags.versionComment,
    "--pin": flags.pin[0],
    "--select-group": flags.selectGroup[0],
    "--restrict-group": flags.restrictGroup[0],
  }).find(([, given]) => given !== undefined);
  if (!isFix && goesWithFix !== undefined) throw new SallyportError("USAGE", `${goesWithFix[0]} goes with --fix.`);
  if (isFix) {
    const { fix, undo } = await import("./posture-fix.ts");
    return flags.undo === undefined ? fix(flags) : undo(flags, flags.undo);
  }
  if (flags.adoptionIssue !== undefined) {
    const { adoptionIssue } = await import("./posture-adoption.ts");
    return adoptionIssue(flags, flags.adoptionIssue);
  }
  if (flags.issueAuthor !== undefined || flags.publicIssue === true) {
    const given = flags.issueAuthor === undefined ? "--public-issue" : "--issue-author";
    throw new SallyportError("USAGE", `${given} goes with --adoption-issue.`);
  }
  const seen = await look(flags);
  const report = reportOf({ version, ...seen });
  const format = flags.json === true ? "json" : flags.format;
  say(formats[format](report, flags.all === true));
  // Said where a person looks, also where a machine reads the report.
  if (format !== "text") for (const note of seen.notes) console.error(`sallyport: ${note}`);
  mustHaveSeen(seen);
  process.exitCode = flags.failOn !== "never" && failsOn(report, flags.failOn, flags.unknownFails === true) ? 1 : 0;
}
