/** A baseline as data: the JSON of `sallyport baseline --json`, from which the text and the page are made too. */
import { formatAddress } from "../address/ip.ts";
import { type Advice, adviseOn, type Aim } from "./advice.ts";
import { type Doubt, doubtText } from "./doubt.ts";
import { type Evidence, orderOf, type Seen, type SourceEvidence } from "./evidence.ts";
import { acceptKey } from "./accept.ts";
import { isAnybodys } from "./fold.ts";
import { entryText, isByAddress, type Proposal, type SourceProposal } from "./propose.ts";

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
  /** Hellos with Encrypted Client Hello pass as well. */
  ech: boolean;
  /** Met in a single one of many runs: what a reader should look at first. */
  is_rare: boolean;
  /** In a zone where anybody can get a name of his own. */
  is_anybodys: boolean;
}

export interface DoubtView extends Use {
  endpoint: string;
  protocol: string;
  /** Why it is not proposed; null where it was refused by the policy in force. */
  doubt: Doubt | null;
  text: string;
  /** What \`--accept\` would open in place of the name; empty: the name. */
  opens: string[];
}

export interface SourceView {
  /** Null: all that are in no declared source. */
  source: string | null;
  addresses: string[];
  /** Each by itself; \`advice.completeness\` takes those that began together as one. */
  runs: number;
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
  /** Events that the record says it lost: nobody knows what they were. */
  lost: number;
  /** Lines of the record that are no events. */
  skipped: number;
  first: string | null;
  last: string | null;
  aim: Aim;
  sources: SourceView[];
  /** What `--accept` names and is not held back. */
  accept_unused: string[];
  policy: string;
}

export function baselineReport(evidence: Evidence, proposal: Proposal, aim: Aim, skipped: number): BaselineReport {
  const { events, uncounted, lost, first, last } = evidence;
  return {
    schema: "sallyport.baseline/1",
    events,
    uncounted,
    lost,
    skipped,
    first,
    last,
    aim,
    sources: proposal.sources.map((source) => sourceView(source, aim)),
    accept_unused: proposal.unused,
    policy: proposal.text,
  };
}

function sourceView(proposal: SourceProposal, aim: Aim): SourceView {
  const { evidence, entries, shards } = proposal;
  const held = proposal.held.map(({ seen, doubt }) => ({ seen: [seen], doubt }));
  const denied = proposal.denied.map((seen) => ({ seen: [seen], doubt: null }));
  const runs = countRuns(
    evidence,
    [...entries, ...held, ...denied].map(({ seen }) => seen),
  );
  return {
    source: evidence.name,
    addresses: [...evidence.addresses].map(formatAddress).toSorted(orderOf),
    runs: evidence.runs.size,
    entries: entries.map((entry) => ({
      endpoint: entryText(entry),
      protocol: entry.protocol,
      names: [...new Set(entry.seen.map(({ host }) => host))].toSorted(orderOf),
      fold: entry.fold,
      ech: entry.ech,
      is_rare: entry.fold !== "preset" && evidence.runs.size >= manyRuns && runs.get(entry.seen) === 1,
      is_anybodys: entry.fold === null && entry.seen.some(({ named, host }) => named && isAnybodys(host)),
      ...useOf(entry.seen, runs),
    })),
    held: held.map((each) => doubtView(each, runs)),
    denied: denied.map((each) => doubtView(each, runs)),
    shards,
    advice: adviseOn(proposal, aim),
  };
}

/** From so many runs on it is odd to be met in one. */
const manyRuns = 10;

/** By the list of destinations that stand together. */
type RunCounts = Map<readonly Seen[], number>;

/** In how many runs something of each group was met. One pass over the runs, of which there may be many. */
function countRuns({ runs }: SourceEvidence, groups: readonly (readonly Seen[])[]): RunCounts {
  const groupsOf = new Map<Seen, (readonly Seen[])[]>();
  for (const group of groups) for (const seen of group) groupsOf.set(seen, [...(groupsOf.get(seen) ?? []), group]);
  const counts = new Map(groups.map((group) => [group, 0]));
  for (const { seen } of runs.values()) {
    const met = new Set([...seen].flatMap((each) => groupsOf.get(each) ?? []));
    for (const group of met) counts.set(group, counts.get(group)! + 1);
  }
  return counts;
}

function doubtView({ seen, doubt }: { seen: Seen[]; doubt: Doubt | null }, runs: RunCounts): DoubtView {
  const [only] = seen;
  const text = doubt === null ? "refused by the policy in force" : doubtText(doubt);
  const opens = doubt !== null && only!.named && isByAddress(only!) ? [...only!.addresses].map(formatAddress) : [];
  return {
    ...{ endpoint: acceptKey(only!), protocol: only!.protocol, doubt, text, opens: opens.toSorted(orderOf) },
    ...useOf(seen, runs),
  };
}

const mostUsers = 5;

function useOf(seen: readonly Seen[], runs: RunCounts): Use {
  const users = new Map<string, number>();
  for (const each of seen) for (const [who, count] of each.users) users.set(who, (users.get(who) ?? 0) + count);
  const ordered = [...users].toSorted(([a, x], [b, y]) => y - x || orderOf(a, b)).map(([who]) => who);
  const shown =
    ordered.length <= mostUsers ? ordered : [...ordered.slice(0, mostUsers), `${ordered.length - mostUsers} more`];
  return {
    used_by: shown,
    runs: runs.get(seen) ?? 0,
    connections: seen.reduce((sum, { count }) => sum + count, 0),
    first_seen: seen.map(({ first }) => first).toSorted(orderOf)[0]!,
    last_seen: seen
      .map(({ last }) => last)
      .toSorted(orderOf)
      .at(-1)!,
  };
}
