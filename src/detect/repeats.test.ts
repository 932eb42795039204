/** Promises about repeats: the first is said, the others are counted and said once, and nothing grows without a bound. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Repeats } from "./repeats.ts";

test("the first is said at once, what follows is a count when the window closes", () => {
  const repeats = new Repeats<string>(1_000);
  assert.ok(repeats.isNew("a", "one", 0));
  assert.ok(!repeats.isNew("a", "two", 10));
  assert.ok(!repeats.isNew("a", "three", 20));
  assert.ok(repeats.isNew("b", "other", 30));
  assert.deepEqual(repeats.closed(999), []);
  assert.deepEqual(repeats.closed(5_000), [{ value: "one", count: 2, first: 10, last: 20 }], "b had no more");
  assert.ok(repeats.isNew("a", "again", 6_000));
});

test("beyond the bound the kinds are counted together", () => {
  const repeats = new Repeats<number>(1_000, 3);
  let said = 0;
  for (let i = 0; i < 100; i++) if (repeats.isNew(`k${i}`, i, i)) said++;
  assert.equal(said, 4);
  const counts = repeats.closed(Number.POSITIVE_INFINITY).map(({ count }) => count);
  assert.deepEqual(counts, [96]);
});
