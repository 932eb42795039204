/** Whether the job may be green, from the report and what the workflow asked for. */
import type { JobReport } from "../machine/job-report.ts";

export interface JobVerdict {
  ok: boolean;
  reasons: string[];
}

/**
 * Lost enforcement and tampering fail a job that was to be enforced, whatever `fail-on` says: a green job must mean that the
 * policy held from its start to its end. A watched job they fail as well, because its record is not whole.
 */
export function verdictOf(
  { counts, degraded, mode }: JobReport,
  { state, problems }: { state: "enforcing" | "monitoring" | "lost"; problems: readonly string[] },
  { failOn }: { failOn: readonly string[] },
): JobVerdict {
  const reasons: string[] = [];
  const promise = mode === "enforce" ? "enforced" : "watched";
  const wasLost = state === "lost" || (mode === "enforce" ? state !== "enforcing" : state !== "monitoring");
  if (wasLost)
    reasons.push(`The job was not ${promise} to its end: ${problems.join("; ") || "the agent does not vouch for it"}.`);
  else for (const each of degraded) reasons.push(`Not as promised: ${each}.`);
  if (counts.tampering > 0)
    reasons.push(`The firewall was tampered with (${times(counts.tampering)}); the summary says how.`);
  if (failOn.includes("denied") && counts.denied > 0) {
    const were = counts.denied === 1 ? "1 connection was" : `${counts.denied} connections were`;
    reasons.push(`${were} denied, and fail-on says denied.`);
  }
  if (failOn.includes("detection") && counts.detections > 0) {
    const were = counts.detections === 1 ? "1 thing was" : `${counts.detections} things were`;
    reasons.push(`${were} noticed, and fail-on says detection.`);
  }
  return { ok: reasons.length === 0, reasons };
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
