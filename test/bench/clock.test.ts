/** The benchmark's time: a case has what it would like or its share, nothing runs past its end by more than one measurement. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Clock, interleave } from "../../bench/stand/clock.ts";

/** A clock that only goes on when something is measured. */
function clockOf(limit: number): { clock: Clock; pass: (seconds: number) => void } {
  let now = 1000;
  return { clock: new Clock(limit, () => now), pass: (seconds) => (now += seconds) };
}

/** Measures two contenders, each measurement taking so much besides; the seconds that each was given. */
async function measured(clock: Clock, pass: (seconds: number) => void, besides: number, failing?: string) {
  const given: [string, number, number][] = [];
  const why: string[] = [];
  const figures = await interleave(
    clock,
    "a.case",
    ["one", "two"],
    { rounds: 3, seconds: 2 },
    (name) => name,
    (name, round, seconds) => {
      given.push([name, round, seconds]);
      pass(seconds + besides);
      if (name === failing) throw new Error("broken");
      return Promise.resolve({ figure: round });
    },
    (name, reason) => why.push(`${name}: ${reason}`),
  );
  return { given, why, figures };
}

test("with time enough every contender has all of its rounds, by turns, and nothing is said to be shortened", async () => {
  const { clock, pass } = clockOf(100);
  clock.begin(30, [60], 1);
  const { given, figures } = await measured(clock, pass, 0.5);
  assert.deepEqual(
    given.map(([name, round]) => `${name}${round}`),
    ["one0", "two0", "one1", "two1", "one2", "two2"],
  );
  assert.ok(given.every(([, , seconds]) => seconds === 2));
  assert.deepEqual(figures.figure?.get("two"), [0, 1, 2]);
  assert.deepEqual(clock.shortened, []);
});

test("with too little, measurements become shorter and rounds fewer, the end is kept, and it is said", async () => {
  const { clock, pass } = clockOf(20);
  // Half of what both would like is there.
  clock.begin(10, [30], 1);
  const { given } = await measured(clock, pass, 0.3);
  assert.ok(clock.left() >= 20 - 5 - 0.8, `${clock.left()}`);
  assert.ok(given.every(([, , seconds]) => seconds >= 0.5 && seconds < 2));
  assert.equal(given.length % 2, 0);
  assert.equal(clock.shortened.length, 1);
  assert.match(clock.shortened[0]!, /^a\.case: \d of 6 measurements/);
});

test("what takes longer than its time is measured once each at most, and the next part has none left", async () => {
  const { clock, pass } = clockOf(10);
  clock.begin(8, [], 2);
  const slow = await measured(clock, pass, 9);
  assert.ok(slow.given.length <= 2);
  const none = await measured(clock, pass, 5);
  assert.deepEqual(none.given, []);
  assert.equal(none.figures.figure, undefined);
  assert.match(clock.shortened[1]!, /^a\.case: 0 of 6 measurements/);
});

test("a contender that fails is told of once, and the others go on", async () => {
  const { clock, pass } = clockOf(1000);
  clock.begin(100, [], 1);
  const { why, figures } = await measured(clock, pass, 0, "one");
  assert.deepEqual(why, ["one: it failed: broken"]);
  assert.equal(figures.figure?.has("one"), false);
  assert.deepEqual(figures.figure?.get("two"), [0, 1, 2]);
});
