/** Reports that somebody kept and perhaps changed, under fuzz: a baseline whose policy loads, and whose page reads back as it was written. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { SallyportError } from "../errors.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { Gatherer } from "./evidence.ts";
import { driftOf, renderPage } from "./page.ts";
import { propose } from "./propose.ts";
import { readReport } from "../audit/report-file.ts";
import { aim } from "./testing/events.ts";
import { baselineReport } from "./report.ts";
import { RunTeller } from "./runs.ts";

const odd = fc.constantFrom<unknown>(
  null,
  7,
  "",
  "x|y`",
  [],
  {},
  "10.1.0.1",
  "2001:db8::1",
  "a.example",
  "A..b",
  "*",
  "\u202e",
);
const event = fc.record({
  schema: fc.constant("sallyport.event/1"),
  time: fc.constantFrom("2026-05-01T00:00:00.000000Z", "2026-05-02T00:00:00.000000Z", "yesterday"),
  kind: fc.constantFrom("connection", "connection", "connection", "dns", "detection", "lifecycle"),
  verdict: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom("allow", "would_deny", "deny") },
    { weight: 1, arbitrary: odd },
  ),
  reason: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom("default", "rule", "no_name", "overlap") },
    { weight: 1, arbitrary: odd },
  ),
  rule: fc.oneof(fc.constant({ name: null, tier: 3, mode: "monitor" }), odd),
  source: fc.record({ ip: fc.constantFrom("10.1.0.1", "10.1.0.2", "2001:db8::7"), group: odd, identity: odd }),
  destination: fc.record({
    name: fc.oneof(
      {
        weight: 9,
        arbitrary: fc.constantFrom(
          "a.example",
          "s1.c.example.com",
          "s2.c.example.com",
          "s3.c.example.com",
          "d1.cloudfront.net",
        ),
      },
      { weight: 1, arbitrary: odd },
    ),
    name_from: fc.constantFrom("sni", "dns", "host", "none"),
    ip: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom("203.0.113.1", "2001:db8::9", "10.0.0.1") },
      { weight: 1, arbitrary: odd },
    ),
    port: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(443, 80, 22, 5432, 0) }, { weight: 1, arbitrary: odd }),
    protocol: fc.constantFrom("tls", "http", "ssh", "tcp", "udp", "quic", "icmp", "other", "dns", "x"),
    names_of_ip: fc.oneof(
      { weight: 9, arbitrary: fc.constant(["a.example", "s1.c.example.com", "s2.c.example.com", "d1.cloudfront.net"]) },
      { weight: 1, arbitrary: odd },
    ),
  }),
  tls: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(undefined, { ech: true }) }, { weight: 1, arbitrary: odd }),
  count: fc.oneof(fc.constant(undefined), fc.nat(), odd),
  detection: fc.constantFrom(undefined, { type: "name_entropy", domain: "example.com" }),
});
const report = fc
  .record({
    schema: fc.constant("sallyport.run/1"),
    command: fc.constant(["npm", "ci"]),
    events: fc.array(event, { maxLength: 12 }),
  })
  .map((each) => JSON.stringify(each));

/** A baseline of the report, whatever stands in it. */
function checkReport({ command, events }: NonNullable<ReturnType<typeof readReport>>): void {
  const gatherer = new Gatherer(new RunTeller(60_000));
  for (const each of events) gatherer.add(each, { id: "x", kind: "report", job: command[0] ?? null });
  let evidence, proposal;
  const accept = new Set(["203.0.113.1:5432", "10.0.0.1:443", "a.example:443", "d1.cloudfront.net:443=ech"]);
  try {
    evidence = gatherer.finish();
    proposal = propose(evidence, { mode: "enforce", accept, stars: true, sources: [] });
  } catch (error) {
    assert.ok(error instanceof SallyportError && error.code === "USAGE", String(error));
    return;
  }
  assert.ok(!isPolicyProblems(loadPolicy(proposal.text, "proposal", new Date(0))), proposal.text);
  const baseline = baselineReport(evidence, proposal, aim, 0);
  const page = renderPage(baseline, null);
  assert.equal(renderPage(baseline, page), page);
  assert.deepEqual(driftOf(baseline, page), []);
}

fuzzTarget<"report" | "none">({
  name: "baseline-report",
  grammar: [asBytes(report)],
  outcomes: { report: true, none: true },
  check: (bytes) => {
    const read = readReport(textOf(bytes));
    if (read === null) return "none";
    checkReport(read);
    return "report";
  },
});
