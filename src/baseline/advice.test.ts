/** What is advised about a source, and what keeps it from being ready. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Event } from "../audit/event.ts";
import { adviseOn, type Advice, text } from "./advice.ts";
import { propose } from "./propose.ts";
import { baselineReport } from "./report.ts";
import { baselineText } from "./report-text.ts";
import { connection, evidenceOf, type Given, plain, recorded } from "./testing/events.ts";

const aim = { risk: 0.05, confidence: 0.95 };
const hour = 3_600;
const runs = (count: number, given: Given = {}) =>
  Array.from({ length: count }, (_, n) => connection({ at: n * hour, ...given }));

function adviceOn(events: readonly Event[], stars = false): Advice {
  return adviseOn(propose(evidenceOf(events), { ...plain, stars }).sources[0]!, aim);
}

describe("a source is", () => {
  test("ready after eighty runs without news, and not one earlier", () => {
    assert.equal(adviceOn(runs(80)).verdict, "ready");
    const early = adviceOn(runs(79));
    assert.deepEqual([early.verdict, early.completeness.runs_to_go], ["keep_monitoring", 1]);
  });

  test("to be reviewed while something is held back", () => {
    const bare = connection({ name: null, ip: "198.51.100.9", at: 0 });
    const { verdict, why } = adviceOn([bare, ...runs(90)]);
    assert.deepEqual([verdict, why], ["review", ["1 destination is held back: accept or drop before enforcing"]]);
  });

  test("not ready where news came late, however few: something changed", () => {
    // News in each of the last runs of four hundred quiet ones: rare enough for the bound, too late for chance.
    const late = Array.from({ length: 8 }, (_, i) => connection({ name: `late${i}.example`, at: (392 + i) * hour }));
    const { verdict, why, completeness } = adviceOn(
      [...runs(400), ...late].toSorted((a, b) => (a.time < b.time ? -1 : 1)),
    );
    assert.ok(completeness.late < 0.01, `${completeness.late}`);
    assert.equal(verdict, "keep_monitoring");
    assert.ok(
      why.some((each) => each.includes("something changed")),
      why.join(),
    );
  });

  test("not ready where a scan went beyond the list", () => {
    const scan = Array.from({ length: 5_100 }, (_, i) => connection({ name: `n${i}.example`, at: 1 }));
    assert.match(adviceOn([...runs(90), ...scan]).why.join(), /100 connections went beyond the list|1\d\d connections/);
  });

  test("enforced where the default refused last", () => {
    assert.equal(
      adviceOn([...runs(90), connection({ name: "x.example", verdict: "deny", at: 1e6 })]).verdict,
      "enforced",
    );
  });
});

test("what a rule refused is no part of the estimate; what the default refused is, and so is what is in doubt, once", () => {
  const denied = (rule: string | null) =>
    runs(90).map((_, n) => connection({ name: `d${n}.example`, verdict: "deny", rule, at: n * hour + 1 }));
  const counted = (events: readonly Event[]) => {
    const { seen, uniques, chance } = adviceOn(events.toSorted((a, b) => (a.time < b.time ? -1 : 1))).completeness;
    return [seen, uniques, chance];
  };
  assert.deepEqual(counted([...runs(90), ...denied("no evil")]), [1, 0, 0]);
  assert.deepEqual(counted([...runs(90), ...denied(null)]), [91, 90, 1]);
  const twice = [
    ...runs(5, { name: "pypi.org" }),
    connection({ shown: "pypi.org", name: "cdn.example", at: 9 * hour }),
  ];
  assert.equal(adviceOn(twice).completeness.seen, 1);
});

test("names under a preset's range, and under a star that was asked for, are one destination", () => {
  const accounts = Array.from({ length: 40 }, (_, n) =>
    connection({ name: `productionresultssa${n}.blob.core.windows.net`, at: n * hour }),
  );
  assert.equal(adviceOn(accounts).completeness.seen, 1);
  const shards = Array.from({ length: 40 }, (_, n) =>
    connection({ name: `${(0xd3a4b5c6e7f8 + n * 7_654_321_987).toString(16)}.cdn.example.com`, at: n * hour }),
  );
  assert.equal(adviceOn(shards).completeness.seen, 40);
  assert.equal(adviceOn(shards, true).completeness.seen, 1);
});

test("each job is told by itself where there are several", () => {
  const job = (name: string, n: number, host: string) =>
    connection({ name: host, at: n * hour, identity: { job: name, run_id: n, repository: "acme/app" } });
  const events = Array.from({ length: 60 }, (_, n) =>
    n % 2 === 0 ? job("build", n, "a.example") : job("test", n, `t${n}.example`),
  );
  const { jobs } = adviceOn(events);
  assert.deepEqual(
    jobs.map(({ job, completeness }) => [job, completeness.runs, completeness.chance]),
    [
      ["acme/app · build", 30, 0],
      ["acme/app · test", 30, 1],
    ],
  );
  assert.deepEqual(adviceOn(events.filter((_, n) => n % 2 === 0)).jobs, []);
});

test("shares for people", () => {
  assert.deepEqual([0, 0.0004, 0.0123, 0.049, 0.1, 0.996, 1].map(text), [
    "0 %",
    "0.040 %",
    "1.2 %",
    "4.9 %",
    "10 %",
    "100 %",
    "100 %",
  ]);
});

test("the report reads", () => {
  const events = [
    ...runs(30, { group: "python", source: "10.1.0.7" }),
    connection({ name: "new.example", group: "python", source: "10.1.0.7", at: 12 * hour }),
    connection({ name: "webhook.site", group: "python", source: "10.1.0.8", at: 12 * hour }),
    connection({ name: "webhook.site", group: "python", source: "10.1.0.8", at: 12 * hour + 1, count: 3 }),
    connection({ name: "evil.example", group: "python", source: "10.1.0.7", at: 3 * hour, verdict: "deny" }),
    recorded(0, { kind: "connection", verdict: "deny", count: 70 }),
  ].toSorted((a, b) => (a.time < b.time ? -1 : 1));
  const evidence = evidenceOf(events);
  const report = baselineReport(evidence, propose(evidence, plain), aim, 2);
  assert.equal(
    baselineText(report),
    `35 events from 1 source, 2026-05-01 to 2026-05-02; 70 connections only counted (a flood); 2 lines that were no events

python: 31 runs, 2 addresses
  proposed: 2 endpoints; held back: 1; refused: 1
  next run new: 9.7 %, at most 29 % (95 % confidence); still unseen: at least 3 (0 to 24); new in the last 7 runs: 0
  KEEP MONITORING: about 220 more runs: the next one may be new with up to 29 % (95 % confidence), aim 5.0 %.
  held back, --accept proposes it all the same:
    webhook.site:443  tls  4 connections  known as a place where anybody can leave data
  refused, never proposed:
    evil.example:443  tls  1 connection`,
  );
});
