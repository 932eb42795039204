/** A plan for people: what would stop, what would pass, what nobody uses. */
import { columns, count, printable } from "../policy/wording.ts";
import type { Change, ChangeKind, PlanReport, Side } from "./plan.ts";
import { day, sourceName } from "./report-text.ts";

const titles: Readonly<Record<ChangeKind, string>> = {
  denied: "Newly denied: it passed, and would be refused",
  uncovered: "Passes only while the default monitors: no rule allows it",
  allowed: "Newly allowed: it was refused, and would pass",
  covered: "Now allowed by a rule: it passed because the default monitored",
};
const signs: Readonly<Record<ChangeKind, string>> = { denied: "-", uncovered: "~", allowed: "+", covered: "~" };

/** How many lines of one kind are printed. */
const maxLines = 40;

/** What `sallyport policy promote` says of a source: what it would be refused, in full, and the rest as a number. */
export function promotionText(source: string, report: PlanReport): string {
  const { changes } = report;
  const connections = (kind: ChangeKind) =>
    changes.filter((each) => each.kind === kind).reduce((sum, each) => sum + each.connections, 0);
  const denied = changes.filter(({ kind }) => kind === "denied");
  const rows = denied
    .slice(0, maxLines)
    .map((change) => [
      `- ${change.endpoint} ${change.protocol}`,
      `${count(change.connections, "connection")}, ${spanText(change)}`,
      `by ${change.used_by.map(printable).join(", ")}`,
      turnText(change),
    ]);
  const more = denied.length > maxLines ? [`    and ${denied.length - maxLines} more (--json has all)`] : [];
  const blocks = [
    ...(denied.length === 0
      ? []
      : [[`With enforcement, ${source} would have been refused`, ...columns(rows, "    "), ...more].join("\n")]),
    ...(report.beyond === 0
      ? []
      : [`And ${count(report.beyond, "connection")} more, to destinations beyond the list.`]),
  ];
  const covered = connections("covered");
  const still =
    covered === 0 ? "" : ` Rules allow ${count(covered, "connection")} that passed only because the default monitors.`;
  // Few runs refuse nothing because few things happened: how sure that is, the other command says.
  const sure = `In ${count(report.runs, "run")}; sallyport baseline says how likely the next one is to meet something new.`;
  return [...blocks, `${summaryText(report)}${still} ${sure}`].join("\n\n");
}

/** The text of `sallyport policy plan`; no line break at its end. */
export function planText(report: PlanReport): string {
  const { changes, beyond, idle, needs_process, policy, warnings } = report;
  const blocks = (Object.keys(titles) as ChangeKind[]).flatMap((kind) => {
    const same = changes.filter((change) => change.kind === kind);
    return same.length === 0 ? [] : [changeBlock(kind, same)];
  });
  if (beyond > 0)
    blocks.push(`And ${count(beyond, "connection")} more that would change, to destinations beyond the list.`);
  const shadowed = idle.filter(({ shadowed_by }) => shadowed_by.length > 0);
  if (shadowed.length > 0) {
    const rows = shadowed.map(({ rule, line, shadowed_by }) => [
      `“${rule}” (${policy.file}:${line})`,
      `decided by ${shadowed_by.map((name) => (name === "the default" ? name : `“${name}”`)).join(", ")}`,
    ]);
    blocks.push(["Shadowed: what these rules match, others decide first", ...columns(rows, "  ")].join("\n"));
  }
  const dead = idle.filter(({ shadowed_by }) => shadowed_by.length === 0);
  if (dead.length > 0) {
    const rows = dead.map(({ rule, line }) => `  “${rule}” (${policy.file}:${line})`);
    blocks.push(["Unused: no recorded connection matches these rules", ...rows].join("\n"));
  }
  if (needs_process.length > 0) {
    const rules = needs_process.map((rule) => `“${rule}”`).join(", ");
    blocks.push(`Not replayed as meant, because the record says no process: ${rules}.`);
  }
  if (warnings.length > 0) blocks.push(`${count(warnings.length, "warning")}: sallyport policy check ${policy.file}`);
  return [...blocks, summaryText(report)].join("\n\n");
}

function changeBlock(kind: ChangeKind, changes: readonly Change[]): string {
  const rows = changes
    .slice(0, maxLines)
    .map((change) => [
      `${signs[kind]} ${change.endpoint} ${change.protocol}`,
      sourceName(change.source),
      `${count(change.connections, "connection")}, ${spanText(change)}`,
      `by ${change.used_by.map(printable).join(", ")}`,
      kind === "covered" ? sideText(change.after) : turnText(change),
    ]);
  const more = changes.length > maxLines ? [`    and ${changes.length - maxLines} more (--json has all)`] : [];
  return [titles[kind], ...columns(rows, "    "), ...more].join("\n");
}

function spanText({ first_seen, last_seen }: Change): string {
  const [first, last] = [day(first_seen), day(last_seen)];
  return first === last ? first : `${first} to ${last}`;
}

/** What it would be and what it was, where that says more: what passes unwatched, or only watched, says nothing by that. */
function turnText({ before, after }: Change): string {
  const [was, is] = [sideText(before), sideText(after)];
  return was === is || (before.verdict === "would_deny" && before.rule === null) ? is : `${is}; before, ${was}`;
}

function sideText({ verdict, reason, rule }: Side): string {
  const words = { allow: "allowed", deny: "denied", would_deny: "would be denied" } as const;
  const why = reason === "rule" || (rule === null && reason === "default") ? "" : ` (${reason})`;
  return `${words[verdict]} by ${rule === null ? "the default" : `“${rule}”`}${why}`;
}

function summaryText(report: PlanReport): string {
  const { changes, connections, not_replayed, lost, skipped, events, first, last } = report;
  const span = first === null ? "" : `, ${day(first)} to ${day(last!)}`;
  const asked = `${count(connections, "connection")} of ${count(events, "event")} replayed${span}`;
  const missing =
    not_replayed === 0 ? "" : `; ${not_replayed} could not be (decided by what packets did, or only counted)`;
  const stops = changes.filter(({ kind }) => kind === "denied").reduce((sum, change) => sum + change.connections, 0);
  const unknown = lost === 0 ? "" : `; the record lost ${count(lost, "event")}, and nobody knows what they were`;
  const odd =
    skipped === 0 ? "" : `; ${count(skipped, "line")} of the record ${skipped === 1 ? "is no event" : "are no events"}`;
  return `${asked}${missing}${unknown}${odd}. ${stops === 0 ? "Nothing that passed would be refused." : `${count(stops, "connection")} would be refused.`}`;
}
