/** What the record holds was partly written by whoever wants to get out: shown, it moves no cursor and runs in no spreadsheet. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { printable } from "../policy/wording.ts";
import type { Answer } from "./query.ts";
import { answerCsv, answerJson, answerText } from "./table.ts";

const answer = (...names: string[]): Answer => ({
  fields: [
    { name: "destination", kind: "text" },
    { name: "bytes_up", kind: "bytes", title: "up" },
  ],
  rows: names.map((name) => [name, 1234]),
  more: false,
  incomplete: [],
});

describe("the table", () => {
  test("makes everything visible that a terminal would obey", () => {
    assert.equal(
      printable("a\u001b[2Jb\r\n\u0000\u009b\u202e\u200b\u2028\ud800"),
      "a\\u{1b}[2Jb\\u{d}\\u{a}\\u{0}\\u{9b}\\u{202e}\\u{200b}\\u{2028}\\u{d800}",
    );
    assert.equal(printable("café 日本"), "café 日本");
  });

  test("is one line a row, whatever is in it", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 5 }), (names) => {
        const text = answerText(answer(...names), { colour: false });
        assert.equal(text.split("\n").length, names.length + 1);
        // oxlint-disable-next-line no-control-regex
        assert.doesNotMatch(text.replaceAll("\n", ""), /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
      }),
    );
  });

  test("has titles, numbers to the right, sizes for people, and says where nothing decided or is known", () => {
    const text = answerText(
      {
        fields: [
          { name: "gateway", kind: "text" },
          { name: "rule", kind: "rule" },
          { name: "rule_tier", kind: "number", title: "tier" },
          { name: "bytes_up", kind: "bytes", title: "up" },
          { name: "last", kind: "time" },
        ],
        rows: [
          ["gw", "packages", 2, 999, "2026-05-04T09:00:00.123456Z"],
          ["gw", null, 3, 61_234, null],
          ["gw", null, null, null, null],
        ],
        more: false,
        incomplete: [],
      },
      { colour: false, hide: ["gateway"] },
    );
    assert.equal(
      text,
      [
        "RULE      TIER     UP  LAST",
        "packages     2  999 B  2026-05-04T09:00:00Z",
        "default      3  61 kB  -",
        "-            -      -  -",
      ].join("\n"),
    );
    assert.match(answerText({ ...answer(), rows: [] }, { colour: false }), /Nothing was recorded/);
  });
});

describe("CSV", () => {
  test("is RFC 4180, and no cell is a formula", () => {
    const text = answerCsv(answer("plain", 'a"b,c\nd', "=cmd|' /C calc'!A0", "+1", "-x.example", "@x", "\tx"));
    assert.deepEqual(text.split("\n").slice(0, 2), ["destination,bytes_up", "plain,1234"]);
    assert.ok(text.includes('"a""b,c\nd",1234\n'));
    for (const inert of ["'=cmd|' /C calc'!A0,", "'+1,", "'-x.example,", "'@x,", "'\tx,"]) {
      assert.ok(text.includes(inert), inert);
    }
    assert.equal(answerCsv({ ...answer(), rows: [[null, -5]] }), "destination,bytes_up\n,-5\n");
  });
});

describe("JSON", () => {
  test("is an object a line that gives back what went in", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { maxLength: 5 }), (names) => {
        const lines = answerJson(answer(...names)).split("\n");
        assert.equal(lines.pop(), "");
        const back = lines.map((line) => JSON.parse(line) as unknown);
        assert.deepEqual(
          back,
          names.map((destination) => ({ destination, bytes_up: 1234 })),
        );
      }),
    );
  });
});
