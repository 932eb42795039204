/** Times are RFC 3339 with six decimals, so that text order is time order, and never go back within a process. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatTime, parseTime, systemClock } from "./clock.ts";

test("text order is time order, and text and number are one value", () => {
  const micros = fc.integer({ min: 0, max: 2 ** 52 });
  fc.assert(
    fc.property(micros, micros, (a, b) => {
      assert.equal(parseTime(formatTime(a)), a);
      assert.equal(formatTime(a) < formatTime(b), a < b);
      assert.equal(formatTime(a).length, 27);
    }),
  );
});

test("the clock never goes back and is the wall clock", () => {
  const clock = systemClock();
  let last = 0;
  for (let i = 0; i < 10_000; i++) {
    const now = clock.now();
    assert.ok(now >= last && Number.isInteger(now));
    last = now;
  }
  assert.ok(Math.abs(last / 1000 - Date.now()) < 1500);
});

test("parseTime takes offsets and short fractions, and nothing that is not RFC 3339", () => {
  assert.equal(parseTime("1970-01-01T01:00:00.5+01:00"), 500_000);
  assert.equal(parseTime("1970-01-01T00:00:00Z"), 0);
  for (const text of [
    "",
    "yesterday",
    "1970-01-01",
    "1970-01-01T00:00:00",
    "1970-13-01T00:00:00Z",
    "1970-01-01 00:00:00Z",
  ]) {
    assert.equal(parseTime(text), null, text);
  }
});
