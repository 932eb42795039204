/** A plan says what the candidate would have made of recorded traffic, and agrees with the engine on each flow. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Event } from "../audit/event.ts";
import { recovered } from "../audit/spool-status.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { planText, promotionText } from "./plan-text.ts";
import { Planner, type PlanReport } from "./plan.ts";
import { RunTeller } from "./runs.ts";
import { connection, gateway, recorded } from "./testing/events.ts";

const at = new Date("2026-06-01T00:00:00Z");

function planOf(rules: string, events: readonly Event[], mode = "enforce", source?: string): PlanReport {
  const text = `version: 1\nsources:\n  py: { subnets: [10.20.1.0/24] }\nrules:\n${rules}\ndefault: { mode: ${mode} }\n`;
  const candidate = loadPolicy(text, "new.yaml", at);
  assert.ok(!isPolicyProblems(candidate), JSON.stringify(candidate));
  const planner = new Planner(new RunTeller(600_000), { candidate, at, source });
  for (const event of events) planner.add(event, gateway);
  return planner.finish();
}

const brief = ({ changes }: PlanReport) =>
  changes.map(
    ({ kind, endpoint, connections, after }) => `${kind} ${endpoint} ${connections} ${after.rule ?? after.reason}`,
  );

const pypi = "  - { name: packages, to: [pypi.org] }";

describe("a plan", () => {
  test("what the record lost is said, in the recorder's own words: nobody can replay it", () => {
    const gap = recorded(5, recovered(null, { lost: 5000, first: 0, last: 1 }));
    const events = [connection({ name: "pypi.org" }), gap, recorded(6, recovered(null, null))];
    const report = planOf(pypi, events);
    assert.equal(report.lost, 5000);
    assert.match(
      planText(report),
      /; the record lost 5000 events, and nobody knows what they were\. Nothing that passed/,
    );
  });

  test("lines of the record that are no events are said: they may have been any", () => {
    const candidate = loadPolicy("version: 1\ndefault: { mode: monitor }\n", "new.yaml", at);
    assert.ok(!isPolicyProblems(candidate));
    const planner = new Planner(new RunTeller(600_000), { candidate, at });
    planner.skip();
    assert.match(planText(planner.finish()), /; 1 line of the record is no event\. Nothing that passed/);
  });

  test("newly denied, newly allowed, now covered, and still uncovered under a monitoring default", () => {
    const events = [
      connection({ name: "pypi.org" }),
      connection({ name: "old.example", verdict: "allow", reason: "rule", rule: "old", at: 5 }),
      connection({ name: "old.example", verdict: "allow", reason: "rule", rule: "old", at: 86_400 }),
      connection({ name: "seen.example" }),
    ];
    assert.deepEqual(brief(planOf(pypi, events)), [
      "denied old.example:443 2 default",
      "denied seen.example:443 1 default",
      "covered pypi.org:443 1 packages",
    ]);
    assert.deepEqual(brief(planOf(pypi, events, "monitor")), [
      "uncovered old.example:443 2 default",
      "uncovered seen.example:443 1 default",
      "covered pypi.org:443 1 packages",
    ]);
    assert.deepEqual(brief(planOf(pypi, [connection({ verdict: "deny" })])), ["allowed pypi.org:443 1 packages"]);
    assert.deepEqual(brief(planOf(pypi, [connection({ verdict: "allow", reason: "rule", rule: "x" })])), []);
  });

  test("by whom, when, how often; and the counted ones count", () => {
    const events = [
      connection({ name: "a.example", identity: { job: "build", run_id: 1 } }),
      connection({ name: "a.example", identity: { job: "test", run_id: 2 }, at: 9 }),
      connection({ name: "a.example", count: 40, at: 86_400 * 3 }),
    ];
    const [change] = planOf(pypi, events).changes;
    assert.deepEqual(
      [
        change!.used_by,
        change!.connections,
        change!.first_seen.slice(0, 10),
        change!.last_seen.slice(0, 10),
        change!.source,
      ],
      [["build", "test", "10.20.1.7"], 42, "2026-05-01", "2026-05-04", "py"],
    );
  });

  test("what packets did cannot be asked of a policy: it is counted, and so are floods without a destination", () => {
    const flood = { ...connection({ verdict: "deny", count: 900 }), destination: undefined } as unknown as Event;
    const report = planOf(pypi, [connection({ verdict: "deny", reason: "overlap", count: 3 }), flood]);
    assert.deepEqual([report.connections, report.not_replayed, report.changes], [0, 903, []]);
  });

  test("a name that is not looked up stops a connection that its address alone would pass", () => {
    const events = [connection({ name: "db.example", ip: "203.0.113.9", port: 5432, protocol: "tcp" })];
    const byAddress = "  - { name: db, to: [203.0.113.9/32], ports: [5432], protocol: tcp }";
    assert.deepEqual(brief(planOf(byAddress, events)), ["denied db.example:5432 1 default"]);
    const both = `${byAddress}\n  - { name: look-up, to: ["db.example:5432"], protocol: tcp }`;
    assert.deepEqual(brief(planOf(both, events)), ["covered db.example:5432 1 db"]);
    assert.deepEqual(
      brief(planOf(byAddress, [connection({ name: null, ip: "203.0.113.9", port: 5432, protocol: "tcp" })])),
      ["covered 203.0.113.9:5432 1 db"],
    );
  });

  test("another's name at an allowed address stays refused", () => {
    const spoofed = connection({ name: "cdn.example", shown: "pypi.org", ip: "203.0.113.66" });
    assert.deepEqual(brief(planOf(pypi, [spoofed])), ["denied pypi.org:443 1 default"]);
  });

  test("where the list of an address's names was cut, a look-up of the same source vouches for the name shown", () => {
    const names = Array.from({ length: 8 }, (_, i) => `n${i}.example`);
    const shared = connection({ name: "pypi.org" });
    shared.destination = { ...shared.destination!, names_of_ip: names };
    const lookup = recorded(0, {
      kind: "dns",
      verdict: "would_deny",
      source: { ip: "10.20.1.7" },
      destination: { name: "pypi.org", name_from: "dns", protocol: "dns" },
      dns: { qtype: "A", answers: ["203.0.113.10"] },
    });
    assert.deepEqual(brief(planOf(pypi, [lookup, shared])), ["covered pypi.org:443 1 packages"]);
    assert.deepEqual(brief(planOf(pypi, [shared])), ["denied pypi.org:443 1 default"]);
  });

  test("rules that nobody uses, and rules whose traffic earlier ones decide", () => {
    const rules = [
      "  - { name: no evil, to: [evil.pypi.example], action: deny }",
      pypi,
      "  - { name: unused, to: [nobody.example] }",
      '  - { name: wide, to: ["*.example", pypi.org] }',
      '  - { name: watch, to: ["watched.org"], mode: monitor }',
    ].join("\n");
    const report = planOf(rules, [connection({ name: "pypi.org" }), connection({ name: "watched.org" })]);
    assert.deepEqual(report.idle, [
      { rule: "no evil", line: 5, shadowed_by: [] },
      { rule: "unused", line: 7, shadowed_by: [] },
      { rule: "wide", line: 8, shadowed_by: ["packages"] },
    ]);
  });

  test("for one source looks at that one alone, and says nothing of rules", () => {
    const events = [connection({ name: "a.example" }), connection({ name: "b.example", source: "10.99.0.1" })];
    const report = planOf(pypi, events, "enforce", "py");
    assert.deepEqual([brief(report), report.connections, report.idle], [["denied a.example:443 1 default"], 1, []]);
  });

  test("what packets did in monitor mode is refused where the candidate enforces, and a port check is nothing", () => {
    const events = [
      connection({ name: "pypi.org", reason: "overlap" }),
      connection({ name: "pypi.org", reason: "closed" }),
      connection({ name: "pypi.org", reason: "overlap", verdict: "deny" }),
      connection({ name: "pypi.org", reason: "overlap", source: "10.99.0.1" }),
    ];
    const enforcing = planOf(pypi, events, "monitor, enforce_for: [py]", "py");
    assert.deepEqual([brief(enforcing), enforcing.not_replayed], [["denied pypi.org:443 1 overlap"], 2]);
    const monitoring = planOf(pypi, events, "monitor");
    assert.deepEqual([brief(monitoring), monitoring.not_replayed], [[], 4]);
    assert.match(
      promotionText("py", enforcing),
      /^With enforcement, py would have been refused\n {4}- pypi\.org:443 tls {2}1 connection, 2026-05-01 {2}by 10\.20\.1\.7 {2}denied by the default \(overlap\)\n\n1 connection of 4 events/,
    );
  });

  test("reads", () => {
    const rules = `${pypi}\n  - { name: wide, to: [pypi.org, nobody.example] }\n  - { name: none, to: [x.example] }`;
    const events = [
      connection({ name: "pypi.org", at: 3_600 }),
      connection({ name: "gone.example", verdict: "allow", reason: "rule", rule: "old", at: 90_000 }),
      connection({ name: "gone.example", verdict: "allow", reason: "rule", rule: "old", count: 11, at: 90_001 }),
      connection({ name: "pypi.org", verdict: "deny", source: "10.99.0.1" }),
    ];
    assert.equal(
      planText(planOf(rules, events)),
      `Newly denied: it passed, and would be refused
    - gone.example:443 tls  py  12 connections, 2026-05-02  by 10.20.1.7  denied by the default; before, allowed by “old”

Newly allowed: it was refused, and would pass
    + pypi.org:443 tls  (no declared source)  1 connection, 2026-05-01  by 10.99.0.1  allowed by “packages”; before, denied by the default

Now allowed by a rule: it passed because the default monitored
    ~ pypi.org:443 tls  py  1 connection, 2026-05-01  by 10.20.1.7  allowed by “packages”

Shadowed: what these rules match, others decide first
  “wide” (new.yaml:6)  decided by “packages”

Unused: no recorded connection matches these rules
  “none” (new.yaml:7)

1 warning: sallyport policy check new.yaml

14 connections of 4 events replayed, 2026-05-01 to 2026-05-02. 12 connections would be refused.`,
    );
  });
});
