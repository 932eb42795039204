/** A baseline for people: per source what is proposed, what was held back, how complete it is, and what to do. */
import { columns, count, printable } from "../policy/wording.ts";
import type { Completeness } from "./advice.ts";
import { text as share } from "./figures.ts";
import type { BaselineReport, DoubtView, EntryView, SourceView } from "./report.ts";

const words = {
  enforced: "ENFORCED",
  ready: "READY TO ENFORCE",
  review: "REVIEW",
  keep_monitoring: "KEEP MONITORING",
} as const;

/** How many lines of one list are printed. */
const maxLines = 30;
const maxRare = 10;
/** Addresses that accepting one destination would open. */
const maxOpens = 3;

/** The text of `sallyport baseline`; no line break at its end. */
export function baselineText(report: BaselineReport): string {
  const { sources, events, uncounted, lost, skipped, first, last } = report;
  const span = first === null ? "" : `, ${day(first)} to ${day(last!)}`;
  const missing = [
    ...(uncounted > 0 ? [`${count(uncounted, "connection")} only counted (a flood)`] : []),
    ...(skipped > 0 ? [`${count(skipped, "line")} that were no events`] : []),
    ...(lost > 0 ? [`${count(lost, "event")} lost by the record (a full disk): nobody knows what they were`] : []),
  ];
  const head = [`${count(events, "event")} from ${count(sources.length, "source")}${span}`, ...missing].join("; ");
  const vain = report.accept_unused.map((each) => `--accept ${printable(each)}: nothing of that name is held back.`);
  return [head, ...sources.map((source) => sourceText(source, report)), ...vain].join("\n\n");
}

/** A source's name for people. */
export function sourceName(source: string | null): string {
  return source ?? "(no declared source)";
}

function sourceText(view: SourceView, { aim }: BaselineReport): string {
  const { source, addresses, entries, held, denied, shards, advice } = view;
  const { verdict, why, sooner, cautions, completeness, jobs } = advice;
  const name = sourceName(source);
  const listed = (entries: readonly EntryView[]) => {
    const more = entries.length > maxRare ? ` and ${entries.length - maxRare} more` : "";
    return `${entries
      .slice(0, maxRare)
      .map(({ endpoint }) => endpoint)
      .join(", ")}${more}`;
  };
  const rare = entries.filter(({ is_rare }) => is_rare);
  const anybodys = entries.filter(({ is_anybodys }) => is_anybodys);
  const lines = [
    `${name}: ${runsText(view)}, ${addresses.length === 1 ? "1 address" : `${addresses.length} addresses`}`,
    `  proposed: ${count(entries.length, "endpoint")}; held back: ${held.length}; refused: ${denied.length}`,
    `  ${completenessText(completeness, aim.confidence)}`,
    ...(jobs.length === 0
      ? []
      : columns(
          jobs.map(({ job, completeness: each }) => jobRow(job, each)),
          "    ",
        )),
    `  ${words[verdict]}: ${why.join("; ")}.`,
    ...cautions.map((each) => `  but: ${each}.`),
    ...(sooner.length === 0 ? [] : ["  sooner:", ...sooner.map((each) => `    ${each}`)]),
  ];
  if (rare.length > 0) lines.push(`  look at these first, each met in one run alone: ${listed(rare)}`);
  if (anybodys.length > 0) lines.push(`  and at these, in zones where anybody can get a name: ${listed(anybodys)}`);
  lines.push(...listOf("held back, --accept proposes it all the same", held, heldText));
  lines.push(...listOf("refused, never proposed", denied, () => ""));
  for (const { zone, names } of shards)
    lines.push(`  ${names} names below ${zone} look like shards; --fold-stars writes *.${zone}`);
  return lines.join("\n");
}

/** How many, and how many the estimate takes them for. */
export function runsText({ runs, advice }: SourceView): string {
  const { runs: batches } = advice.completeness;
  return batches === runs ? count(runs, "run") : `${count(runs, "run")} (${batches} that count: begun together is one)`;
}

/** Why, and what accepting it would open where that is not the name. */
function heldText({ text, opens }: DoubtView): string {
  if (opens.length === 0) return text;
  const more = opens.length > maxOpens ? ` and ${opens.length - maxOpens} more` : "";
  return `${text}; --accept opens ${opens.slice(0, maxOpens).join(", ")}${more}`;
}

function completenessText({ runs, chance, bound, chao2, recent }: Completeness, confidence: number): string {
  if (runs === 0) return "no run can be told: nothing can be said about what is still to come";
  const least = (value: number) => value - chao2.total + chao2.unseen;
  const unseen =
    chao2.unseen === 0
      ? "none that shows"
      : `at least ${Math.ceil(chao2.unseen)} (${Math.floor(least(chao2.lower))} to ${Math.ceil(least(chao2.upper))})`;
  return [
    `next run new: ${share(chance)}, at most ${share(bound)} (${Math.round(confidence * 100)} % confidence)`,
    `still unseen: ${unseen}`,
    `new in the last ${count(recent.runs, "run")}: ${recent.news}`,
  ].join("; ");
}

function jobRow(job: string, { runs, chance, bound, quiet }: Completeness): string[] {
  return [printable(job), count(runs, "run"), `new: ${share(chance)}, at most ${share(bound)}`, `${quiet} quiet`];
}

function listOf(title: string, list: readonly DoubtView[], note: (each: DoubtView) => string): string[] {
  if (list.length === 0) return [];
  const rows = list
    .slice(0, maxLines)
    .map((each) => [each.endpoint, each.protocol, count(each.connections, "connection"), note(each)]);
  const more = list.length > maxLines ? [`    and ${list.length - maxLines} more (--json has all)`] : [];
  return [`  ${title}:`, ...columns(rows, "    "), ...more];
}

/** The day of a recorded time. */
export function day(time: string): string {
  return time.slice(0, 10);
}
