/** A pattern matches what its text says and nothing that an attacker could add to it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { example, formatPattern, isPatternDefect, matchesPattern, parsePattern } from "./pattern.ts";
import type { Pattern } from "./pattern.ts";
import { anyPattern } from "./pattern.arbitrary.ts";

function pattern(text: string): Pattern {
  const parsed = parsePattern(text);
  assert.ok(!isPatternDefect(parsed), text);
  return parsed;
}

function expect(text: string, yes: string[], no: string[]): void {
  for (const name of yes) assert.ok(matchesPattern(pattern(text), name), `${text} matches ${name}`);
  for (const name of no) assert.ok(!matchesPattern(pattern(text), name), `${text} does not match ${name}`);
}

test("an exact name matches itself alone, not look-alikes around it", () => {
  expect(
    "allowed.example",
    ["allowed.example"],
    ["evilallowed.example", "allowed.example.evil.example", "x.allowed.example", "example"],
  );
});

test("a star is exactly one label", () => {
  expect(
    "*.example.com",
    ["a.example.com", "1.example.com"],
    ["example.com", "a.b.example.com", "a.example.com.evil.example"],
  );
  expect("a.*.example", ["a.b.example"], ["a.example", "a.b.c.example"]);
});

test("labels part at every full stop that a name may be written with", () => {
  expect("pypi\uff0e*\u3002example", ["pypi.x.example"], ["x.example"]);
});

test("a star beside text is one or more characters of that label", () => {
  expect(
    "sa*.blob.example",
    ["sa1.blob.example", "saab.blob.example"],
    ["sa.blob.example", "sa.x.blob.example", "xsa1.blob.example"],
  );
  expect("a*b.example", ["axb.example", "aabb.example"], ["ab.example", "a.b.example", "axbc.example"]);
  expect("aa*aa.example", ["aaxaa.example", "aaaaa.example"], ["aaaa.example", "aaa.example"]);
});

test("two stars are one or more whole labels, not the apex", () => {
  expect("**.example.com", ["a.example.com", "a.b.c.example.com"], ["example.com", "evilexample.com", "com"]);
  expect("**", ["a", "a.b", "x.y.z"], []);
  expect("**.*.example", ["a.b.example", "a.b.c.example"], ["a.example", "example"]);
});

test("a range holds its numbers, written without leading zeros", () => {
  const text = "productionresultssa{0-49,100-199}.blob.example";
  const yes = ["0", "7", "49", "100", "199"].map((n) => `productionresultssa${n}.blob.example`);
  const no = ["", "50", "99", "200", "00", "07", "1a", "-1", "1e1", "4294967296", "99999999999999999999"];
  expect(
    text,
    yes,
    no.map((n) => `productionresultssa${n}.blob.example`),
  );
  expect("a{0-9}0.example", ["a10.example", "a00.example"], ["a0.example", "a100.example"]);
});

test("texts that would match what strangers register, or mean nothing, are refused with the fix", () => {
  const refused = [
    ...[
      "",
      ".",
      "example.*",
      "a.sa*",
      "*",
      "a**.example",
      "a.**.example",
      "**.**",
      "**.",
      "***.example",
      "a*b*.example",
    ],
    ...[
      "a{1-2}{3-4}.example",
      "a{2-1}.example",
      "a{01-2}.example",
      "a{}.example",
      "a{1-}.example",
      "a{1.example",
      "a}.example",
    ],
    ...[
      "*.exa mple",
      "ü*.example",
      "1.2.3.4",
      "10.0.0.{0-255}",
      "pypi.org/simple",
      "a*.example\0",
      `*.${"a".repeat(64)}`,
    ],
  ];
  for (const text of refused) {
    const parsed = parsePattern(text);
    assert.ok(isPatternDefect(parsed), text);
    assert.ok(parsed.fix.length > 0);
  }
});

test("names in patterns are canonical", () => {
  assert.equal(formatPattern(pattern("*.Example.COM.")), "*.example.com");
  assert.equal(formatPattern(pattern("Bücher.example")), "xn--bcher-kva.example");
  assert.equal(formatPattern(pattern("a{5-6,1-2,3-4,9}.example")), "a{1-6,9}.example");
});

test("the text of a pattern reads back as itself, and its examples match it", () => {
  fc.assert(
    fc.property(anyPattern, (p) => {
      assert.deepEqual(parsePattern(formatPattern(p)), p);
      const seen = new Set<string>();
      for (let i = 0; i < 8; i++) {
        const name = example(p, seen);
        if (name === null) break;
        assert.ok(matchesPattern(p, name) && !seen.has(name), `${formatPattern(p)}: ${name}`);
        seen.add(name);
      }
      assert.ok(seen.size > 0);
    }),
  );
});

test("examples of a finite pattern run out exactly", () => {
  const p = pattern("a{1-2}.b{7}.example");
  const seen = new Set<string>();
  for (let name = example(p, seen); name !== null; name = example(p, seen)) seen.add(name);
  assert.deepEqual([...seen].toSorted(), ["a1.b7.example", "a2.b7.example"]);
});
