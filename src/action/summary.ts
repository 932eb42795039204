/**
 * The job's summary, made here from the agent's report: what was refused and how to allow it first, then the picture, then the
 * rest folded away. Nothing of it comes from a service.
 */
import { bytes } from "../run/report.ts";
import { type Reason, reasonTexts } from "../policy/reason.ts";
import type { Finding, JobReport, Summarise } from "../machine/job-report.ts";
import type { JobRow } from "../machine/job-rows.ts";
import { destinationOf, processOf, stepOf } from "./cells.ts";
import { block, code, cut, fold, plain, table } from "./markdown.ts";
import { picture } from "./picture.ts";
import { verdictOf } from "./verdict.ts";
import { withoutAsked } from "../machine/refused.ts";
import { adviceOn } from "./rules-for-denied.ts";

/** GitHub refuses a step's summary over 1 MiB (docs.github.com, "Step isolation and limits"). */
const mostBytes = 900_000;
const mostRows = 200;
/** What somebody reads before scrolling; the rest of a table is folded away. */
const shownRows = 20;
/** Characters of a message in a table, and lines of text in a block that is not folded away. */
const longestMessage = 300;
const longestBlock = 60;
/** Bytes of what a pull request would change, which whoever sent it wrote. */
const longestProposal = 50_000;

/** What the summary says besides the report. */
export interface SummaryExtras {
  /** What a pull request's own policy would change; null: nothing. */
  proposal: string | null;
  policyPath: string;
  /** Why the job fails, a sentence each; empty: it does not for our part. */
  failures: readonly string[];
}

/** What the agent writes down as the job's summary: see {@link summaryOf}, with the verdict that `post` will give. */
export const summarise: Summarise = (report, status, { policy_path, proposal, fail_on }) =>
  summaryOf(report, {
    ...{ proposal, policyPath: policy_path },
    failures: verdictOf(report, status, { failOn: fail_on }).reasons,
  });

/** Markdown for GITHUB_STEP_SUMMARY. Shortened to what GitHub takes; what was left out is said. */
export function summaryOf(report: JobReport, extras: SummaryExtras): string {
  for (const most of [mostRows, 50, 10, 3]) {
    const text = write(report, extras, most);
    if (Buffer.byteLength(text) <= mostBytes) return text;
  }
  return cut(headline(report, { ...extras, failures: extras.failures.slice(0, 3) }), mostBytes / 4);
}

