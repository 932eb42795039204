/** The label trie finds exactly the patterns that the definition of matching says, and `covering` never claims too much. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { anyName, anyPattern } from "./pattern.arbitrary.ts";
import { example, formatPattern, matchesPattern, parsePattern } from "./pattern.ts";
import type { Pattern } from "./pattern.ts";
import { LabelTrie } from "./trie.ts";

function trieOf(patterns: readonly Pattern[]): LabelTrie<string> {
  const trie = new LabelTrie<string>();
  for (const pattern of patterns) trie.getOrAdd(pattern, () => formatPattern(pattern));
  return trie;
}

const sets = fc.array(anyPattern, { maxLength: 30 });

test("the trie and the definition agree on which patterns match a name", () => {
  fc.assert(
    fc.property(sets, fc.array(anyName, { minLength: 1, maxLength: 20 }), (patterns, names) => {
      const trie = trieOf(patterns);
      const examples = patterns.flatMap((p) => example(p) ?? []);
      for (const name of [...names, ...examples]) {
        const expected = new Set(patterns.filter((p) => matchesPattern(p, name)).map(formatPattern));
        const found = trie.match(name);
        assert.equal(new Set(found).size, found.length, `${name}: a pattern twice`);
        assert.deepEqual(found.toSorted(), [...expected].toSorted(), name);
      }
    }),
    { numRuns: 1000 },
  );
});

test("one pattern has one value, however often it is added", () => {
  fc.assert(
    fc.property(sets, (patterns) => {
      const trie = trieOf([...patterns, ...patterns]);
      assert.equal(trie.size, new Set(patterns.map(formatPattern)).size);
      assert.equal(trie.anyName, patterns.some((p) => formatPattern(p) === "**") ? "**" : undefined);
    }),
  );
});

test("a pattern that covers another matches every name of it; a pattern covers itself", () => {
  fc.assert(
    fc.property(sets, anyPattern, fc.array(anyName, { maxLength: 20 }), (patterns, inner, names) => {
      const trie = trieOf([...patterns, inner]);
      const covering = new Set(trie.covering(inner));
      assert.ok(covering.has(formatPattern(inner)));
      const seen = new Set<string>();
      for (let i = 0; i < 10; i++) {
        const name = example(inner, seen);
        if (name !== null) seen.add(name);
      }
      for (const name of [...seen, ...names.filter((n) => matchesPattern(inner, n))]) {
        for (const outer of patterns) {
          if (covering.has(formatPattern(outer)))
            assert.ok(matchesPattern(outer, name), `${formatPattern(outer)} ${name}`);
        }
      }
    }),
    { numRuns: 1000 },
  );
});

test("wider patterns are recognised where policies write them", () => {
  const outer = ["**", "**.example", "*.example", "sa*.blob.example", "sa{0-49}.blob.example"];
  const trie = trieOf(outer.map(parse));
  const covers = (inner: string): string[] => trie.covering(parse(inner)).toSorted();
  assert.deepEqual(covers("a.example"), ["**", "**.example", "*.example"].toSorted());
  assert.deepEqual(covers("**.b.example"), ["**", "**.example"]);
  assert.deepEqual(covers("sa{3-4}.blob.example"), ["**", "**.example", "sa*.blob.example", "sa{0-49}.blob.example"]);
  assert.deepEqual(covers("sa{3-50}.blob.example"), ["**", "**.example", "sa*.blob.example"]);
  assert.deepEqual(covers("*.blob.example"), ["**", "**.example"]);
});

function parse(text: string): Pattern {
  const parsed = parsePattern(text);
  assert.ok("labels" in parsed);
  return parsed;
}
