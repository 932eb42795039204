/** The estimates are the published ones, and right about jobs of which the truth is known. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  chanceOfLateNews,
  chanceOfNews,
  chao1,
  chao2,
  countIncidence,
  expectedNews,
  fading,
  newsOf,
} from "./incidence.ts";
import { drawRuns, jobs, randomFrom, union } from "./testing/jobs.ts";

const near = (actual: number, expected: number, tolerance: number, what = "") =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what} ${actual}, not ${expected} ± ${tolerance}`);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

describe("published values", () => {
  test("Chao2 of Barro Colorado Island's trees (vegan, specpool): 236.3732, standard error 6.54361", () => {
    const { total, unseen, standardError, lower, upper } = chao2({
      runs: 50,
      seen: 225,
      uniques: 21,
      duplicates: 19,
      bearing: 0,
    });
    near(total, 236.3732, 5e-5);
    near(unseen, 11.3732, 5e-5);
    near(standardError, 6.54361, 5e-6);
    assert.ok(lower > 225 && lower < total && upper > total);
  });

  test("Chao1 of the girdled trees' spiders (iNEXT, ChaoRichness): 43.893, standard error 14.306", () => {
    // 168 individuals, 26 species, 12 of them once, 4 twice; how the others are spread has no say.
    const counts = [...Array.from({ length: 12 }, () => 1), ...Array.from({ length: 4 }, () => 2)];
    const rest = [...Array.from({ length: 9 }, () => 10), 168 - 12 - 8 - 90];
    const { total, standardError } = chao1([...counts, ...rest, 0]);
    near(total, 43.893, 5e-4);
    near(standardError, 14.306, 5e-4);
  });

  test("Good and Turing's estimate, where each run is one draw", () => {
    const draws = ["a", "b", "a", "c", "a", "d", "b", "a"].map((each) => new Set([each]));
    const counted = countIncidence(draws);
    assert.deepEqual(counted, { runs: 8, seen: 4, uniques: 2, duplicates: 1, bearing: 2 });
    assert.equal(chanceOfNews(counted), 2 / 8);
    assert.equal(expectedNews(counted), 2 / 8);
  });
});

describe("by hand", () => {
  const sets = (...runs: string[]) => runs.map((run) => new Set(run));

  test("a run with two uniques is one run with news, and two destinations", () => {
    const counted = countIncidence(sets("ab", "abxy", "abc", "abc"));
    assert.deepEqual(counted, { runs: 4, seen: 5, uniques: 2, duplicates: 1, bearing: 1 });
    assert.deepEqual([chanceOfNews(counted), expectedNews(counted)], [0.25, 0.5]);
    assert.deepEqual(newsOf(sets("ab", "abxy", "abc", "abc")), [true, true, true, false]);
  });

  test("no runs: nothing is known; one run: all of it is new", () => {
    assert.equal(chanceOfNews(countIncidence([])), 1);
    assert.equal(chanceOfNews(countIncidence(sets("ab"))), 1);
    assert.equal(chao2(countIncidence([])).unseen, 0);
  });

  test("no duplicates: Chao2's other form, and no division by nothing", () => {
    const { total, upper } = chao2({ runs: 10, seen: 7, uniques: 4, duplicates: 0, bearing: 4 });
    near(total, 7 + (0.9 * 4 * 3) / 2, 1e-12);
    assert.ok(Number.isFinite(upper) && upper > total);
    assert.equal(chao2({ runs: 10, seen: 7, uniques: 1, duplicates: 0, bearing: 1 }).unseen, 0);
  });

  test("the chance of news fades as sample coverage is extrapolated", () => {
    near(fading({ runs: 11, seen: 9, uniques: 3, duplicates: 2, bearing: 3 }), 30 / 34, 1e-12);
    near(fading({ runs: 11, seen: 9, uniques: 3, duplicates: 0, bearing: 3 }), 20 / 22, 1e-12);
    assert.equal(fading({ runs: 11, seen: 9, uniques: 0, duplicates: 2, bearing: 0 }), 0);
  });

  test("late news: the hypergeometric tail, counted out", () => {
    // Two of six runs bear a unique, both in the later three: 3 of the 15 pairs of places.
    near(chanceOfLateNews(sets("a", "a", "a", "ax", "a", "ay")), 3 / 15, 1e-12);
    // One of them is: at least one late is 1 − 3/15.
    near(chanceOfLateNews(sets("ax", "a", "a", "a", "a", "ay")), 12 / 15, 1e-12);
    near(chanceOfLateNews(sets("ax", "ay", "a", "a", "a", "a")), 1, 1e-12);
    const changed = Array.from({ length: 40 }, (_, i) => new Set(i < 20 ? ["a"] : ["a", `n${i}`]));
    assert.ok(chanceOfLateNews(changed) < 1e-9);
  });
});

describe("against jobs of known truth", () => {
  test("the chance of news is right on average: its mean is that of the truth one run earlier", () => {
    for (const job of jobs) {
      const random = randomFrom(1);
      const [estimates, truths]: [number[], number[]] = [[], []];
      for (let i = 0; i < 1500; i++) {
        const runs = drawRuns(job, 25, random);
        estimates.push(chanceOfNews(countIncidence(runs)));
        truths.push(job.chance(union(runs.slice(0, -1))));
      }
      near(mean(estimates), mean(truths), 0.01, job.name);
    }
  });

  test("runs that were held back meet news as often as was foretold", () => {
    for (const job of jobs) {
      const random = randomFrom(2);
      const [foretold, met]: [number[], number[]] = [[], []];
      for (let i = 0; i < 400; i++) {
        const runs = drawRuns(job, 60, random);
        const seen = union(runs.slice(0, 40));
        foretold.push(chanceOfNews(countIncidence(runs.slice(0, 40))));
        met.push(mean(runs.slice(40).map((run) => (run.isSubsetOf(seen) ? 0 : 1))));
      }
      near(mean(met), mean(foretold), 0.02, job.name);
    }
  });

  // In the middle of all cases: the mean is pulled up by the few with hardly a duplicate, by which Chao2 divides.
  test("Chao2 does not claim more than there is, and comes near where the rare ones are alike", () => {
    for (const job of jobs) {
      const random = randomFrom(3);
      const [claimed, there]: [number[], number[]] = [[], []];
      for (let i = 0; i < 400; i++) {
        const counted = countIncidence(drawRuns(job, 100, random));
        claimed.push(chao2(counted).unseen);
        there.push(job.size - counted.seen);
      }
      const [told, true_] = [median(claimed), median(there)];
      assert.ok(told <= true_ * 1.1 + 0.5, `${job.name}: ${told} of ${true_}`);
      if (job.name === "some rare") near(told, true_, 0.2 * true_, job.name);
    }
  });

  test("an order that means nothing is taken for a change no more often than promised", () => {
    const random = randomFrom(4);
    const job = jobs.find(({ name }) => name === "long tail")!;
    let alarms = 0;
    for (let i = 0; i < 2000; i++) if (chanceOfLateNews(drawRuns(job, 40, random)) < 0.01) alarms++;
    assert.ok(alarms <= 35, `${alarms} of 2000`);
  });
});
