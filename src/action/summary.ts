/**
 * The job's summary, made here from the agent's report: what was refused and how to allow it first, then the picture, then the
 * rest folded away. Nothing of it comes from a service.
 */
import { bytes } from "../run/report.ts";
import type { EventProcess } from "../audit/event.ts";
import { type Reason, reasonTexts } from "../policy/reason.ts";
import type { JobReport, Finding } from "../machine/job-report.ts";
import type { JobRow } from "../machine/job-rows.ts";
import { block, code, fold, plain, table } from "./markdown.ts";
import { picture } from "./picture.ts";
import { adviceOn } from "./rules-for-denied.ts";

/** GitHub refuses a step's summary over 1 MiB (docs.github.com, "Step isolation and limits"). */
const mostBytes = 900_000;
const mostRows = 200;

/** What the summary says besides the report. */
export interface SummaryExtras {
  /** What a pull request's own policy would change; null: nothing. */
  proposal: string | null;
  policyPath: string;
  /** Why the job fails, a sentence each; empty: it does not for our part. */
  failures: readonly string[];
}

/** Markdown for GITHUB_STEP_SUMMARY. Shortened to what GitHub takes; what was left out is said. */
export function summaryOf(report: JobReport, extras: SummaryExtras): string {
  for (const most of [mostRows, 50, 10, 3]) {
    const text = write(report, extras, most);
    if (Buffer.byteLength(text) <= mostBytes) return text;
  }
  return headline(report, extras);
}