function write(report: JobReport, extras: SummaryExtras, most: number): string {
  const { proposal, policyPath } = extras;
  const { detections, tampering } = report;
  const connections = withoutAsked(report.connections);
  const refused = connections.filter(({ verdict }) => verdict !== "allow");
  const parts = [
    headline(report, extras),
    list("Not as promised", told(report.degraded, extras.failures), most),
    findings("Tampering", tampering, most),
    refusedTable(report, refused, most),
    report.mode === "enforce" ? suggestion(report, refused, policyPath, most * 10) : "",
    findings("Noticed", detections, most),
    stepTable(connections),
    connections.length === 0 ? "" : `### Who connected where\n\n${picture(connections)}`,
    connections.length === 0
      ? "No connection was made."
      : fold(
          connections.length === 1 ? "The one destination" : `All ${connections.length} destinations`,
          all(connections, most),
        ),
    earlierTable(report, most),
    proposal === null ? "" : fold("What this pull request would change in the policy", block(bounded(proposal))),
    list("Cannot be promised on this machine", report.limits, most),
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
    counts.detections > 0 ? `${counts.detections} ${counts.detections === 1 ? "thing" : "things"} noticed` : "",
    counts.tampering > 0 ? `tampered with ${counts.tampering === 1 ? "once" : `${counts.tampering} times`}` : "",
  ].filter((each) => each !== "");
  return [
    `## ${mark} Sallyport: ${isWhole ? word : `${word}, but not as promised`}`,
    [numbers, ...more].join(", ") + ".",
    ...(failures.length === 0 ? [] : [`The job fails:\n\n${bullets(failures, shownRows)}`]),
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
  const text = longTable(["destination", "step", "process", "why", "times"], cells, rows.length);
  const reasons = [...new Set(rows.map(({ reason }) => reason))].filter(
    (each) => each !== "default" && each !== "rule",
  );
  const explained = reasons
    .filter((each) => Object.hasOwn(reasonTexts, each))
    .map((each) => `- ${code(each)}: ${plain(reasonTexts[each as Reason])}`);
  return [`${title}\n\n${text}`, explained.join("\n")].filter((part) => part !== "").join("\n\n");
}

function why({ rule, reason }: JobRow): string {
  if (rule === null) return reason === "default" ? "no rule" : code(reason);
  const shown = `the rule ${code(cut(rule, 60))}`;
  return reason === "rule" ? shown : `${shown}: ${code(reason)}`;
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
      long("Its text", (isNew ? whole : rules).trimEnd()),
    );
  }
  if (held.length > 0) {
    const lines = held.slice(0, 20).map(({ host, why: doubt }) => `- ${code(cut(host, 253))}: ${plain(doubt)}`);
    parts.push("Not proposed; a person must decide:", lines.join("\n") + more(held.length, 20));
  }
  if (parts.length === 0) return "";
  if (refused.length > most) parts.push(`Made of the first ${most} of ${refused.length}.`);
  if (refused.length > longestBlock) {
    parts.push("So many destinations are no list that a person can review: see first who asked for them, and why.");
  }
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
      plain(cut(row.rule ?? row.reason, 60)),
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
      exe === null ? "unknown" : code(cut(exe, 120)),
      runner ? "the runner" : "not the runner",
      kept ? "kept" : "ended",
    ]);
  const text = table(["to", "protocol", "process", "whose", ""], cells);
  const were = earlier.length === 1 ? "1 connection was" : `${earlier.length} connections were`;
  return fold(`${were} open before enforcement began`, text + more(earlier.length, most));
}

function findings(title: string, rows: readonly Finding[], most: number): string {
  if (rows.length === 0) return "";
  const cells = rows.slice(0, most).map(({ time: at, type, message, process }) => [
    time(at),
    code(cut(type, longestMessage)),
    // A word without an end would push the rest of its row out of sight.
    plain(
      cut(
        message.replaceAll(/\S{61,}/g, (word) => cut(word, 60)),
        longestMessage,
      ),
    ),
    stepOf(process),
    processOf(process),
  ]);
  return `### ${title}\n\n${longTable(["time", "what", "in words", "step", "process"], cells, rows.length)}`;
}

/** What nobody has said yet. */
function told(degraded: readonly string[], failures: readonly string[]): string[] {
  return degraded.filter((each) => !failures.some((failure) => failure.includes(each)));
}

function list(title: string, lines: readonly string[], most: number): string {
  return lines.length === 0 ? "" : `### ${title}\n\n${bullets(lines, Math.min(most, shownRows))}`;
}

function bullets(lines: readonly string[], most: number): string {
  const shown = lines.slice(0, most).map((line) => `- ${plain(cut(line, 4 * longestMessage))}`);
  return shown.join("\n") + more(lines.length, most);
}

/** The first rows, and the others folded away. `all`: how many there are, of which `rows` may be a part. */
function longTable(head: readonly string[], rows: readonly (readonly string[])[], all: number): string {
  const first = rows.length <= shownRows + 5 ? rows.length : shownRows;
  const rest = rows.slice(first);
  const parts = [table(head, rows.slice(0, first))];
  if (rest.length > 0) parts.push(fold(`${rest.length} more`, table(head, rest)));
  return parts.join("\n\n") + more(all, rows.length);
}

/** YAML, folded away where it is long. */
function long(title: string, text: string): string {
  const lines = text.split("\n").length;
  return lines > longestBlock ? fold(`${title}, ${lines} lines`, block(text, "yaml")) : block(text, "yaml");
}

function bounded(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= longestProposal) return text;
  return `${bytes.subarray(0, longestProposal).toString("utf8")}\n… and ${bytes.length - longestProposal} bytes more`;
}

function more(count: number, most: number): string {
  return count > most ? `\n\nand ${count - most} more, in the report` : "";
}

function time(text: string): string {
  return text.replace(/^.*T(\d\d:\d\d:\d\d).*$/, "$1");
}
