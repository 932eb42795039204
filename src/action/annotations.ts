/** Annotations for what was refused and noticed: few, one for each destination, because GitHub shows ten of a step. */
import type { JobReport } from "../machine/job-report.ts";
import type { JobRow } from "../machine/job-rows.ts";
import { annotation } from "./commands.ts";

const most = 8;

/** Lines for standard output. Nothing for what was allowed. */
export function annotationsOf({ connections, tampering, detections, mode }: JobReport): string[] {
  const lines = tampering
    .slice(0, most)
    .map(({ message }) => annotation("error", message, { title: "Sallyport: tampering" }));
  const refused = connections.filter(({ verdict }) => verdict === (mode === "enforce" ? "deny" : "would_deny"));
  const level = mode === "enforce" ? "error" : "notice";
  const title = mode === "enforce" ? "Sallyport: denied" : "Sallyport: would be denied";
  lines.push(...refused.slice(0, most).map((row) => annotation(level, textOf(row), { title })));
  if (refused.length > most)
    lines.push(annotation("notice", `and ${refused.length - most} more; the summary has them`, { title }));
  lines.push(
    ...detections.slice(0, most).map(({ message }) => annotation("warning", message, { title: "Sallyport: noticed" })),
  );
  return lines;
}

function textOf({ name, ip, port, protocol, reason, rule, process, count }: JobRow): string {
  const host = name ?? ip ?? "other destinations";
  const where = port === null ? host : `${host}:${port}`;
  const step =
    process === null
      ? ""
      : process.step_number === null
        ? ", outside of the steps"
        : `, step ${process.step_number} “${process.step ?? ""}”`;
  const who = process === null ? "" : ` by ${process.exe}`;
  const times = count === 1 ? "" : `, ${count} times`;
  return `${where} (${protocol})${who}${step}${times}: ${rule === null ? "default" : `rule “${rule}”`}, ${reason}`;
}
