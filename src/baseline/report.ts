/** A baseline as data: the JSON of `sallyport baseline --json`, from which the text and the page are made too. */
import { formatAddress } from "../address/ip.ts";
import { type Advice, adviseOn, type Aim } from "./advice.ts";
import { type Doubt, doubtTexts } from "./doubt.ts";
import { type Evidence, orderOf, plainKey, type Seen, type SourceEvidence } from "./evidence.ts";
import { acceptKey, entryText, type Proposal, type SourceProposal } from "./propose.ts";
import { reasonTexts, type Reason } from "../policy/reason.ts";

/** Use of a destination. */
export interface Use {
  /** Jobs, or addresses where no job is known, the most frequent first. */
  used_by: string[];
  /** How many of the source's runs. */
  runs: number;
  connections: number;
  /** RFC 3339. */
  first_seen: string;
  last_seen: string;
}

export interface EntryView extends Use {
  endpoint: string;
  protocol: string;
  /** Names that the pattern stands for; one without a pattern. */
  names: string[];
  fold: "preset" | "numbers" | "star" | null;
}

export interface DoubtView extends Use {
  endpoint: string;
  protocol: string;
  /** Why it is not proposed; null where it was refused by the policy in force. */
  doubt: Doubt | null;
  text: string;
}

export interface SourceView {
  /** Null: all that are in no declared source. */
  source: string | null;
  addresses: string[];
  entries: EntryView[];
  held: DoubtView[];
  denied: DoubtView[];
  /** Zones that `--fold-stars` would fold. */
  shards: { zone: string; names: number }[];
  advice: Advice;
}

export interface BaselineReport {
  schema: "sallyport.baseline/1";
  events: number;
  /** Connections that the record only counts (floods), so that they are in no list. */
  uncounted: number;
  /** Lines of the record that are no events. */
  skipped: number;
  first: string | null;
  last: string | null;
  aim: Aim;
  sources: SourceView[];
  policy: string;
}

export function baselineReport(evidence: Evidence, proposal: Proposal, aim: Aim, skipped: number): BaselineReport {
  const { events, uncounted, first, last } = evidence;
  return {
    schema: "sallyport.baseline/1",
    events,
    uncounted,
    skipped,
    first,
    last,
    aim,
    sources: proposal.sources.map((source) => sourceView(source, aim)),
    policy: proposal.text,
  };
}

function sourceView(proposal: SourceProposal, aim: Aim): SourceView {
  const { evidence, entries, held, denied, shards } = proposal;
  return {
    source: evidence.name,
    addresses: [...evidence.addresses].map(formatAddress).toSorted(orderOf),
    entries: entries.map((entry) => ({
      endpoint: entryText(entry),
      protocol: entry.protocol,
      names: [...new Set(entry.seen.map(({ host }) => host))].toSorted(orderOf),
      fold: entry.fold,
      ...useOf(entry.seen, evidence),
    })),
    held: held.map(({ seen, doubt }) => doubtView(seen, evidence, doubt, doubtTexts[doubt] ?? reasonText(doubt))),
    denied: denied.map((seen) => doubtView(seen, evidence, null, "refused by the policy in force")),
    shards,
    advice: adviseOn(proposal, aim),
  };
}

function reasonText(doubt: Doubt): string {
  return Object.hasOwn(reasonTexts, doubt) ? reasonTexts[doubt as Reason] : doubt;
}

function doubtView(seen: Seen, evidence: SourceEvidence, doubt: Doubt | null, text: string): DoubtView {
  return { endpoint: acceptKey(seen), protocol: seen.protocol, doubt, text, ...useOf([seen], evidence) };
}

const mostUsers = 5;

/** A run that used several destinations under one pattern counts once. */
function useOf(seen: readonly Seen[], { runs }: SourceEvidence): Use {
  const keys = new Set(seen.map(plainKey));
  const users = new Map<string, number>();
  for (const each of seen) for (const [who, count] of each.users) users.set(who, (users.get(who) ?? 0) + count);
  const ordered = [...users].toSorted(([a, x], [b, y]) => y - x || orderOf(a, b)).map(([who]) => who);
  const shown =
    ordered.length <= mostUsers ? ordered : [...ordered.slice(0, mostUsers), `${ordered.length - mostUsers} more`];
  return {
    used_by: shown,
    runs: [...runs.values()].filter(({ contacted }) => !keys.isDisjointFrom(contacted)).length,
    connections: seen.reduce((sum, { count }) => sum + count, 0),
    first_seen: seen.map(({ first }) => first).toSorted(orderOf)[0]!,
    last_seen: seen
      .map(({ last }) => last)
      .toSorted(orderOf)
      .at(-1)!,
  };
}