function write(report: JobReport, extras: SummaryExtras, most: number): string {
  const { proposal, policyPath } = extras;
  const { connections, detections, tampering } = report;
  const refused = connections.filter(({ verdict }) => verdict !== "allow");
  const parts = [
    headline(report, extras),
    list("Not as promised", report.degraded),
    findings("Tampering", tampering, most),
    refusedTable(report, refused, most),
    report.mode === "enforce" ? suggestion(report, refused, policyPath, most * 10) : "",
    findings("Noticed", detections, most),
    stepTable(connections),
    connections.length === 0 ? "" : `### Who connected where\n\n${picture(connections)}`,
    connections.length === 0
      ? "No connection was made."
      : fold(`All ${connections.length} destinations`, all(connections, most)),
    earlierTable(report, most),
    proposal === null ? "" : fold("What this pull request would change in the policy", block(proposal)),
    list("Cannot be promised on this machine", report.limits),
    report.mode === "enforce" ? "" : suggestion(report, refused, policyPath, most * 10),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function headline(report: JobReport, { failures }: SummaryExtras): string {
  const { mode, counts, degraded, policy, started, until, version, record } = report;
  const isWhole = degraded.length === 0 && counts.tampering === 0;
  const word = mode === "enforce" ? "egress enforced" : "egress watched, nothing refused";
  const mark = !isWhole || failures.length > 0 ? "❌" : counts.denied + counts.detections > 0 ? "⚠️" : "✅";
  const numbers =
    mode === "enforce"
      ? `**${counts.denied} denied**, ${counts.allowed} allowed`
      : `**${counts.would_deny} would be denied**, ${counts.allowed} allowed`;
  const more = [
    counts.detections > 0 ? `${counts.detections} things noticed` : "",
    counts.tampering > 0 ? `tampered with ${counts.tampering} times` : "",
  ].filter((each) => each !== "");
  return [
    `## ${mark} Sallyport: ${isWhole ? word : `${word}, but not as promised`}`,
    [numbers, ...more].join(", ") + ".",
    ...(failures.length === 0 ? [] : [`The job fails:\n\n${failures.map((each) => `- ${plain(each)}`).join("\n")}`]),
    `<sub>${time(started)} to ${time(until)} · policy <code>${policy.hash.slice(0, 12)}</code> (${plain(policy.from)}) · ` +
      `${record.events} records, chain head <code>${record.head.slice(0, 12)}</code> · Sallyport ${plain(version)}</sub>`,
  ].join("\n\n");
}

function refusedTable({ mode }: JobReport, rows: readonly JobRow[], most: number): string {
  if (rows.length === 0) return "";
  const title = mode === "enforce" ? "### Refused" : "### Would be refused";
  const cells = rows
    .slice(0, most)
    .map((row) => [destinationOf(row), stepOf(row.process), processOf(row.process), why(row), String(row.count)]);
  const text = table(["destination", "step", "process", "why", "times"], cells);
  const reasons = [...new Set(rows.map(({ reason }) => reason))].filter(
    (each) => each !== "default" && each !== "rule",
  );
  const told = reasons
    .filter((each) => Object.hasOwn(reasonTexts, each))
    .map((each) => `- ${code(each)}: ${plain(reasonTexts[each as Reason])}`);
  return [`${title}\n\n${text}${more(rows.length, most)}`, told.join("\n")].filter((part) => part !== "").join("\n\n");
}

function why({ rule, reason }: JobRow): string {
  if (rule === null) return reason === "default" ? "no rule allows it" : code(reason);
  return reason === "rule" ? `the rule ${code(rule)}` : `the rule ${code(rule)}: ${code(reason)}`;
}

/** What to write where, so that what was wanted is allowed. Last in a watched job, because it is what one goes on with. */
function suggestion(
  { mode, policy, job }: JobReport,
  refused: readonly JobRow[],
  policyPath: string,
  most: number,
): string {
  if (refused.length === 0) {
    return mode === "enforce" ? "" : "Nothing would be refused: `egress-policy: block` can be switched on.";
  }
  const { policy: whole, rules, held } = adviceOn(refused.slice(0, most), `run ${job.run_id} of ${job.repository}`);
  const isNew = policy.from.startsWith("nothing");
  const title = mode === "enforce" ? "How to allow what is wanted" : "The policy to commit";
  const parts: string[] = [];
  if (whole !== null && rules !== null) {
    parts.push(
      isNew
        ? `Read each line; what stays, commit as ${code(policyPath)} on the base branch.`
        : `Read each line; what stays, add below \`rules:\` of ${code(policyPath)} on the base branch.`,
      block(isNew ? whole : rules, "yaml"),
    );
  }
  if (held.length > 0) {
    const lines = held.slice(0, 20).map(({ host, why: doubt }) => `- ${code(host)}: ${plain(doubt)}`);
    parts.push("Not proposed; a person must decide:", lines.join("\n") + more(held.length, 20));
  }
  if (parts.length === 0) return "";
  if (refused.length > most) parts.push(`Made of the first ${most} of ${refused.length}.`);
  return mode === "enforce" ? fold(title, parts.join("\n\n")) : `### ${title}\n\n${parts.join("\n\n")}`;
}

/** A line for each step: how much of what it did. */
function stepTable(rows: readonly JobRow[]): string {
  const steps = Map.groupBy(rows, ({ process }) => stepOf(process));
  if (steps.size < 2) return "";
  const number = ([row]: readonly JobRow[]) => row?.process?.step_number ?? -1;
  const cells = [...steps]
    .toSorted(([, a], [, b]) => number(a) - number(b))
    .slice(0, 100)
    .map(([step, own]) => {
      const count = (verdict: JobRow["verdict"]) =>
        own.filter((row) => row.verdict === verdict).reduce((sum, row) => sum + row.count, 0);
      const refused = count("deny") + count("would_deny");
      return [
        step,
        String(new Set(own.map(({ name, ip }) => name ?? ip)).size),
        String(count("allow")),
        refused === 0 ? "0" : `**${refused}**`,
        bytes(own.reduce((sum, row) => sum + row.bytes_up, 0)),
        bytes(own.reduce((sum, row) => sum + row.bytes_down, 0)),
      ];
    });
  return `### Steps\n\n${table(["step", "destinations", "allowed", "refused", "up", "down"], cells)}${more(steps.size, 100)}`;
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
