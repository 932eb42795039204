/** What is advised about a source, and what keeps it from being ready. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Event } from "../audit/event.ts";
import { adviseOn, type Advice } from "./advice.ts";
import { text } from "./figures.ts";
import { propose } from "./propose.ts";
import { baselineReport } from "./report.ts";
import { baselineText } from "./report-text.ts";
import { aim, connection, evidenceOf, type Given, plain, recorded } from "./testing/events.ts";

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

describe("a source is not ready sooner than it is", () => {
  const names = Array.from({ length: 20 }, (_, leg) => `10.20.1.${leg + 1}`);

  test("by the legs of a matrix: those that begin together are one run, told by the clock or by their workflow run", () => {
    const clock = Array.from({ length: 100 }, (_, n) =>
      names.map((source, leg) => connection({ source, at: n * hour + leg })),
    );
    assert.equal(adviceOn(clock.slice(0, 79).flat()).verdict, "keep_monitoring");
    const legs = (n: number, at: number) =>
      names.map((_, leg) =>
        connection({ at, identity: { repository: "a/b", run_id: n, run_attempt: leg % 3, job: `t${leg}` } }),
      );
    const named = Array.from({ length: 79 }, (_, n) => legs(n, n * hour));
    const { verdict, completeness } = adviceOn(named.flat());
    assert.deepEqual([verdict, completeness.runs], ["keep_monitoring", 79]);
    assert.equal(adviceOn([...named, legs(79, 79 * hour)].flat()).verdict, "ready");
  });

  test("by what one leg met first and the others after it", () => {
    const push = (n: number) => names.map((source) => connection({ source, name: `v${n}.example`, at: n * hour }));
    const { completeness } = adviceOn(Array.from({ length: 10 }, (_, n) => push(n)).flat());
    assert.deepEqual([completeness.runs, completeness.chance], [10, 1]);
  });

  test("by runs that only tried what a rule refuses: they could not have been news", () => {
    const refused = runs(90, { verdict: "deny", rule: "no evil", name: "evil.example", source: "10.20.9.1" });
    const { verdict, completeness } = adviceOn(
      [...runs(40), ...refused].toSorted((a, b) => (a.time < b.time ? -1 : 1)),
    );
    assert.deepEqual([verdict, completeness.runs], ["keep_monitoring", 40]);
  });

  test("by one report that says it is a hundred runs", () => {
    const events = Array.from({ length: 100 }, (_, n) =>
      connection({ at: n * hour, identity: { run_id: n, job: "x" } }),
    );
    const evidence = evidenceOf(events, { id: "forged.json", kind: "report", job: null });
    assert.equal(evidence.sources[0]!.runs.size, 1);
  });

  test("by a burst: runs of three days say nothing of what comes by the week", () => {
    const week = { ...aim, span: 7 * 24 * hour * 1000 };
    const of = (events: readonly Event[]) => adviseOn(propose(evidenceOf(events), plain).sources[0]!, week);
    assert.match(of(runs(80)).why.join(), /^its runs are from 3\.3 of 7 days \(--span\)/);
    assert.equal(of(runs(170)).verdict, "ready");
  });
});

describe("a reader is told", () => {
  test("which jobs nearly nothing is known of, in a mix that is ready", () => {
    const identity = (job: string, n: number) => ({ repository: "a/b", run_id: n, job });
    const events = Array.from({ length: 120 }, (_, n) =>
      connection({ at: n * hour, identity: identity(n % 60 === 7 ? "nightly" : "build", n) }),
    );
    const { verdict, cautions } = adviceOn(events);
    assert.equal(verdict, "ready");
    assert.match(cautions.join(), /of these alone nearly nothing is known: a\/b · nightly \(2 runs\)$/);
  });

  test("where most runs are perhaps no jobs", () => {
    const heartbeat = runs(100, { name: "time.example" });
    const jobs = [1, 2, 3].flatMap((n) =>
      ["a.example", "b.example", "c.example"].map((name) =>
        connection({ name, source: "10.20.1.8", at: n * hour + 1800 }),
      ),
    );
    const events = [...heartbeat, ...jobs].toSorted((a, b) => (a.time < b.time ? -1 : 1));
    assert.match(adviceOn(events).cautions.join(), /100 of 103 runs contacted nothing but time\.example:443/);
    assert.deepEqual(adviceOn(heartbeat).cautions, []);
  });

  test("what can be done sooner, and nothing where there is nothing to wait for", () => {
    assert.deepEqual(adviceOn(runs(80)).sooner, []);
    const { sooner } = adviceOn(runs(45));
    assert.match(sooner[0]!, /^--risk 10% is reached now: until the list grows, up to 1 run in 10 may break$/);
    const asked = { ...aim, risk: 0.1 };
    assert.equal(adviseOn(propose(evidenceOf(runs(45)), plain).sources[0]!, asked).verdict, "ready");
  });
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

python: 31 runs (30 that count: begun together is one), 2 addresses
  proposed: 2 endpoints; held back: 1; refused: 1
  next run new: 6.7 %, at most 25 % (95 % confidence); still unseen: at least 3 (0 to 24); new in the last 7 runs: 0
  KEEP MONITORING: about 180 more runs: the next one may be new with up to 25 % (95 % confidence); the aim is 5.0 % (--risk), which takes 80 runs even where nothing is new after the first.
  sooner:
    --risk 10% takes about 77 more runs: until the list grows, up to 1 run in 10 may break
    --risk 30% is reached now: until the list grows, up to 1 run in 3 may break
    deny rules refuse while the default still monitors: write them now for what must never be reached
    sallyport policy preset lists what clients are configured to reach, however few runs there were
  look at these first, each met in one run alone: new.example
  held back, --accept proposes it all the same:
    webhook.site:443  tls  4 connections  known as a place where anybody can leave data
  refused, never proposed:
    evil.example:443  tls  1 connection`,
  );
});
