/**
 * The `post` phase: has the agent make the report, writes the summary and the annotations, and decides whether the job may be
 * green. Runs after whatever the job did to the machine, so it believes only what is root's and matches its digest.
 */
import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { SallyportError } from "../errors.ts";
import type { JobReport } from "../machine/job-report.ts";
import { askAgent } from "./agent-client.ts";
import { annotation, RunnerFiles, savedState } from "./commands.ts";
import type { PhaseContext, Started } from "./pre.ts";
import { annotationsOf } from "./annotations.ts";
import { verdictOf } from "./verdict.ts";

/** GitHub shows ten errors of a step. */
const mostReasons = 8;

/** Resolves with false where the job must fail. */
export async function post({ env, say }: PhaseContext): Promise<boolean> {
  const saved = savedState(env, "started");
  if (saved === "") {
    say(
      annotation("error", "Sallyport was never started in this job: nothing was watched or refused.", {
        title: "Sallyport",
      }),
    );
    return false;
  }
  const started = JSON.parse(saved) as Started;
  if (!started.enabled) return true;
  const finished = await askAgent(started.socket, "finish");
  const report = JSON.parse(readResult(finished.report, finished.digests.report)) as JobReport;
  for (const line of annotationsOf(report)) say(line);
  const verdict = verdictOf(report, finished, started);
  const isQuiet = report.counts.denied + report.counts.would_deny + report.counts.detections === 0 && verdict.ok;
  if (started.summary === "always" || (started.summary === "findings" && !isQuiet)) {
    new RunnerFiles(env).summary(readResult(finished.summary, finished.digests.summary));
  }
  say(`report ${finished.report} (sha256 ${finished.digests.report})`);
  say(`findings ${finished.sarif}, summary ${finished.summary}, record ${finished.record}`);
  say(`receipt ${finished.receipt} (sha256 ${finished.digests.receipt})`);
  for (const reason of verdict.reasons.slice(0, mostReasons)) say(annotation("error", reason, { title: "Sallyport" }));
  if (verdict.reasons.length > mostReasons) {
    say(annotation("error", `and ${verdict.reasons.length - mostReasons} reasons more`, { title: "Sallyport" }));
  }
  return verdict.ok;
}

/** The job may have put another file there, or a link; what the agent wrote is root's and has the digest it told. */
function readResult(path: string, wanted: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { uid, mode } = fstatSync(fd);
    const text = readFileSync(fd);
    const digest = createHash("sha256").update(text).digest("hex");
    if (uid !== 0 || (mode & 0o022) !== 0 || digest !== wanted) {
      throw new SallyportError("ENFORCEMENT_LOST", `${path} is not what the agent wrote.`);
    }
    return text.toString("utf8");
  } finally {
    closeSync(fd);
  }
}
