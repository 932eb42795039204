/** The report for people: what each rule comes to, then what is to be done, worst first, with the evidence. */
import { whereText } from "../finding.ts";
import type { PostureReport, ReportedFinding } from "./report.ts";

const marks = { fail: "FAIL", unknown: "unknown", pass: "ok" } as const;

/** `most`: how many findings of a rule are written out; Infinity: all. No line break at the end. */
export function reportText(report: PostureReport, most: number): string {
  const { rules, findings, sources, summary, notes, target } = report;
  const rows = rules.map(({ rule, title, status, fail, unknown, pass, accepted }) => {
    const counts = [
      [fail, "fail"],
      [unknown, "unknown"],
      [pass, "ok"],
      [accepted, "accepted"],
    ] as const;
    const said =
      counts.flatMap(([n, word]) => (n === 0 ? [] : [`${n} ${word}`])).join(", ") || "nothing was seen of it";
    return `${rule}  ${marks[status].padEnd(7)}  ${title.padEnd(78)}  ${said}`;
  });
  const open = findings.filter(({ status, accepted }) => status !== "pass" && accepted === null);
  const byRule = Map.groupBy(open, ({ rule, status }) => `${rule} ${status}`);
  const listed = [...byRule.values()].flatMap((list) => [
    ...list.slice(0, most).map(findingText),
    ...(list.length > most ? [`    … ${list.length - most} more of ${list[0]!.rule} (--all shows them)`] : []),
  ]);
  const unseen = sources.filter(({ seen }) => !seen).map(({ name, text }) => `  ${name}: ${text}`);
  const end = `${target}: ${summary.fail} fail, ${summary.unknown} unknown, ${summary.pass} ok, ${summary.accepted} accepted`;
  return [
    rows.join("\n"),
    ...(listed.length === 0 ? [] : [listed.join("\n")]),
    ...(unseen.length === 0 ? [] : [`Not seen, so unknown:\n${unseen.join("\n")}`]),
    ...(notes.length === 0 ? [] : [notes.join("\n")]),
    end,
  ].join("\n\n");
}

function findingText({ id, severity, status, subject, seen, where, fix }: ReportedFinding): string {
  const mark = status === "fail" ? `FAIL ${severity}` : "unknown";
  return `${mark}: ${subject}: ${seen}\n    at: ${whereText(where)}\n    fix: ${fix} (${id})`;
}
