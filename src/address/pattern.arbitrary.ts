/** Random patterns and names over few letters, so that they match each other often. For property tests. */
import fc from "fast-check";
import { isPatternDefect, parsePattern } from "./pattern.ts";
import type { Pattern } from "./pattern.ts";

const literal = fc.constantFrom("a", "b", "ab", "aa", "a1", "1", "a12");
const part = fc.constantFrom("", "a", "b", "ab", "1");
const range = fc.constantFrom("{0-9}", "{1}", "{1-2,10-12}", "{0-1000000}", "{2-3}");
const label = fc.oneof(
  { weight: 3, arbitrary: literal },
  { weight: 1, arbitrary: fc.constant("*") },
  { weight: 2, arbitrary: fc.tuple(part, part).map(([lead, trail]) => `${lead}*${trail}`) },
  { weight: 2, arbitrary: fc.tuple(part, range, part).map((parts) => parts.join("")) },
);
const top = fc.oneof(
  fc.constantFrom("a", "b"),
  range.map((text) => `a${text}`),
);

/** Valid patterns of up to four labels, bare `**` among them. */
export const anyPattern: fc.Arbitrary<Pattern> = fc
  .record({
    deep: fc.boolean(),
    labels: fc.array(label, { maxLength: 3 }),
    top: fc.option(top, { nil: null, freq: 20 }),
  })
  .map(({ deep, labels, top: last }) => {
    const parsed = parsePattern(last === null ? "**" : [...(deep ? ["**"] : []), ...labels, last].join("."));
    if (isPatternDefect(parsed)) throw new TypeError(parsed.defect);
    return parsed;
  });

/** Canonical names of up to five labels over the same letters. */
export const anyName: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(fc.oneof(literal, fc.constantFrom("a2", "aab", "a1b", "a10b", "01", "b12", "abab")), { maxLength: 4 }),
    fc.constantFrom("a", "b", "a1", "a7", "ab"),
  )
  .map(([labels, last]) => [...labels, last].join("."));
