/** An amount is read as written and shown as it could be written; what is none is refused, not guessed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseSize, sizeText } from "./size.ts";

test("decimal and binary units, with and without a space", () => {
  const cases: [string, number | null][] = [
    ["10 MB", 10_000_000],
    ["1.5GiB", 1_610_612_736],
    ["500 kB", 500_000],
    ["0.001 kB", 1],
    ["2 KiB", 2048],
    ...[
      "",
      "10",
      "MB",
      "10 mb",
      "10 Mb",
      "10 KB",
      "-1 MB",
      "1e3 kB",
      "0 MB",
      "0.0001 kB",
      "1 MB ",
      "1  MB",
      "1,5 MB",
    ].map((text): [string, null] => [text, null]),
  ];
  for (const [text, bytes] of cases) assert.equal(parseSize(text), bytes, text);
});

test("what is shown of an amount that can be written says exactly it", () => {
  const written = fc.tuple(
    fc.integer({ min: 1, max: 999_999 }),
    fc.constantFrom("kB", "MB", "GB", "KiB", "MiB", "GiB"),
  );
  fc.assert(
    fc.property(written, ([number, unit]) => {
      const bytes = parseSize(`${number} ${unit}`)!;
      assert.equal(parseSize(sizeText(bytes)), bytes, sizeText(bytes));
    }),
  );
  assert.equal(sizeText(1234), "1234 bytes");
});
