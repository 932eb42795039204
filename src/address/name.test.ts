/** A name has one canonical form or none; nothing that a resolver or a C library could read otherwise has one. */
import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalName, isNameDefect, toAscii } from "./name.ts";
import type { NameDefectCode } from "./name.ts";

test("upper case and one trailing dot are spelling", () => {
  assert.equal(canonicalName("PyPI.org."), "pypi.org");
  assert.equal(canonicalName("_acme-challenge.example.org"), "_acme-challenge.example.org");
  assert.equal(canonicalName("localhost"), "localhost");
  assert.equal(canonicalName(`${"a".repeat(63)}.example`), `${"a".repeat(63)}.example`);
});

test("what is not a host name says why", () => {
  const label = "a".repeat(63);
  const cases: [string, NameDefectCode][] = [
    ["", "empty"],
    [".", "empty_label"],
    ["a..b", "empty_label"],
    [".a", "empty_label"],
    ["a.b..", "empty_label"],
    ["allowed.example\0.evil.example", "nul"],
    [`${"a".repeat(64)}.example`, "label_too_long"],
    [`x.${"a".repeat(64)}`, "label_too_long"],
    [[label, label, label, label].join("."), "name_too_long"],
    ["a b.example", "bad_character"],
    ["a,b.example", "bad_character"],
    ["*.example", "bad_character"],
    ["a\u212a.example", "bad_character"], // KELVIN SIGN lower-cases to k.
    ["pypi\u3002org", "bad_character"],
    ["user@host.example", "bad_character"],
    ["host.example:443", "bad_character"],
  ];
  for (const [text, defect] of cases) assert.deepEqual(canonicalName(text), { defect }, JSON.stringify(text));
  assert.equal(
    canonicalName([label, label, label, "a".repeat(61)].join(".")),
    [label, label, label, "a".repeat(61)].join("."),
  );
});

test("an IP address in any spelling that inet_aton or a URL accepts is not a name", () => {
  const literals = [
    ...["192.0.2.1", "127.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "0X7F.0.0.1", "0x"],
    ...[
      "192.0.2.1.",
      "1.2.3.4.5",
      "example.1",
      "example.0x7f",
      "::1",
      "[::1]",
      "[2001:db8::1]",
      "fe80::1%eth0",
      "::ffff:10.0.0.1",
    ],
  ];
  for (const text of literals) assert.deepEqual(canonicalName(text), { defect: "ip_literal" }, text);
  for (const text of ["1.example", "0x7f.example", "127.0.0.1.example", "0xg", "x0x7f"])
    assert.equal(canonicalName(text), text);
});

test("what the URL standard takes for an IPv4 address never has a canonical form", () => {
  const part = fc.oneof(
    fc.nat({ max: 300 }).map(String),
    fc.nat({ max: 300 }).map((n) => `0x${n.toString(16)}`),
    fc.constantFrom("0", "017", "0x", "4294967295"),
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const text = parts.join(".");
      const url = URL.canParse(`http://${text}/`) ? new URL(`http://${text}/`).hostname : null;
      if (url === null || isIP(url) > 0) assert.ok(isNameDefect(canonicalName(text)), text);
    }),
  );
});

test("canonical is a fixed point, whatever the bytes", () => {
  const char = fc.oneof(
    fc.constantFrom(..."abzAZ09-_..".split("")),
    fc.string({ minLength: 1, maxLength: 1, unit: "binary" }),
  );
  fc.assert(
    fc.property(fc.array(char, { maxLength: 270 }), (chars) => {
      const name = canonicalName(chars.join(""));
      if (isNameDefect(name)) return;
      assert.equal(canonicalName(name), name);
      assert.match(name, /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/);
      assert.ok(name.length <= 253);
      assert.equal(name, chars.join("").toLowerCase().replace(/\.$/, ""));
    }),
    { numRuns: 2000 },
  );
});

test("a policy may write U-labels; what would change a URL's meaning stays out", () => {
  assert.equal(toAscii("Bücher.example"), "xn--bcher-kva.example");
  assert.equal(toAscii("pypi.org"), "pypi.org");
  for (const text of [
    "bücher.example:80",
    "ü@evil.example",
    "ü/evil",
    "ü#x",
    "ü?x",
    "１２７.1",
    "a.ü..b",
    "ü\\x",
    "ü%2e",
    "\u00ad",
  ]) {
    assert.ok(isNameDefect(toAscii(text)), text);
  }
});
