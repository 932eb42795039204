/** Promises: whatever a rule is called, Prometheus' own client reads back the very labels and values; histograms add up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Exposition } from "./exposition.ts";
import { Histogram, sumOf } from "./histogram.ts";
import { readMetrics } from "../../test/support/prometheus.ts";

test("any label and any number are read back as they were", () => {
  const value = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom('a"b', "\\", "a\nb", '\\"', "{,}", "\r", "\ud800"),
  );
  const number = fc.oneof(fc.double({ noNaN: true }), fc.nat()).map((n) => n + 0);
  const samples = fc
    .sample(fc.tuple(value, value, number), 200)
    .map(([a, b, n], i) => [{ i: String(i), a, b }, n] as const);
  const page = new Exposition().gauge("probe", 'Help with \\ and "quotes"\nand lines.', samples).toString();
  const [family] = readMetrics(page);
  assert.equal(family?.help, 'Help with \\ and "quotes"\nand lines.');
  assert.deepEqual(
    family.samples.map(({ labels, value: read }) => [labels, read]),
    samples.map(([labels, n]) => [{ ...labels, a: labels.a.toWellFormed(), b: labels.b.toWellFormed() }, n]),
  );
});

test("a histogram's buckets are cumulative and its sum and count are those of what was seen", () => {
  const bounds = [0.001, 0.01, 0.1];
  const [one, other] = [new Histogram(bounds), new Histogram(bounds)];
  one.observe(0.0005, 3);
  one.observe(0.01);
  other.observe(0.05);
  other.observe(7, 2);
  const page = new Exposition().histogram(
    "took",
    "Time.",
    bounds,
    sumOf(bounds.length, [one.counts(), other.counts()]),
  );
  const [family] = readMetrics(page.toString());
  assert.equal(family?.type, "histogram");
  const buckets = family.samples.filter(({ name }) => name === "took_bucket");
  assert.deepEqual(
    buckets.map(({ labels, value }) => [labels["le"], value]),
    [
      ["0.001", 3],
      ["0.01", 4],
      ["0.1", 5],
      ["+Inf", 7],
    ],
  );
  assert.equal(family.samples.find(({ name }) => name === "took_count")?.value, 7);
  assert.ok(Math.abs(family.samples.find(({ name }) => name === "took_sum")!.value - 14.0615) < 1e-9);
});
