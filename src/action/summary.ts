/**
 * The job's summary, made here from the agent's report: what was refused and how to allow it first, then the picture, then the
 * rest folded away. Nothing of it comes from a service.
 */
import { bytes } from "../run/report.ts";
import type { EventProcess } from "../audit/event.ts";
import type { JobReport, Finding } from "../machine/job-report.ts";
import type { JobRow } from "../machine/job-rows.ts";
import { block, code, fold, plain, table } from "./markdown.ts";
import { picture } from "./picture.ts";
import { rulesFor } from "./rules-for-denied.ts";

/** GitHub refuses a step's summary over 1 MiB (docs.github.com, "Step isolation and limits"). */
const mostBytes = 900_000;
const mostRows = 200;

/** What the summary says besides the report. */
export interface SummaryExtras {
  /** What a pull request's own policy would change; null: nothing. */
  proposal: string | null;
  policyPath: string;
}

/** Markdown for GITHUB_STEP_SUMMARY. Shortened to what GitHub takes; what was left out is said. */
export function summaryOf(report: JobReport, extras: SummaryExtras): string {
  for (const most of [mostRows, 50, 10, 3]) {
    const text = write(report, extras, most);
    if (Buffer.byteLength(text) <= mostBytes) return text;
  }
  return headline(report);
}

function write(report: JobReport, { proposal, policyPath }: SummaryExtras, most: number): string {
  const { connections, detections, tampering } = report;
  const refused = connections.filter(({ verdict }) => verdict !== "allow");
  const parts = [
    headline(report),
    list("Not as promised", report.degraded),
    findings("Tampering", tampering, most),
    refusedTable(report, refused, most),
    suggestion(report, refused, policyPath),
    findings("Noticed", detections, most),
    connections.length === 0 ? "" : `### Who connected where\n\n${picture(connections)}`,
    connections.length === 0
      ? "No connection was made."
      : fold(`All ${connections.length} destinations`, all(connections, most)),
    earlierTable(report, most),
    proposal === null ? "" : fold("What this pull request would change in the policy", block(proposal)),
    list("Cannot be promised on this machine", report.limits),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function headline({ mode, counts, degraded, policy, started, until, version, record }: JobReport): string {
  const word = mode === "enforce" ? "Egress enforced" : "Egress watched";
  const isWhole = degraded.length === 0 && counts.tampering === 0;
  const mark = isWhole ? "✅" : "❌";
  const denied = mode === "enforce" ? `**${counts.denied} denied**` : `**${counts.would_deny} would be denied**`;
  return [
    `## ${mark} Sallyport: ${isWhole ? word.toLowerCase() : `${word.toLowerCase()}, but not as promised`}`,
    `${counts.allowed} connections allowed, ${denied}, ${counts.detections} things noticed, ${counts.tampering} tampered with. ` +
      `From ${time(started)} to ${time(until)}, by the policy ${code(policy.hash.slice(0, 12))} (${plain(policy.from)}). ` +
      `${record.events} records, chain head ${code(record.head.slice(0, 12))}. Sallyport ${plain(version)}.`,
  ].join("\n\n");
}

function refusedTable({ mode }: JobReport, rows: readonly JobRow[], most: number): string {
  if (rows.length === 0) return "";
  const title = mode === "enforce" ? "### Refused" : "### Would be refused";
  const cells = rows
    .slice(0, most)
    .map((row) => [
      stepOf(row.process),
      processOf(row.process),
      destinationOf(row),
      `${row.rule === null ? "default" : plain(row.rule)}: ${code(row.reason)}`,
      String(row.count),
    ]);
  const text = table(["step", "process", "destination", "why", "times"], cells);
  return `${title}\n\n${text}${more(rows.length, most)}`;
}

function suggestion({ mode }: JobReport, refused: readonly JobRow[], policyPath: string): string {
  const rules = rulesFor(refused);
  if (rules === null) return "";
  const intro = `If these are wanted, add to ${code(policyPath)} on the base branch${mode === "enforce" ? "" : " before enforcing"}; read each line first:`;
  return fold("How to allow them", `${intro}\n\n${block(rules, "yaml")}`);
}

function all(rows: readonly JobRow[], most: number): string {
  const verdicts = { allow: "allowed", deny: "**denied**", would_deny: "would deny" } as const;
  const cells = rows
    .slice(0, most)
    .map((row) => [
      stepOf(row.process),
      processOf(row.process),
      destinationOf(row),
      verdicts[row.verdict],
      row.rule === null ? plain(row.reason) : plain(row.rule),
      String(row.count),
      bytes(row.bytes_up),
      bytes(row.bytes_down),
    ]);
  return (
    table(["step", "process", "destination", "verdict", "rule", "times", "up", "down"], cells) + more(rows.length, most)
  );
}

function earlierTable({ earlier }: JobReport, most: number): string {
  if (earlier.length === 0) return "";
  const cells = earlier
    .slice(0, most)
    .map(({ ip, port, protocol, exe, runner, kept }) => [
      code(`${ip}:${port}`),
      plain(protocol),
      exe === null ? "unknown" : code(exe),
      runner ? "the runner" : "not the runner",
      kept ? "kept" : "ended",
    ]);
  const text = table(["to", "protocol", "process", "whose", ""], cells);
  return fold(`${earlier.length} connections were open before enforcement began`, text + more(earlier.length, most));
}

function findings(title: string, list: readonly Finding[], most: number): string {
  if (list.length === 0) return "";
  const cells = list
    .slice(0, most)
    .map(({ time: at, type, message, process }) => [
      time(at),
      code(type),
      plain(message),
      stepOf(process),
      processOf(process),
    ]);
  return `### ${title}\n\n${table(["time", "what", "", "step", "process"], cells)}${more(list.length, most)}`;
}

function list(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `### ${title}\n\n${lines.map((line) => `- ${plain(line)}`).join("\n")}`;
}

function more(count: number, most: number): string {
  return count > most ? `\n\nand ${count - most} more, in the report` : "";
}

function stepOf(process: EventProcess | null | undefined): string {
  if (process === null || process === undefined) return "unknown";
  if (process.runner) return "the runner";
  if (process.step_number === null) return "outside of the steps";
  const action = process.action === null ? "" : ` (${plain(process.action)})`;
  return `${process.step_number}. ${plain(process.step ?? "")}${action}`;
}

function processOf(process: EventProcess | null | undefined): string {
  if (process === null || process === undefined) return "";
  const line = process.args.length > 0 ? process.args.map(word).join(" ") : (process.exe ?? "unknown");
  const short = line.length > 120 ? `${line.slice(0, 120)}…` : line;
  const where =
    process.container === null ? "" : ` in ${code(process.container.image ?? process.container.id.slice(0, 12))}`;
  return `${code(short)}${where}`;
}

/** As a shell would need it, so that one can see where an argument ends. */
function word(text: string): string {
  return /^[\w@%+=:,./*?-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function destinationOf({ name, ip, port, protocol }: JobRow): string {
  if (name === null && ip === null) return "all others";
  const host = name ?? ip!;
  const shown = code(port === null ? host : host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
  return `${shown} ${plain(protocol)}`;
}

function time(text: string): string {
  return text.replace(/^.*T(\d\d:\d\d:\d\d).*$/, "$1");
}
