/**
 * The benchmark's own arithmetic: a ratio is to the same round, what cannot be done is never a number, a missed target is told by
 * how much, and the document is made of what was measured.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { help, parseArguments } from "../../bench/arguments.ts";
import { cases } from "../../bench/cases/cases.ts";
import { Histogram } from "../../bench/load/outcome.ts";
import { figures } from "../../bench/report/document.ts";
import { median, type Result, resultSchema, rowsOf } from "../../bench/report/result.ts";
import { amount, cells, columns, groupsOf, markdown, targetCells } from "../../bench/report/table.ts";
import { margin, targetsOf } from "../../bench/report/targets.ts";

const rows = rowsOf(
  "connections.32.classical.per_second",
  "/s",
  new Map<string, readonly number[] | string>([
    ["forwarding", [100, 200, 400]],
    ["sallyport", [90, 190, 200]],
    ["haproxy", [50, 60, 100]],
    ["squid", "not installed"],
  ]),
);

test("a ratio is the median of the rounds' ratios, each to forwarding in the same round", () => {
  assert.equal(rows[0]!.ratio_to_forwarding, 1);
  // 0.9, 0.95 and 0.5: the medians' ratio would be 0.95 as well, the means' 0.69.
  assert.equal(rows[1]!.ratio_to_forwarding, 0.9);
  assert.equal(rows[1]!.value, 190);
  assert.equal(rows[1]!.spread, Number(((200 - 90) / 190).toPrecision(4)));
});

test("what a contender cannot do is no number, in any form", () => {
  const { value, spread, ratio_to_forwarding: ratio, cannot } = rows[3]!;
  assert.deepEqual([value, spread, ratio, cannot], [null, null, null, "not installed"]);
  assert.match(columns(cells(rows)), /^squid +cannot: not installed$/m);
  assert.match(markdown(cells(rows)), /^\| squid \| cannot: not installed \|$/m);
});

test("one round has no spread, and nothing measured is not zero", () => {
  assert.equal(rowsOf("a.b", "s", new Map([["x", [3]]]))[0]!.spread, null);
  assert.equal(rowsOf("a.b", "s", new Map([["x", []]]))[0]!.value, null);
});

test("targets are met, missed by so much, or not measured", () => {
  const targets = targetsOf(rows);
  const of = (text: string) => targets.find(({ target }) => target === text)!;
  const near = of("new connections, 32 at a time, to forwarding");
  // The median of the rounds, not the ratio of the medians.
  assert.deepEqual([near.value, near.met], [0.9, true]);
  const far = of("new connections, 32 at a time, to HAProxy");
  assert.equal(far.met, true);
  assert.equal(of("new connections, 32 at a time, to Squid").met, null);
  assert.equal(margin({ ...near, value: 0.45, met: false }), "by 50 %");
  assert.match(columns(targetCells(targets)), /to forwarding +≥ 0.9 × +0.9 +met by 0 %/);
  assert.match(columns(targetCells([{ ...near, value: 0.45, met: false }])), /MISSED by 50 %/);
});

test("a result has the form that is promised, and becomes a document", () => {
  const host = { processor: "p", cpus: 2, memory_gb: 8, kernel: "6", node: "v26", busy: 1, quiet: false, versions: {} };
  const result: Result = resultSchema.parse({
    schema: "sallyport.bench/1",
    at: "2030-01-01T00:00:00Z",
    took: 1,
    quick: true,
    shortened: [],
    host,
    cases: rows,
    targets: targetsOf(rows),
  });
  const text = figures(result);
  assert.match(text, /\*\*not quiet\*\*/);
  assert.match(
    text,
    /### New TLS connections\n\n\*\*32 at a time, classical hello\*\*\n\n\| {2}\| per second \(\/s\) \|/,
  );
  assert.match(text, /\| haproxy \| 60 ±42 % 0.30× \|/);
  assert.equal(groupsOf(rows).size, 1);
  assert.doesNotMatch(text, /Shortened/);
  assert.match(figures({ ...result, shortened: ["dns.hit: 2 of 15"] }), /^- dns\.hit: 2 of 15$/m);
});

test("arguments: every case is known, JSON goes to a file or to standard output, a document is of a whole run", () => {
  const known = cases.map(({ name }) => name);
  assert.deepEqual(new Set(known).size, known.length);
  for (const name of known) assert.match(help(cases), new RegExp(`^ {2}${name} `, "m"));
  const refused = (result: ReturnType<typeof parseArguments>) => (typeof result === "string" ? result : "");
  const parsed = (...given: string[]) => {
    const result = parseArguments(given, known);
    assert.ok(typeof result !== "string");
    return result;
  };
  assert.equal(parsed("--json", "--quick").json, "-");
  assert.equal(parsed("--quick", "--json", "a.json").json, "a.json");
  assert.deepEqual(parsed("--only=dns,denied").only, ["dns", "denied"]);
  assert.match(refused(parseArguments(["--only", "nothing"], known)), /--only takes/);
  assert.match(refused(parseArguments(["--write", "--quick"], known)), /whole run/);
  assert.match(refused(parseArguments(["--fast"], known)), /Unknown argument --fast/);
  assert.equal(parsed("--limit", "120").limit, 120);
  assert.match(refused(parseArguments(["--limit", "soon"], known)), /--limit takes seconds/);
});

test("times of several generators add up to one distribution, one per cent wide", () => {
  const [one, two] = [new Histogram(), new Histogram()];
  for (let i = 1; i <= 500; i++) one.add(i);
  for (let i = 501; i <= 1000; i++) two.add(i);
  const both = new Histogram().merge(one.counts()).merge(two.counts());
  assert.ok(Math.abs(both.quantile(0.5) - 500) <= 6, String(both.quantile(0.5)));
  assert.ok(Math.abs(both.quantile(0.99) - 990) <= 11, String(both.quantile(0.99)));
  assert.equal(new Histogram().quantile(0.5), 0);
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(amount(1234567), "1 234 567");
});
