/** Annotations for what was refused and noticed: few, one for each destination, because GitHub shows ten of a step. */
import type { Finding, JobReport } from "../machine/job-report.ts";
import { placeOf, type Refused, refusedOf, whyOf, withoutAsked } from "../machine/refused.ts";
import { candidates, shownName } from "./cells.ts";
import { annotation } from "./commands.ts";
import { cut } from "./markdown.ts";

const most = 8;
/** Characters of one; GitHub's page shows a few lines of it. */
const longest = 500;

/**
 * Lines for standard output. Nothing for what was allowed, and nothing for a watched job's refusals that were none: the summary
 * has them.
 */
export function annotationsOf({ connections, tampering, detections }: JobReport): string[] {
  const denied = refusedOf(withoutAsked(connections)).filter(({ verdict }) => verdict === "deny");
  return [
    ...few("warning", "Sallyport: tampering", distinct(tampering)),
    ...few("error", "Sallyport: denied", denied.map(textOf)),
    ...few("warning", "Sallyport: noticed", distinct(detections)),
  ];
}

function few(level: "error" | "warning", title: string, texts: readonly string[]): string[] {
  const lines = texts.slice(0, most).map((text) => annotation(level, cut(text, longest), { title }));
  if (texts.length > most) {
    lines.push(annotation("notice", `and ${texts.length - most} more; the summary has them`, { title }));
  }
  return lines;
}

function distinct(findings: readonly Finding[]): string[] {
  return [...new Set(findings.map(({ message }) => message))];
}

function textOf(each: Refused): string {
  const { protocol, reason, rule, count, rows, host, port } = each;
  const process = rows[0]?.process ?? null;
  const step =
    process === null
      ? ""
      : (process.step_candidates ?? []).length > 1
        ? `, step ${candidates(process.step_candidates!)}`
        : process.step_number === null
          ? ", outside of the steps"
          : `, step ${process.step_number} “${process.step ?? ""}”`;
  const others = rows.length > 1 ? ` and ${rows.length - 1} more` : "";
  const who = process === null ? "" : ` by ${cut(process.exe ?? "an unknown process", 200)}${step}${others}`;
  const times = count === 1 ? "" : `, ${count} times`;
  return `${placeOf({ host: host === null ? null : shownName(host), port })} (${protocol})${who}${times}: ${whyOf({ rule, reason })}`;
}
