/** Ids sort as they were made, whatever the clock does, and are ULIDs to every other reader. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ulidGenerator } from "./ulid.ts";

test("ids go up, within one millisecond and when the clock goes back", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 48 - 2 }), { minLength: 2, maxLength: 50 }), (times) => {
      const next = ulidGenerator();
      const ids = times.map((time) => next(time));
      for (let i = 1; i < ids.length; i++) assert.ok(ids[i]! > ids[i - 1]!);
    }),
  );
});

test("the first ten characters are the milliseconds in Crockford's base 32", () => {
  // The example of the ULID specification.
  assert.equal(ulidGenerator()(1469918176385).slice(0, 10), "01ARYZ6S41");
  assert.match(ulidGenerator()(Date.now()), /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
});

test("two generators do not make the same id", () => {
  assert.notEqual(ulidGenerator()(1), ulidGenerator()(1));
});
