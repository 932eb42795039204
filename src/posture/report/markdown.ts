/** The report as Markdown: for a job's summary or an issue. Foreign text is escaped, and bounded by what GitHub takes. */
import { catalogue } from "../catalogue.ts";
import { whereText } from "../finding.ts";
import type { PostureReport } from "./report.ts";

const marks = { fail: "❌ fails", unknown: "❔ unknown", pass: "✅ holds" } as const;

/** `most`: findings written out for a rule. */
export function reportMarkdown(report: PostureReport, most: number): string {
  const { rules, summary, target, made, findings, sources, notes } = report;
  const rows = rules.map(
    ({ rule, title, status, fail, unknown, pass, accepted }) =>
      `| ${rule} | ${cell(title)} | ${marks[status]} | ${fail} | ${unknown} | ${pass} | ${accepted} |`,
  );
  const open = findings.filter(({ status, accepted }) => status !== "pass" && accepted === null);
  const parts = [...Map.groupBy(open, ({ rule }) => rule)].map(([rule, list]) =>
    [
      `### ${rule}: ${catalogue[rule].title}`,
      catalogue[rule].why,
      "| | what | seen | where | fix |\n|---|---|---|---|---|",
      ...list
        .slice(0, most)
        .map(
          ({ status, severity, subject, seen, where, fix }) =>
            `| ${status === "fail" ? severity : "unknown"} | ${code(subject)} | ${cell(seen)} | ${code(whereText(where))} | ${cell(fix)} |`,
        ),
      ...(list.length > most ? [`\n${list.length - most} more.`] : []),
    ]
      .join("\n")
      .replace(`${catalogue[rule].title}\n`, `${catalogue[rule].title}\n\n`)
      .replace(`${catalogue[rule].why}\n`, `${catalogue[rule].why}\n\n`),
  );
  const lapsed = notes.map((note) => `- ${cell(note)}`);
  const unseen = sources.filter(({ seen }) => !seen).map(({ name, text }) => `- ${code(name)}: ${cell(text)}`);
  return [
    `## Runner policy: ${cell(target)}`,
    `${summary.fail} fail, ${summary.unknown} unknown, ${summary.pass} hold, ${summary.accepted} accepted. Made ${made} by Sallyport ${report.version}.`,
    `| rule | | status | fail | unknown | ok | accepted |\n|---|---|---|---:|---:|---:|---:|\n${rows.join("\n")}`,
    ...parts,
    ...(lapsed.length === 0 ? [] : [`### Accepted findings that no longer count\n\n${lapsed.join("\n")}`]),
    ...(unseen.length === 0 ? [] : [`### Not seen\n\n${unseen.join("\n")}`]),
  ].join("\n\n");
}

/** Text in a table's cell: nothing in it is markup, a mention or a link. */
export function cell(text: string): string {
  return text
    .replaceAll(/[\\`*_{}[\]<>()#!|~$&]/g, (mark) => `\\${mark}`)
    .replaceAll("@", "@\u2060")
    .replaceAll(/\b(www)\./gi, "$1\u2060.")
    .replaceAll(/\b(GH)-(?=\d)/gi, "$1\u2060-")
    .replaceAll(/\s+/g, " ")
    .replaceAll("://", ":\u2060//");
}

/** Text as code in a table's cell. */
export function code(text: string): string {
  // A backslash before the one that keeps a bar would take its force, and what follows would leave the code.
  const plain = text.replaceAll(/\s+/g, " ").replaceAll("\\|", "\\¦").replaceAll("|", "\\|");
  const longest = Math.max(0, ...[...plain.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return longest === 0 ? `\`${plain}\`` : `${fence} ${plain} ${fence}`;
}
