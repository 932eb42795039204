/** The bound holds as often as it says, at all times together, whatever the job; and it is not so wide that it says nothing. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newsBound, runsToGo } from "./bound.ts";
import { chanceOfNews, countIncidence, fading, newsOf } from "./incidence.ts";
import { drawRuns, type Job, jobs, randomFrom, union } from "./testing/jobs.ts";

const quiet = (runs: number) => Array.from({ length: runs }, (_, i) => i === 0);

describe("the bound", () => {
  test("takes these many runs without news, at 95 %: no more than 1.45 times the binomial's", () => {
    for (const [risk, runs] of [
      [0.2, 23],
      [0.1, 42],
      [0.05, 80],
      [0.02, 190],
      [0.01, 373],
    ] as const) {
      assert.ok(newsBound(quiet(runs), 0.95) <= risk, `${risk}`);
      assert.ok(newsBound(quiet(runs - 1), 0.95) > risk, `${risk}`);
      const binomial = Math.log(0.05) / Math.log(1 - risk);
      assert.ok(runs / binomial < (risk === 0.2 ? 1.75 : 1.5), `${runs / binomial}`);
    }
  });

  test("says nothing where nothing is known, and less with news than without", () => {
    assert.equal(newsBound([], 0.95), 1);
    assert.equal(newsBound([true], 0.95), 1);
    assert.equal(newsBound([true, true, true, true], 0.95), 1);
    const after = newsBound([...quiet(60), false], 0.95);
    assert.ok(newsBound([...quiet(60), true], 0.95) > newsBound(quiet(60), 0.95));
    assert.ok(after < newsBound(quiet(60), 0.95));
    assert.ok(newsBound(quiet(60), 0.99) > newsBound(quiet(60), 0.95));
  });

  test("is the root it claims to be: all averaged bets, worked out one by one", () => {
    const news = Array.from({ length: 70 }, (_, i) => i < 5 || i === 30 || i === 66);
    const p = newsBound(news, 0.9);
    let wealth = 0;
    for (let j = 0, start = 1; j < 60; j++, start *= 4) {
      for (const [stake, weight] of [
        [1, 0.4],
        [0.75, 0.3],
        [0.5, 0.2],
        [0.25, 0.1],
      ] as const) {
        const product = news.slice(start).reduce((sum, each) => sum * (1 + stake * (p - Number(each))), 1);
        wealth += 2 ** -(j + 1) * weight * product;
      }
    }
    assert.ok(Math.abs(wealth - 10) < 1e-6, `${wealth}`);
  });

  // What is promised is 5 % for any number of looks; each of these looks after every one of 150 runs.
  const loners: Job[] = [0.01, 0.03, 0.06, 0.12, 0.25, 0.5].map((chance) => ({
    name: `one in ${chance}`,
    what: "",
    size: 1,
    draw: (random) => new Set(random() < chance ? ["rare.example"] : []),
    chance: (seen) => (seen.has("rare.example") ? 0 : chance),
  }));
  const crowds: Job[] = [20, 60, 200].map((size) => ({
    name: `one of ${size} alike`,
    what: "",
    size,
    draw: (random) => new Set([String(Math.floor(random() * size))]),
    chance: (seen) => 1 - seen.size / size,
  }));
  for (const job of [...jobs, ...loners, ...crowds]) {
    test(`is wrong at any of 150 times in at most 5 % of all cases: ${job.name}`, () => {
      const random = randomFrom(5);
      const cases = 200;
      let wrong = 0;
      for (let i = 0; i < cases; i++) {
        const runs = drawRuns(job, 150, random);
        const news = newsOf(runs);
        const seen = new Set<string>();
        // Between two news the truth stands still and the bound falls: it is at its lowest just before the next.
        const isWrong = runs.some((run, n) => {
          for (const each of run) seen.add(each);
          const isLast = n === runs.length - 1 || news[n + 1] === true;
          return isLast && newsBound(news.slice(0, n + 1), 0.95) < job.chance(seen);
        });
        if (isWrong) wrong++;
      }
      // The binomial's 99.9 % quantile of 200 at 5 % is 20.
      assert.ok(wrong <= 20, `${wrong} of ${cases}`);
    });
  }
});

describe("how many more runs", () => {
  test("without news it is the number that it then takes", () => {
    assert.equal(runsToGo(quiet(1), { risk: 0.05, confidence: 0.95, chance: 0, fade: 0 }), 79);
    assert.equal(runsToGo(quiet(50), { risk: 0.05, confidence: 0.95, chance: 0, fade: 0 }), 30);
    assert.equal(runsToGo(quiet(80), { risk: 0.05, confidence: 0.95, chance: 0, fade: 0 }), 0);
    assert.equal(runsToGo([], { risk: 0.05, confidence: 0.95, chance: 0, fade: 0 }), 80);
  });

  test("news that never fades: no end can be told", () => {
    assert.equal(runsToGo(quiet(50), { risk: 0.05, confidence: 0.95, chance: 0.3, fade: 1 }), null);
  });

  test("is about right for a job with a tail: half of the time too many, half too few, seldom by a factor of three", () => {
    const job = jobs.find(({ name }) => name === "some rare")!;
    const random = randomFrom(6);
    const ratios: number[] = [];
    for (let i = 0; i < 40; i++) {
      const runs = drawRuns(job, 1000, random);
      const news = newsOf(runs);
      const counted = countIncidence(runs.slice(0, 60));
      const aim = { risk: 0.05, confidence: 0.95, chance: chanceOfNews(counted), fade: fading(counted) };
      const told = runsToGo(news.slice(0, 60), aim);
      let took = 60;
      while (took < runs.length && newsBound(news.slice(0, took), 0.95) > 0.05) took += 5;
      if (told !== null) ratios.push((60 + told) / took);
    }
    assert.ok(ratios.length >= 30, `${ratios.length} of 40 were told`);
    const sorted = ratios.toSorted((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)]!;
    assert.ok(median > 0.6 && median < 1.7, `median ${median}`);
    assert.ok(sorted.filter((ratio) => ratio < 1 / 3 || ratio > 3).length <= 4, sorted.join(" "));
  });

  test("of which all is known nothing is unseen", () => {
    const steady = jobs[0]!;
    const runs = drawRuns(steady, 90, randomFrom(7));
    assert.equal(steady.chance(union(runs)), 0);
    assert.ok(newsBound(newsOf(runs), 0.95) < 0.05);
  });
});
