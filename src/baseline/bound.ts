/**
 * How sure an estimate of the missing mass is: an upper bound on the chance that the next run contacts something not yet seen,
 * true with a given confidence, and true **at all times together**: whoever looks after each run, and stops when he likes what he
 * sees, is still right.
 *
 * McAllester and Schapire's bound for the Good–Turing estimator (2000) is not used. It is about single draws, where one draw
 * more or less moves the estimate by 2/n; a run is a set, and one run more or less can make uniques of everything it shares
 * with one other. And it is loose: with a thousand runs it promises no less than the estimate and 0.29.
 *
 * Instead a bet is kept. Write `D_t = 1` when run `t` contacts something that no earlier run did, and `M_t` for the chance of
 * that in run `t + 1`, given the first `t` runs. Then
 *
 * 1. `E[D_t | past] = M_{t−1}`, so for any stakes `λ ∈ [0, 1]` fixed beforehand `W_n = ∏ (1 + λ(M_{t−1} − D_t))` is a martingale
 *    that is never negative, and so is each average of such.
 * 2. More runs leave less unseen: `M_n ≤ M_{t−1}` for all `t ≤ n`. So with `E_n(p) = ∏ (1 + λ(p − D_t))` it holds that
 *    `E_n(M_n) ≤ W_n`.
 * 3. Ville's inequality: the chance that `W_n` ever reaches `1/δ` is at most `δ`. So `M_n` is, at all times and with confidence
 *    `1 − δ`, below the `p` at which `E_n(p) = 1/δ`; `E_n` grows with `p`, so there is one.
 *
 * Averaged is over four stakes, because nobody knows the best one, and over when to begin to bet (after run 1, 4, 16, 64 …),
 * because the first runs of a job are all news. What the averaging costs is a constant: without any news it takes about 1.4
 * times as many runs as the exact binomial bound for a number of runs fixed beforehand.
 *
 * Supposed is what `incidence.ts` supposes: independent runs of one and the same distribution (or a mixture of such: exchangeable).
 *
 * Sources: Ville, *Étude critique de la notion de collectif* (1939); Waudby-Smith and Ramdas, *Estimating means of bounded
 * random variables by betting*, JRSS B 86 (2024). That M falls is what carries it over to a moving target. Pure.
 */

/** Stakes and their weights. Large ones are best while nothing happens, small ones survive news. */
const stakes: readonly (readonly [stake: number, weight: number])[] = [
  [1, 0.4],
  [0.75, 0.3],
  [0.5, 0.2],
  [0.25, 0.1],
];

/** Bets begin after run 1, 4, 16 …; the j-th with the weight 2^−(j+1). */
const startFactor = 4;

/** Runs with and without news after each beginning. Fractions are allowed, for what is only expected. */
interface Tally {
  weight: number;
  quiet: number;
  news: number;
}

/**
 * The upper bound for runs in the order of time (true: news, see `newsOf`). `confidence` is `1 − δ`, below 1. 1 where nothing
 * can be said.
 */
export function newsBound(news: readonly boolean[], confidence: number): number {
  return solve(tallies(news), confidence);
}

/**
 * About how many more runs it takes until the bound is at most `risk`, when the chance of news is `chance` now and shrinks by
 * the factor `fade` with each run: what is expected is put in for what will happen. 0 where it is there already; null where it takes
 * more than `most` runs, or does not come.
 */
export function runsToGo(
  news: readonly boolean[],
  { risk, confidence, chance, fade, most = 10_000 }: RunsToGo,
): number | null {
  const isThere = (more: number) =>
    wealth(tallies(news, expectation(more, chance, fade)), risk) >= -Math.log1p(-confidence);
  if (isThere(0)) return 0;
  // While news is frequent the bound may get worse first; so it is looked for upwards, in growing steps, and then between.
  let low = 0;
  for (let high = 1; ; high = Math.min(most, Math.ceil(high * 1.25))) {
    if (isThere(high)) {
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (isThere(middle)) high = middle;
        else low = middle;
      }
      return high;
    }
    if (high === most) return null;
    low = high;
  }
}

export interface RunsToGo {
  risk: number;
  confidence: number;
  chance: number;
  fade: number;
  most?: number;
}

interface Future {
  runs: number;
  /** News expected in the first `runs` of them. */
  newsIn: (runs: number) => number;
}

function expectation(runs: number, chance: number, fade: number): Future {
  const newsIn = (count: number) => (fade >= 1 ? chance * count : (chance * (1 - fade ** count)) / (1 - fade));
  return { runs, newsIn };
}

function tallies(news: readonly boolean[], future: Future = { runs: 0, newsIn: () => 0 }): Tally[] {
  const after = news.map(() => 0);
  for (let i = news.length - 1, sum = 0; i >= 0; i--) after[i] = sum += news[i] ? 1 : 0;
  const all = news.length + future.runs;
  const expected = future.newsIn(future.runs);
  const out: Tally[] = [];
  let weight = 0.5;
  for (let start = 1; start < all; start *= startFactor, weight /= 2) {
    const happened = start < news.length ? after[start]! : 0;
    const skipped = start < news.length ? 0 : future.newsIn(start - news.length);
    const fresh = happened + expected - skipped;
    out.push({ weight, quiet: all - start - fresh, news: fresh });
  }
  // Those that have not begun keep what they have.
  out.push({ weight: weight * 2, quiet: 0, news: 0 });
  return out;
}

/** ln E_n(p). */
function wealth(tallies: readonly Tally[], p: number): number {
  let most = Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (const { weight, quiet, news } of tallies) {
    for (const [stake, share] of stakes) {
      const won = quiet * Math.log1p(stake * p);
      const lost = news === 0 ? 0 : news * Math.log(Math.max(Number.MIN_VALUE, 1 - stake * (1 - p)));
      const term = Math.log(weight * share) + won + lost;
      // The sum of exponentials, kept relative to its greatest.
      if (term > most) {
        sum = sum * Math.exp(most - term) + 1;
        most = term;
      } else sum += Math.exp(term - most);
    }
  }
  return most + Math.log(sum);
}

function solve(tallies: readonly Tally[], confidence: number): number {
  const goal = -Math.log1p(-confidence);
  let [low, high] = [0, 1];
  if (wealth(tallies, high) < goal) return 1;
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (wealth(tallies, middle) < goal) low = middle;
    else high = middle;
  }
  return high;
}
