/**
 * A wildcard keeps its meaning: each product's own way of matching, written down as its source has it, and ours on what the
 * translation made of it, asked about the same names. Nothing is ever matched that the original does not match; where the
 * translation says that nothing is lost, nothing is.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isNameDefect, canonicalName } from "../address/name.ts";
import { isPatternDefect, matchesPattern, parsePattern } from "../address/pattern.ts";
import { isGlobDefect, translateGlob } from "./glob.ts";
import type { Star } from "./glob.ts";

interface Product {
  star: Star;
  /** How the product itself compares. */
  matches: (glob: string, name: string) => boolean;
}

const escape = (text: string) => text.replaceAll(/[.*]/g, "\\$&");

const products: Record<string, Product> = {
  // dnsproxy.go: matchWildcardDomain. A second star is refused before.
  "harden-runner": {
    star: { crossesDots: true, mayBeEmpty: true },
    matches: (glob, name) => {
      if (!glob.includes("*")) return glob === name;
      const [before, after] = glob.split("*") as [string, string];
      return name.startsWith(before) && name.endsWith(after) && name.length >= before.length + after.length;
    },
  },
  // Go's path.Match without its other characters: a star is any run that holds no slash.
  bullfrog: {
    star: { crossesDots: true, mayBeEmpty: true },
    matches: (glob, name) => new RegExp(`^${glob.split("*").map(escape).join("[^/]*")}$`).test(name),
  },
  // matchpattern.go.
  cilium: {
    star: { crossesDots: false, mayBeEmpty: true },
    matches: (glob, name) => new RegExp(`^${glob.split("*").map(escape).join("[-a-zA-Z0-9_]*")}$`).test(name),
  },
  // acl.go: HostMatchesGlob.
  smokescreen: {
    star: { crossesDots: true, mayBeEmpty: false },
    matches: (glob, name) => (glob.startsWith("*.") ? name.endsWith(glob.slice(1)) : glob === name),
  },
};

const label = fc.string({ unit: fc.constantFrom("a", "b", "-"), minLength: 1, maxLength: 3 });
const starred = fc.tuple(fc.constantFrom("", "a", "ab"), fc.constantFrom("", "b", "a")).map(([a, b]) => `${a}*${b}`);
const names = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => [...labels, "example"].join("."));

const globs: Record<string, fc.Arbitrary<string>> = {
  "harden-runner": fc
    .tuple(fc.array(label, { maxLength: 1 }), fc.option(starred), fc.array(label, { maxLength: 2 }))
    .map(([before, star, after]) => [...before, ...(star === null ? [] : [star]), ...after, "example"].join(".")),
  bullfrog: fc
    .array(fc.oneof(label, starred), { minLength: 1, maxLength: 3 })
    .map((labels) => [...labels, "example"].join(".")),
  cilium: fc
    .array(fc.oneof(label, starred), { minLength: 1, maxLength: 3 })
    .map((labels) => [...labels, "example"].join(".")),
  smokescreen: fc
    .tuple(fc.constantFrom("", "*."), fc.array(label, { maxLength: 2 }))
    .map(([star, labels]) => star + [...labels, "example"].join(".")),
};

/** A name that the glob is likely to match: something in place of each star. */
const near = (glob: string) =>
  fc
    .array(fc.constantFrom("", "a", "b", "x.y", "ab", "a.b"), { minLength: 4, maxLength: 4 })
    .map((runs) => glob.split("*").reduce((name, part, i) => name + runs[i - 1]! + part));

describe("a wildcard", () => {
  for (const [title, { star, matches }] of Object.entries(products)) {
    test(`of ${title} keeps its meaning`, () => {
      let translated = 0;
      let met = 0;
      const cases = globs[title]!.chain((glob) => fc.tuple(fc.constant(glob), fc.oneof(names, near(glob))));
      fc.assert(
        fc.property(cases, ([glob, name]) => {
          if (isNameDefect(canonicalName(name))) return;
          const result = translateGlob(glob, star);
          if (isGlobDefect(result)) return;
          translated++;
          const ours = result.patterns.some((text) => {
            const pattern = parsePattern(text);
            return !isPatternDefect(pattern) && matchesPattern(pattern, name);
          });
          const theirs = matches(glob, name);
          if (theirs) met++;
          if (ours) assert.ok(theirs, `${glob} does not match ${name}; ${result.patterns.join(" ")} does`);
          if (result.lost === null) assert.equal(ours, theirs, `${glob} ${name} ${result.patterns.join(" ")}`);
        }),
        { numRuns: 3000 },
      );
      assert.ok(translated > 1000 && met > 300, `${translated} globs were translated, ${met} matched`);
    });
  }

  test("that has no counterpart has none, and the reason says why", () => {
    const spans = { crossesDots: true, mayBeEmpty: true };
    for (const glob of [
      "example.*",
      "a.b*",
      "*a*.example",
      "a..b",
      "*.*",
      "a*.b*.c*.d*.e*.f*.example",
      "",
      "a b.example",
    ]) {
      const result = translateGlob(glob, spans);
      assert.ok(isGlobDefect(result) && result.defect !== "", glob);
    }
    assert.deepEqual(translateGlob("*", spans), { patterns: ["**"], lost: null });
  });
});
