/**
 * What a source's runs say about enforcing: how likely the next one is to meet something new, how sure that is, about how many
 * more runs it takes to be sure enough, and a recommendation in one word.
 */
import { newsBound, runsToGo } from "./bound.ts";
import { batchesOf, spanOf } from "./batches.ts";
import { cautionsOf, soonerThan } from "./choices.ts";
import { rough, text } from "./figures.ts";
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
  /** … with this confidence … */
  confidence: number;
  /** … and the runs were spread over so many milliseconds. */
  span: number;
  /** Runs that begin within so many milliseconds count as one, where they do not say themselves what they belong to. */
  together: number;
}

/** How complete a list of destinations is, from runs; such that began together are one (`batches.ts`). */
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
  /** What the reader can do rather than wait; empty where there is nothing to wait for. */
  sooner: string[];
  /** What the numbers do not show. */
  cautions: string[];
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
    runs_to_go: runsToGo(news, { risk, confidence, ...paceOf(incidence) }),
  };
}

/** How news is expected to come from here on. */
function paceOf(incidence: Incidence): { chance: number; fade: number } {
  return { chance: incidence.runs === 0 ? 0 : chanceOfNews(incidence), fade: fading(incidence) };
}

/** The recommendation for one source. */
export function adviseOn(proposal: SourceProposal, aim: Aim): Advice {
  const { evidence, held } = proposal;
  const units = unitsOf(proposal);
  const runs = [...evidence.runs.values()];
  const sets = setsOf(batchesOf(runs, aim.together), units);
  const counts = new Map<string, number>();
  for (const seen of evidence.passed.values()) {
    const unit = units.get(plainKey(seen))!;
    counts.set(unit, (counts.get(unit) ?? 0) + seen.count);
  }
  const completeness = completenessOf(sets, [...counts.values()], aim);
  const byJob = Map.groupBy(
    runs.filter(({ job }) => job !== null),
    ({ job }) => job!,
  );
  const jobs = [...byJob]
    .toSorted(([a], [b]) => orderOf(a, b))
    .map(([job, own]) => ({
      job,
      completeness: completenessOf(setsOf(batchesOf(own, aim.together), units), [], aim),
    }));
  const several = jobs.length > 1 ? jobs : [];
  const rest = { completeness, jobs: several, sooner: [], cautions: cautionsOf(sets, several) };
  if (evidence.enforced) return { verdict: "enforced", why: ["the default already refuses for it"], ...rest };
  const why = reasonsToWait(completeness, spanOf(evidence), aim);
  if (evidence.beyond > 0)
    why.push(`too many destinations to list: ${evidence.beyond} connections went beyond the list`);
  if (why.length > 0) {
    const news = newsOf(sets);
    const sooner = soonerThan(aim, completeness, several, (risk) =>
      runsToGo(news, { risk, confidence: aim.confidence, ...paceOf(completeness) }),
    );
    return { verdict: "keep_monitoring", why, ...rest, sooner };
  }
  if (held.length > 0) {
    const what = held.length === 1 ? "1 destination is" : `${held.length} destinations are`;
    return { verdict: "review", why: [`${what} held back: accept or drop before enforcing`], ...rest };
  }
  return {
    verdict: "ready",
    why: [`at most ${text(completeness.bound)} that the next run meets something new (${percentOf(aim)} confidence)`],
    ...rest,
  };
}

function percentOf({ confidence }: Aim): string {
  return `${Math.round(confidence * 1000) / 10} %`;
}

/** What keeps a source from being ready, in its numbers. */
function reasonsToWait({ bound, late, runs_to_go: more }: Completeness, span: number, aim: Aim): string[] {
  const why: string[] = [];
  if (bound > aim.risk) {
    const quiet = runsToGo([true], { ...aim, chance: 0, fade: 0 });
    const least = quiet === null ? "" : `, which takes ${quiet + 1} runs even where nothing is new after the first`;
    const howMany =
      more === null ? "more runs than can be told" : `about ${rough(more)} more run${more === 1 ? "" : "s"}`;
    why.push(
      `${howMany}: the next one may be new with up to ${text(bound)} (${percentOf(aim)} confidence); the aim is ${text(aim.risk)} (--risk)${least}`,
    );
  }
  if (late < lateLimit) why.push("news came late: something changed, and the estimate supposes that nothing does");
  if (span < aim.span) {
    const days = `${Math.round(span / 8_640_000) / 10} of ${Math.round(aim.span / 8_640_000) / 10} days`;
    why.push(`its runs are from ${days} (--span): what a schedule brings later is not in them`);
  }
  return why;
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
  const sets = runs.map(({ seen }) => {
    const tried = [...seen].filter(({ denied }) => denied !== "rule").map(plainKey);
    return new Set(tried.map((key) => units.get(key) ?? unitOf(key)));
  });
  // Nothing was tried that could have been new: such a run says nothing, and must not count as a quiet one.
  return sets.filter(({ size }) => size > 0);
}
