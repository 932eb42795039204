/** N5 under fuzz: names, patterns and addresses have one canonical form or none, whoever wrote them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { domainToASCII } from "node:url";
import fc from "fast-check";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { assertGrowsLinearly } from "../../test/support/work.ts";
import { cidrContains, formatCidr, isCidrDefect, parseCidr, type CidrDefect } from "./cidr.ts";
import { formatAddress, parseAddress } from "./ip.ts";
import { canonicalName, isNameDefect, toAscii, type NameDefectCode } from "./name.ts";
import { example, formatPattern, isPatternDefect, matchesPattern, parsePattern } from "./pattern.ts";

const from = (...texts: string[]) => fc.constantFrom(...texts);
const label = fc.oneof(
  from(
    "pypi",
    "org",
    "example",
    "a",
    "0",
    "1",
    "127",
    "0x7f",
    "xn--bcher-kva",
    "bücher",
    "ｐｙｐｉ",
    "_tcp",
    "A",
    "-",
    "*",
    "sa{0-49}",
  ),
  fc.string({ maxLength: 4, unit: "binary" }),
  fc.integer({ min: 60, max: 66 }).map((size) => "a".repeat(size)),
);
const dots = from(".", ".", ".", ".", ".", "。", "..", "．");
const names = fc.array(fc.tuple(label, dots), { maxLength: 6 }).map((parts) =>
  parts
    .flat()
    .slice(0, Math.max(1, parts.length * 2 - (parts.length % 3 === 0 ? 0 : 1)))
    .join(""),
);

/** The names of the policy are the wire's names: what is accepted is its own canonical form. */
fuzzTarget<NameDefectCode | "canonical">({
  name: "name",
  grammar: [asBytes(names), asBytes(fc.string({ maxLength: 12 }))],
  outcomes: {
    canonical: true,
    empty: true,
    nul: true,
    empty_label: true,
    label_too_long: true,
    name_too_long: true,
    ip_literal: true,
    bad_character: true,
  },
  check: (bytes) => {
    const text = textOf(bytes);
    const name = canonicalName(text);
    const ascii = toAscii(text);
    if (!isNameDefect(ascii)) {
      assert.equal(canonicalName(ascii), ascii);
      assert.equal(toAscii(ascii), ascii);
      // The URL standard's host parser is the second opinion: it must not see an address, nor another name.
      const host = domainToASCII(text.replace(/[.。．｡]$/u, ""));
      if (host !== "") assert.equal(host.replace(/\.$/, ""), ascii);
    }
    if (isNameDefect(name)) return name.defect;
    assert.equal(ascii, name);
    assert.match(name, /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/);
    assert.ok(name.length <= 253 && parseAddress(name) === null);
    assert.equal(name, text.toLowerCase().replace(/\.$/, ""));
    return "canonical";
  },
});

const part = from(
  "",
  "a",
  "b",
  "{0-9}",
  "{1}",
  "{1-2,10-12}",
  "{9-1}",
  "{01}",
  "{",
  "}",
  "*",
  "**",
  "x*y",
  "sa{0-49,}",
  "A",
  "ä",
);
const patterns = fc.array(part, { maxLength: 5 }).map((parts) => parts.join("."));
const anyPatterns = fc.array(fc.oneof(part, from(".", "..", "-")), { maxLength: 6 }).map((parts) => parts.join(""));

fuzzTarget<"pattern" | "defect">({
  name: "pattern",
  grammar: [asBytes(patterns), asBytes(anyPatterns), asBytes(names)],
  outcomes: { pattern: true, defect: true },
  check: (bytes) => {
    const text = textOf(bytes);
    const pattern = parsePattern(text);
    if (isPatternDefect(pattern)) {
      assert.ok(pattern.defect !== "" && pattern.fix !== "");
      return "defect";
    }
    const written = formatPattern(pattern);
    const again = parsePattern(written);
    assert.ok(!isPatternDefect(again), written);
    assert.deepEqual(again, pattern);
    const name = example(pattern);
    if (name !== null)
      assert.ok(!isNameDefect(canonicalName(name)) && matchesPattern(pattern, name), `${written}: ${name}`);
    return "pattern";
  },
});

const group = fc.oneof(
  from("0", "1", "db8", "ffff", "", "00", "g", "12345"),
  fc.nat(0xffff).map((value) => value.toString(16)),
);
const v6 = fc.array(group, { maxLength: 9 }).map((groups) => groups.join(":"));
const v4 = fc
  .array(fc.oneof(fc.nat(260).map(String), from("01", "", "0x1", "1e1", " 1")), { minLength: 3, maxLength: 5 })
  .map((groups) => groups.join("."));
const prefix = fc
  .tuple(
    fc.oneof(
      v6,
      v4,
      fc.tuple(v6, v4).map((pair) => pair.join(":")),
    ),
    from("", "", "/", "/8", "/24", "/32", "/64", "/129", "/08", "/-1", "%eth0"),
  )
  .map((pair) => pair.join(""));

fuzzTarget<CidrDefect["defect"] | "v4" | "v6">({
  name: "address",
  grammar: [asBytes(prefix)],
  outcomes: { v4: true, v6: true, not_an_address: true, bad_length: true, host_bits: true },
  check: (bytes) => {
    const text = textOf(bytes);
    const address = parseAddress(text);
    if (address !== null) assert.equal(parseAddress(formatAddress(address)), address);
    const cidr = parseCidr(text);
    if (isCidrDefect(cidr)) {
      assert.equal(address, null);
      return cidr.defect;
    }
    assert.deepEqual(parseCidr(formatCidr(cidr)), cidr);
    assert.ok(cidrContains(cidr, cidr.address));
    // The URL standard reads the canonical text as the same address.
    const canonical = formatAddress(cidr.address);
    const host = cidr.address.length === 4 ? canonical : `[${canonical}]`;
    assert.equal(parseAddress(new URL(`http://${host}/`).hostname.replaceAll(/[[\]]/g, "")), cidr.address);
    return cidr.address.length === 4 ? "v4" : "v6";
  },
});

test("the work on a text grows with its length", () => {
  const families: Record<string, (size: number) => string> = {
    labels: (size) => "a.".repeat(size),
    colons: (size) => ":".repeat(size),
    digits: (size) => "1".repeat(size),
    "address in brackets": (size) => `[${"1:".repeat(size)}%`,
    ranges: (size) => `a{${"1-2,".repeat(size)}3}.example`,
    stars: (size) => `*${"a".repeat(size)}.example`,
    "letters outside ASCII": (size) => `${"ä.".repeat(size)}example`,
    "open braces": (size) => "{".repeat(size),
  };
  for (const [title, make] of Object.entries(families)) {
    assertGrowsLinearly(title, 20_000, make, (text) => [
      canonicalName(text),
      toAscii(text),
      parsePattern(text),
      parseCidr(text),
    ]);
  }
});
