/**
 * How much of what jobs contact was not seen yet: the estimates. The sampling unit is the **run**, not the connection: a run
 * contacts a set of destinations, a destination counts once in a run, and nothing is supposed about what goes together
 * inside of one. Supposed is that the runs are exchangeable (any order of them would have been as likely) and that nothing
 * changes between them and the next one. An attacker is no such draw: none of this says anything about him.
 *
 * Notation as in the literature: `n` runs, `S` destinations seen, `Q1` of them in exactly one run (uniques), `Q2` in exactly
 * two (duplicates). Pure; `bound.ts` has the confidence bound.
 */

/** Runs in the order of time, each the set of destinations it contacted. */
export type RunSets = readonly ReadonlySet<string>[];

/** What the estimates need to know of a sample. */
export interface Incidence {
  /** `n` */
  runs: number;
  /** `S` */
  seen: number;
  /** `Q1` */
  uniques: number;
  /** `Q2` */
  duplicates: number;
  /** Runs with at least one unique: each would have been a surprise, had it come last. */
  bearing: number;
}

/** Counts a sample. Linear in its size. */
export function countIncidence(runs: RunSets): Incidence {
  const times = new Map<string, number>();
  for (const run of runs) for (const each of run) times.set(each, (times.get(each) ?? 0) + 1);
  const having = (count: number) => [...times.values()].filter((each) => each === count).length;
  return {
    runs: runs.length,
    seen: times.size,
    uniques: having(1),
    duplicates: having(2),
    bearing: runs.filter((run) => [...run].some((each) => times.get(each) === 1)).length,
  };
}

/** For each run, whether it contacted something that no run before it had. */
export function newsOf(runs: RunSets): boolean[] {
  const before = new Set<string>();
  return runs.map((run) => {
    const size = before.size;
    for (const each of run) before.add(each);
    return before.size > size;
  });
}

/**
 * The chance that one more run contacts something not yet seen: the share of runs with a unique. It is the Good–Turing
 * estimator of the missing mass carried over from single draws to sets, by leaving one out: under exchangeability each run is as
 * likely as the last one to be the last, so the expectation of this share is exactly the chance that the n-th run is news to
 * the n − 1 others, whatever goes together within a run. For runs of one destination each it is Good and Turing's `Q1/n`.
 * 1 for no runs at all: nothing is known.
 *
 * Good, *The population frequencies of species and the estimation of population parameters*, Biometrika 40 (1953).
 */
export function chanceOfNews({ runs, bearing }: Incidence): number {
  return runs === 0 ? 1 : bearing / runs;
}

/** How many destinations the next run is expected to contact that were not seen: `Q1/n`, by the same argument. */
export function expectedNews({ runs, uniques }: Incidence): number {
  return runs === 0 ? Number.NaN : uniques / runs;
}

/** An estimate of how many there are, with a confidence interval. */
export interface Richness {
  /** Seen and unseen together. A lower bound in expectation: Chao's estimators never claim more than the data show. */
  total: number;
  unseen: number;
  standardError: number;
  lower: number;
  upper: number;
}

/**
 * Chao2: how many destinations there are in all, from how many were seen in one run and in two.
 * `S + (n−1)/n · Q1²/(2·Q2)`, and `S + (n−1)/n · Q1(Q1−1)/2` where `Q2 = 0`. With the variance and the log-normal interval at
 * a two-sided level of 95 %.
 *
 * Chao, *Estimating the population size for capture-recapture data with unequal catchability*, Biometrics 43 (1987); Colwell
 * et al., *Models and estimators linking individual-based and sample-based rarefaction …*, Journal of Plant Ecology 5 (2012).
 */
export function chao2({ runs, seen, uniques, duplicates }: Incidence): Richness {
  return chao(runs, seen, uniques, duplicates);
}

