/**
 * `docs/runner-policy.md` for a repository or an organisation: the policy clause by clause, what holds of it, what does not, and
 * what nobody has seen. Made from a report, so that it says nothing that was not looked at.
 */
import { catalogue, clauses, frameworks } from "../catalogue.ts";
import type { Clause } from "../catalogue.ts";
import { whereText } from "../finding.ts";
import type { Status } from "../finding.ts";
import { cell, code } from "./markdown.ts";
import type { PostureReport, RuleStanding } from "./report.ts";

const words = { fail: "does not hold", unknown: "not known", pass: "holds" } as const;
const most = 10;

export function runnerPolicy(report: PostureReport): string {
  const parts = (Object.keys(clauses) as Clause[]).map((clause) => {
    const rules = report.rules.filter(({ rule }) => catalogue[rule].clause === clause);
    const worst = (["fail", "unknown", "pass"] as const).find((status) => rules.some((each) => each.status === status));
    return [
      `## ${clauses[clause]}`,
      `**${capital(words[worst ?? "unknown"])}.**`,
      rules.map((standing) => ruleText(report, standing)).join("\n"),
    ].join("\n\n");
  });
  return [
    "# Runner policy",
    `Made by \`sallyport posture --format runner-policy\` ${report.version} for ${cell(report.target)}, ${report.made}. It says what was seen then; make it again rather than edit it. What was not seen counts as not known, never as held.`,
    ...parts,
    ...notSeen(report),
    "## What the rules are evidence for",
    "One piece of evidence each, and no framework is met by them alone. PCI DSS and HIPAA count only where runners can reach cardholder data or ePHI.",
    controlsTable(report),
    "",
  ].join("\n\n");
}

function ruleText(
  { findings }: PostureReport,
  { rule, title, status, fail, unknown, pass, accepted }: RuleStanding,
): string {
  const counts =
    pass + fail + unknown + accepted === 0
      ? "nothing was looked at"
      : [`${pass} hold`, `${fail} fail`, `${unknown} not known`, `${accepted} accepted`].join(", ");
  const but = status === "pass" && accepted > 0 ? ", but for what was accepted" : "";
  const head = `- **${rule}** ${title}: ${words[status]}${but} (${counts}).`;
  const of = (wanted: Status) =>
    findings.filter((each) => each.rule === rule && each.status === wanted && each.accepted === null);
  const lines = (list: PostureReport["findings"], word: string) => [
    ...list
      .slice(0, most)
      .map(({ subject, seen, where }) => `  - ${word}${code(subject)}: ${cell(seen)} (${code(whereText(where))})`),
    ...(list.length > most ? [`  - ${word}${list.length - most} more`] : []),
  ];
  const taken = findings.filter((each) => each.rule === rule && each.accepted !== null);
  return [
    head,
    ...lines(of("fail"), "does not hold: "),
    ...lines(of("unknown"), "not known: "),
    ...taken.map(
      ({ subject, accepted: by }) =>
        `  - accepted: ${code(subject)}, ${cell(`${by!.owner}: ${by!.reason}, until ${by!.expires}`)}`,
    ),
  ].join("\n");
}

/** What could not be read, and accepted findings that no longer count. */
function notSeen({ sources, notes }: PostureReport): string[] {
  const list = sources.filter(({ seen }) => !seen).map(({ name, text }) => `- ${code(name)}: ${cell(text)}`);
  return [
    ...(list.length === 0 ? [] : ["## What was not seen", list.join("\n")]),
    ...(notes.length === 0
      ? []
      : ["## Accepted findings that no longer count", notes.map((note) => `- ${cell(note)}`).join("\n")]),
  ];
}

function controlsTable({ rules }: PostureReport): string {
  const names = Object.keys(frameworks) as (keyof typeof frameworks)[];
  const rows = rules.map(({ rule, status }) => {
    const { controls }: { controls: Partial<Record<keyof typeof frameworks, readonly string[]>> } = catalogue[rule];
    return `| ${rule} | ${words[status]} | ${names.map((name) => (controls[name] ?? []).join(", ")).join(" | ")} |`;
  });
  const head = `| rule | | ${names.map((name) => frameworks[name]).join(" | ")} |`;
  return [head, `|${"---|".repeat(names.length + 2)}`, ...rows].join("\n");
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
