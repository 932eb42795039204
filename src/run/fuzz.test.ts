/**
 * Texts that a run finds on the host under fuzz. resolv.conf and hosts give bindings of canonical names, or nothing. A report
 * that somebody kept and perhaps changed gives a baseline whose policy loads, and whose page reads back as it was written.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { canonicalName } from "../address/name.ts";
import { Gatherer } from "../baseline/evidence.ts";
import { driftOf, renderPage } from "../baseline/page.ts";
import { propose } from "../baseline/propose.ts";
import { readReport } from "../baseline/report-file.ts";
import { baselineReport } from "../baseline/report.ts";
import { RunTeller } from "../baseline/runs.ts";
import { SallyportError } from "../errors.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { bindingsFromHosts, resolvConfFor } from "./resolv.ts";

const line = fc
  .tuple(
    fc.constantFrom(
      "nameserver ",
      "  nameserver\t",
      "search ",
      "#nameserver ",
      "127.0.0.1\t",
      "192.0.2.1 ",
      "::1 ",
      "x ",
    ),
    fc.constantFrom(
      "127.0.0.53",
      "::1",
      "0.0.0.0",
      "192.0.2.53",
      "a.example b.example # c",
      "A.example.",
      "é.example",
      "1.2",
      "",
    ),
  )
  .map((parts) => parts.join(""));

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
        arbitrary: fc.constantFrom("a.example", "s1.c.example.com", "s2.c.example.com", "s3.c.example.com"),
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
      { weight: 9, arbitrary: fc.constant(["a.example", "s1.c.example.com", "s2.c.example.com", "s3.c.example.com"]) },
      { weight: 1, arbitrary: odd },
    ),
  }),
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
  let evidence;
  try {
    evidence = gatherer.finish();
  } catch (error) {
    assert.ok(error instanceof SallyportError && error.code === "USAGE", String(error));
    return;
  }
  const accept = new Set(["203.0.113.1:5432", "10.0.0.1:443", "a.example:443"]);
  const proposal = propose(evidence, { mode: "enforce", accept, stars: true, sources: [] });
  assert.ok(!isPolicyProblems(loadPolicy(proposal.text, "proposal", new Date(0))), proposal.text);
  const baseline = baselineReport(evidence, proposal, { risk: 0.05, confidence: 0.95 }, 0);
  const page = renderPage(baseline, null);
  assert.equal(renderPage(baseline, page), page);
  assert.deepEqual(driftOf(baseline, page), []);
}

fuzzTarget<"stays" | "changes" | "bindings" | "report">({
  name: "host-text",
  grammar: [asBytes(fc.array(line, { maxLength: 6 }).map((lines) => lines.join("\n"))), asBytes(report)],
  outcomes: { stays: true, changes: true, bindings: true, report: true },
  check: (bytes) => {
    const text = textOf(bytes);
    const read = readReport(text);
    if (read !== null) {
      checkReport(read);
      return "report";
    }
    const changed = resolvConfFor(text, "192.0.2.254");
    if (changed !== null) {
      // Lines as resolvers read them: they end at a line feed and nowhere else, which JavaScript's `m` does not know.
      const lines = changed.split("\n");
      assert.ok(lines.some((each) => /^nameserver[ \t]+\S/.test(each)));
      assert.ok(!lines.some((each) => /^[ \t]*nameserver[ \t]+(?:127\.|::1$|0\.0\.0\.0$)/.test(each)));
    }
    const bindings = bindingsFromHosts(text);
    for (const { name } of bindings) assert.equal(canonicalName(name), name);
    return bindings.length > 0 ? "bindings" : changed === null ? "stays" : "changes";
  },
});