/**
 * Chao1: the same from how often each destination was connected to, over all runs (`counts`). Connections come in bursts, which
 * its model does not know: where the two differ, believe {@link chao2}.
 *
 * Chao, *Nonparametric estimation of the number of classes in a population*, Scandinavian Journal of Statistics 11 (1984).
 */
export function chao1(counts: readonly number[]): Richness {
  const some = counts.filter((count) => count > 0);
  const having = (count: number) => some.filter((each) => each === count).length;
  const sum = some.reduce((total, count) => total + count, 0);
  return chao(sum, some.length, having(1), having(2));
}

/** The normal distribution's 97.5 % quantile. */
const z = 1.959963984540054;

function chao(samples: number, seen: number, ones: number, twos: number): Richness {
  const a = samples === 0 ? 0 : (samples - 1) / samples;
  const isPlain = twos > 0;
  const unseen = isPlain ? (a * ones ** 2) / (2 * twos) : (a * ones * (ones - 1)) / 2;
  if (unseen <= 0) return { total: seen, unseen: 0, standardError: 0, lower: seen, upper: seen };
  const total = seen + unseen;
  const r = ones / twos;
  const variance = isPlain
    ? twos * ((a * r ** 2) / 2 + a ** 2 * r ** 3 + (a ** 2 * r ** 4) / 4)
    : (a * ones * (ones - 1)) / 2 + (a ** 2 * ones * (2 * ones - 1) ** 2) / 4 - (a ** 2 * ones ** 4) / (4 * total);
  const spread = Math.exp(z * Math.sqrt(Math.log(1 + Math.max(0, variance) / unseen ** 2)));
  return {
    total,
    unseen,
    standardError: Math.sqrt(Math.max(0, variance)),
    lower: seen + unseen / spread,
    upper: seen + unseen * spread,
  };
}

/**
 * By what factor the chance of news shrinks with each further run, 0 to 1: `A` of the extrapolation of sample coverage,
 * `(n−1)Q1 / ((n−1)Q1 + 2·Q2)`, and `(n−1)(Q1−1) / ((n−1)(Q1−1) + 2)` where `Q2 = 0`. 0 where there is no unique.
 *
 * Chao and Jost, *Coverage-based rarefaction and extrapolation*, Ecology 93 (2012).
 */
export function fading({ runs, uniques, duplicates }: Incidence): number {
  if (uniques === 0) return 0;
  const top = (runs - 1) * (duplicates > 0 ? uniques : uniques - 1);
  return top <= 0 ? 0 : top / (top + (duplicates > 0 ? 2 * duplicates : 2));
}

/**
 * Did something change lately? How likely it would be, if order meant nothing, that so many or more of the runs with a unique
 * are in the later half of the runs: where they stand is then a draw without replacement (the hypergeometric distribution's
 * upper tail). A small value speaks against exchangeable runs, and with them against every other number here.
 */
export function chanceOfLateNews(runs: RunSets): number {
  const times = new Map<string, number>();
  for (const run of runs) for (const each of run) times.set(each, (times.get(each) ?? 0) + 1);
  const bears = runs.map((run) => [...run].some((each) => times.get(each) === 1));
  const half = Math.floor(runs.length / 2);
  const all = bears.filter(Boolean).length;
  const late = bears.slice(runs.length - half).filter(Boolean).length;
  const choose = binomials(runs.length);
  let tail = 0;
  for (let k = late; k <= Math.min(all, half); k++) {
    tail += Math.exp(choose(half, k) + choose(runs.length - half, all - k) - choose(runs.length, all));
  }
  return Math.min(1, tail);
}

/** ln of the binomial coefficients up to `most` over any. */
function binomials(most: number): (n: number, k: number) => number {
  const factorials = new Float64Array(most + 1);
  for (let i = 2; i <= most; i++) factorials[i] = factorials[i - 1]! + Math.log(i);
  return (n, k) => (k < 0 || k > n ? Number.NEGATIVE_INFINITY : factorials[n]! - factorials[k]! - factorials[n - k]!);
}
