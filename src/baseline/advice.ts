/**
 * What a source's runs say about enforcing: how likely the next one is to meet something new, how sure that is, about how many
 * more runs it takes to be sure enough, and a recommendation in one word.
 */
import { newsBound, runsToGo } from "./bound.ts";
import { orderOf, plainKey, type Run } from "./evidence.ts";
import {
  chanceOfLateNews,
  chanceOfNews,
  chao1,
  chao2,
  countIncidence,
  expectedNews,
  fading,
  newsOf,
  type Incidence,
  type Richness,
  type RunSets,
} from "./incidence.ts";
import { type SourceProposal, unitOf } from "./propose.ts";

export interface Aim {
  /** Ready when the chance of news is at most this … */
  risk: number;
  /** … with this confidence. */
  confidence: number;
}

/** How complete a list of destinations is, from runs. */
export interface Completeness extends Incidence {
  /** Chance that the next run contacts something new (Good–Turing for sets); 1 where nothing is known. */
  chance: number;
  /** Upper bound on it, with the confidence asked for. */
  bound: number;
  /** Destinations that the next run is expected to contact for the first time. */
  expected: number;
  chao2: Richness;
  chao1: Richness;
  /** Runs without news since the last that had some. */
  quiet: number;
  /** Of the last quarter of the runs: how many, and how many of them had news. */
  recent: { runs: number; news: number };
  /** How likely it is by chance that the news came so late; under 0.01 something changed. */
  late: number;
  /** About how many more runs until the bound is at the aim; null: more than can be told. */
  runs_to_go: number | null;
}

export type Verdict = "enforced" | "ready" | "review" | "keep_monitoring";

export interface Advice {
  verdict: Verdict;
  /** In words, one sentence each. */
  why: string[];
  completeness: Completeness;
  /** The same for each job with runs of its own, where there are several. */
  jobs: { job: string; completeness: Completeness }[];
}

/** Less than this and the order of news is no accident. */
const lateLimit = 0.01;

/** The estimates for runs in the order of time; `counts`: connections per destination. */
function completenessOf(runs: RunSets, counts: readonly number[], { risk, confidence }: Aim): Completeness {
  const incidence = countIncidence(runs);
  const news = newsOf(runs);
  const chance = chanceOfNews(incidence);
  const recent = news.slice(Math.ceil((runs.length * 3) / 4));
  return {
    ...incidence,
    chance,
    bound: newsBound(news, confidence),
    expected: runs.length === 0 ? 0 : expectedNews(incidence),
    chao2: chao2(incidence),
    chao1: chao1(counts),
    quiet: news.length - 1 - news.lastIndexOf(true),
    recent: { runs: recent.length, news: recent.filter(Boolean).length },
    late: chanceOfLateNews(runs),
    runs_to_go: runsToGo(news, { risk, confidence, chance: runs.length === 0 ? 0 : chance, fade: fading(incidence) }),
  };
}

/** The recommendation for one source. */
export function adviseOn(proposal: SourceProposal, aim: Aim): Advice {
  const { evidence, held } = proposal;
  const units = unitsOf(proposal);
  const runs = [...evidence.runs.values()].toSorted((a, b) => orderOf(a.start, b.start));
  const sets = setsOf(runs, units);
  const counts = new Map<string, number>();
  for (const seen of evidence.passed.values()) {
    const unit = units.get(plainKey(seen))!;
    counts.set(unit, (counts.get(unit) ?? 0) + seen.count);
  }
  const completeness = completenessOf(sets, [...counts.values()], aim);
  const jobs = [
    ...Map.groupBy(
      runs.filter(({ job }) => job !== null),
      ({ job }) => job!,
    ),
  ]
    .toSorted(([a], [b]) => orderOf(a, b))
    .map(([job, own]) => ({ job, completeness: completenessOf(setsOf(own, units), [], aim) }));
  const rest = { completeness, jobs: jobs.length > 1 ? jobs : [] };
  const why: string[] = [];
  if (evidence.enforced) return { verdict: "enforced", why: ["the default already refuses for it"], ...rest };
  const { bound, late, runs_to_go: more } = completeness;
  const percent = Math.round(aim.confidence * 100);
  if (bound > aim.risk) {
    const howMany =
      more === null ? "more runs than can be told" : `about ${rough(more)} more run${more === 1 ? "" : "s"}`;
    why.push(
      `${howMany}: the next one may be new with up to ${text(bound)} (${percent} % confidence), aim ${text(aim.risk)}`,
    );
  }
  if (late < lateLimit) why.push("news came late: something changed, and the estimate supposes that nothing does");
  if (evidence.beyond > 0)
    why.push(`too many destinations to list: ${evidence.beyond} connections went beyond the list`);
  if (why.length > 0) return { verdict: "keep_monitoring", why, ...rest };
  if (held.length > 0) {
    const what = held.length === 1 ? "1 destination is" : `${held.length} destinations are`;
    return { verdict: "review", why: [`${what} held back: accept or drop before enforcing`], ...rest };
  }
  return {
    verdict: "ready",
    why: [`at most ${text(bound)} that the next run meets something new (${percent} % confidence)`],
    ...rest,
  };
}

/** An estimate is not exact to the last digit: two of them, rounded up. */
function rough(runs: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(runs)) - 1);
  return Math.ceil(runs / unit) * unit;
}

/** A share for people. */
export function text(share: number): string {
  const percent = share * 100;
  return `${percent >= 10 || percent === 0 ? Math.round(percent) : percent.toPrecision(2)} %`;
}

/** What each destination counts as: itself, or the pattern that was decided on before the runs were looked at. */
function unitsOf({ evidence, entries }: SourceProposal): Map<string, string> {
  const units = new Map<string, string>();
  for (const seen of evidence.passed.values()) units.set(plainKey(seen), unitOf(plainKey(seen)));
  for (const { host, port, protocol, seen, fold } of entries) {
    if (fold === "star") for (const each of seen) units.set(plainKey(each), `${host} ${port} ${protocol}`);
  }
  return units;
}

/**
 * What runs contacted or, where the default refused, tried to: that was new as well. What a rule refuses is settled. The doubt
 * has no say.
 */
function setsOf(runs: readonly Run[], units: ReadonlyMap<string, string>): ReadonlySet<string>[] {
  return runs.map(({ seen }) => {
    const tried = [...seen].filter(({ denied }) => denied !== "rule").map(plainKey);
    return new Set(tried.map((key) => units.get(key) ?? unitOf(key)));
  });
}
