/** What two patterns have in common is what both match, no more and no less. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { anyName, anyPattern } from "../address/pattern.arbitrary.ts";
import { formatPattern, isPatternDefect, matchesPattern, parsePattern } from "../address/pattern.ts";
import type { Pattern } from "../address/pattern.ts";
import { overlap } from "./overlap.ts";

test("a name is in the overlap of two patterns exactly when both match it", () => {
  let both = 0;
  fc.assert(
    fc.property(anyPattern, anyPattern, fc.array(anyName, { minLength: 30, maxLength: 30 }), (a, b, names) => {
      const common = overlap(a, b);
      for (const name of names) {
        const isBoth = matchesPattern(a, name) && matchesPattern(b, name);
        if (isBoth) both++;
        const texts = common.map(formatPattern).join(" ");
        assert.equal(
          common.some((pattern) => matchesPattern(pattern, name)),
          isBoth,
          `${formatPattern(a)} and ${formatPattern(b)}: ${name} in ${texts}`,
        );
      }
    }),
    { numRuns: 4000 },
  );
  assert.ok(both > 100, `${both}`);
});

test("overlaps are written as people would write them", () => {
  const cases: [string, string, string][] = [
    ["*.a.example", "**.example", "*.a.example"],
    ["a*.example", "*b.example", "a*b.example ab.example"],
    ["xa*.example", "*ay.example", "xa*ay.example xaay.example xay.example"],
    ["sa{0-9}.example", "sa{5-20}.example", "sa{5-9}.example"],
    ["sa{0-49}.example", "sa1*.example", "sa{10-19}.example"],
    ["sa{0-9}.example", "sa{9-20}.example", "sa9.example"],
    ["**.a.example", "**.example", "**.a.example"],
    ["*.example", "**.a.example", ""],
    ["*.a.example", "*.b.example", ""],
  ];
  for (const [a, b, expected] of cases) {
    assert.equal(overlap(pattern(a), pattern(b)).map(formatPattern).join(" "), expected, `${a} and ${b}`);
    const swapped = overlap(pattern(b), pattern(a)).map(formatPattern);
    assert.deepEqual(swapped.toSorted(), expected.split(" ").filter(Boolean).toSorted(), `${b} and ${a}`);
  }
});

function pattern(text: string): Pattern {
  const parsed = parsePattern(text);
  assert.ok(!isPatternDefect(parsed));
  return parsed;
}
