/** JSON of a sink, bounded before it is read: the value JSON.parse gives, or nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { longest, parseShallow } from "./shallow.ts";

test("JSON is read as JSON.parse reads it, whatever stands in its strings", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 7 }), fc.string(), (text, odd) => {
      assert.deepEqual(parseShallow(text), JSON.parse(text));
      const quoted = JSON.stringify([odd, '[{"\\"[', "[".repeat(20)]);
      assert.deepEqual(parseShallow(quoted), JSON.parse(quoted));
    }),
  );
});

test("what nests deeper than anything of ours, or is no JSON, is nothing", () => {
  assert.notEqual(parseShallow("[".repeat(8) + "]".repeat(8)), undefined);
  assert.equal(parseShallow("[".repeat(9) + "]".repeat(9)), undefined);
  assert.equal(parseShallow(`"${"x".repeat(longest)}"`), undefined);
  for (const text of ["", '"', '"\\', "]", "{]", "nul"]) assert.equal(parseShallow(text), undefined);
});
