/**
 * The report in each of its formats, read by others' readers: SARIF by the published schema, JUnit by an XML parser, Markdown by
 * a Markdown parser. Hostile text in a finding stays text.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { marked } from "marked";
import { SaxesParser } from "saxes";
import { z } from "zod";
import { ruleIds } from "../catalogue.ts";
import { finding } from "../finding.ts";
import type { FindingInput } from "../finding.ts";
import { check, job, now, repository, sha } from "../testing/repository.ts";
import { reportJunit } from "./junit.ts";
import { cell, reportMarkdown } from "./markdown.ts";
import { failsOn, reportOf } from "./report.ts";
import type { Acceptance } from "./report.ts";
import { runnerPolicy } from "./runner-policy.ts";
import { reportSarif } from "./sarif.ts";
import { reportText } from "./text.ts";

const path = createRequire(import.meta.url).resolve("@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json");
// Zod takes a reference (RFC 3986, section 4.1) for a whole URI.
const text = readFileSync(path, "utf8").replaceAll('"format": "uri-reference"', '"minLength": 1');
const schema = z.fromJSONSchema(JSON.parse(text) as Parameters<typeof z.fromJSONSchema>[0]);

const made = (input: Partial<FindingInput> = {}) =>
  finding({
    rule: "RG-10",
    check: "control",
    status: "fail",
    subject: "ci.yml#build",
    seen: "no step",
    where: { kind: "file", path: "a b.yml", line: 7, column: 5, part: null },
    ...input,
  });
const setting = made({
  rule: "RG-05",
  subject: "octo",
  where: { kind: "api", endpoint: "GET /orgs/octo/actions/permissions", field: "allowed_actions" },
});
const hostile = made({
  rule: "RG-11",
  subject: 'x"><script>|`@everyone` [a](https://evil.example)',
  seen: "</failure>]]>&\u0000\u001b[31m\ud800 **bold** | ![x](https://evil.example/i.png) https://evil.example",
});
const held = made({ rule: "RG-09", status: "pass", subject: "held" });
const doubt = made({ rule: "RG-07", status: "unknown", subject: "doubt" });
const acceptance: Acceptance = { owner: "sec@o.example", reason: "a migration", expires: "2027-01-31" };
const report = reportOf({
  version: "1.2.3",
  now,
  target: "octo",
  sources: [{ name: "GET /orgs/octo", seen: false, text: "404" }],
  findings: [made(), made(), setting, hostile, held, doubt, made({ subject: "excused" })],
  accepted: new Map([[made({ subject: "excused" }).id, acceptance]]),
  notes: [],
});

test("one finding an id, worst first; a rule that nothing was seen of is unknown, not ok", () => {
  const { fail, unknown, pass, accepted, by_severity: by } = report.summary;
  assert.deepEqual([fail, unknown, pass, accepted], [3, 1, 1, 1]);
  assert.deepEqual(by, { critical: 0, high: 2, medium: 1, low: 0, info: 0 });
  assert.equal(report.rules.length, ruleIds.length);
  const status = Object.fromEntries(report.rules.map((rule) => [rule.rule, rule.status]));
  assert.deepEqual(
    [status["RG-10"], status["RG-09"], status["RG-07"], status["RG-19"]],
    ["fail", "pass", "unknown", "unknown"],
  );
  const order = report.findings.map((each) => each.status);
  assert.deepEqual(order, ["fail", "fail", "fail", "fail", "unknown", "pass"]);
});

test("--fail-on counts what is as bad and nobody accepted; unknown only where that is asked", () => {
  const accepted = new Map([[made().id, acceptance]]);
  const of = (...findings: ReturnType<typeof made>[]) =>
    reportOf({ version: "1", now, target: "", sources: [], findings, accepted, notes: [] });
  assert.ok(failsOn(of(setting), "high", false));
  assert.ok(!failsOn(of(setting), "critical", false));
  assert.ok(!failsOn(of(made()), "info", true), "accepted");
  assert.ok(!failsOn(of(doubt), "info", false));
  assert.ok(failsOn(of(doubt), "critical", true));
  assert.ok(!failsOn(of(held), "info", true));
});

describe("SARIF", () => {
  interface Result {
    ruleId: string;
    level: string;
    suppressions?: { justification: string }[];
    locations: { physicalLocation?: { artifactLocation: { uri: string }; region: { startLine: number } } }[];
  }
  const sarif = JSON.parse(JSON.stringify(reportSarif(report))) as { runs: [{ results: Result[] }] };

  test("is valid by the schema, and the schema is one that refuses", () => {
    const parsed = schema.safeParse(sarif);
    assert.ok(parsed.success, parsed.success ? "" : z.prettifyError(parsed.error));
    assert.ok(
      !schema.safeParse(JSON.parse(JSON.stringify(sarif).replaceAll('"level":"error"', '"level":"loud"'))).success,
    );
  });

  test("a result for each fail and unknown, at its place; what is accepted is suppressed with its reason", () => {
    const { results } = sarif.runs[0];
    assert.deepEqual(results.map(({ ruleId }) => ruleId).toSorted(), ["RG-05", "RG-07", "RG-10", "RG-10", "RG-11"]);
    const place = results.find(({ ruleId }) => ruleId === "RG-11")!.locations[0]!.physicalLocation!;
    assert.deepEqual([place.artifactLocation.uri, place.region.startLine], ["a%20b.yml", 7]);
    assert.equal(results.find(({ ruleId }) => ruleId === "RG-05")!.locations[0]!.physicalLocation, undefined);
    assert.equal(results.find(({ ruleId }) => ruleId === "RG-07")!.level, "note");
    const suppressed = results.filter((each) => each.suppressions !== undefined);
    assert.match(suppressed[0]!.suppressions![0]!.justification, /sec@o\.example: a migration/);
  });
});

test("JUnit is XML whose counts are its cases, whatever a finding says", () => {
  const counts = { testcase: 0, failure: 0, skipped: 0 };
  const texts: string[] = [];
  const parser = new SaxesParser({ xmlns: false });
  const told: Record<string, string>[] = [];
  parser.on("error", (error) => assert.fail(error));
  parser.on("opentag", ({ name, attributes }) => {
    if (name in counts) counts[name as keyof typeof counts]++;
    if (name === "testsuites") told.push(attributes);
    if (name === "failure") texts.push(attributes["message"]!);
  });
  parser.write(reportJunit(report)).close();
  assert.equal(told[0]!["tests"], String(counts.testcase));
  assert.equal(told[0]!["failures"], String(counts.failure));
  assert.equal(counts.failure, 3);
  assert.equal(counts.skipped, 2 + ruleIds.length - 5);
  assert.ok(texts.some((each) => each.includes("</failure>]]>&")));
});

test("Markdown: hostile text is no link, no image, no tag and no mention, and breaks no table", () => {
  const html = marked.parse(reportMarkdown(report, 10), { async: false });
  assert.doesNotMatch(html, /<script|<img|<a /i);
  assert.match(html, /&lt;script/);
  const cells = [...html.matchAll(/<tr>([\s\S]*?)<\/tr>/g)].map(([row]) => row.match(/<t[hd]/g)!.length);
  assert.deepEqual(new Set(cells), new Set([5, 7]));
});

/** A repository in which each clause comes to something else. */
test("the runner policy of a repository, word for word: what holds, what does not, and what nobody has seen", () => {
  const steps = `      - uses: sallyport/sallyport@${sha}\n        with: { allowed-endpoints: api.github.com }`;
  const facts = repository(
    {
      "ci.yml": job("push", "[self-hosted, linux]", steps),
      "pr.yml": job("pull_request", "big-metal", "      - run: make"),
    },
    { infrastructure: [{ path: "runner.sh", text: "./config.sh --url x --token y\n" }] },
  );
  const findings = check(facts);
  const excused = findings.find(({ subject, rule }) => rule === "RG-10" && subject.includes("pr.yml"))!;
  const policy = runnerPolicy(
    reportOf({
      ...{ version: "1.2.3", now, target: "octo/api", findings, notes: ["a.yaml:3: RG-01-0 lapsed on 2026-01-31"] },
      sources: [{ name: "GET /repos/octo/api/actions/runners", seen: false, text: "403" }],
      accepted: new Map([[excused.id, acceptance]]),
    }),
  );
  const golden = new URL("golden/runner-policy.md", import.meta.url);
  if (process.env["SALLYPORT_GOLDEN"] === "write") writeFileSync(golden, policy);
  assert.equal(policy, readFileSync(golden, "utf8"));
  for (const line of [
    /RG-09\*\* .*: holds \(/,
    /RG-10\*\* .*: holds, but for what was accepted \(/,
    /RG-01\*\* .*: does not hold \(/,
    /RG-07\*\* .*: not known \(1 hold, 0 fail, 1 not known/,
    /RG-19\*\* .*: not known \(nothing was looked at/,
  ])
    assert.match(policy, line);
});

test("the runner policy: hostile text is no markup", () => {
  const html = marked.parse(runnerPolicy(report), { async: false });
  assert.doesNotMatch(html, /<script|<img|<a /i);
});

test("for people: every rule, every open finding with place and fix, what was not seen; no control characters", () => {
  const said = reportText(report, 10);
  for (const rule of ruleIds) assert.match(said, new RegExp(`^${rule}  `, "m"));
  assert.match(
    said,
    /FAIL high: octo: no step\n {4}at: GET \/orgs\/octo\/actions\/permissions: allowed_actions\n {4}fix: /,
  );
  assert.match(said, /Not seen, so unknown:\n {2}GET \/orgs\/octo: 404/);
  // oxlint-disable-next-line no-control-regex
  assert.doesNotMatch(said, /[\u0000-\u0009\u000b-\u001f]/);
  assert.match(reportText(report, 0), /… 1 more of RG-11/);
});

test("text in a cell links nowhere: no bare address and no issue by its short name", () => {
  assert.doesNotMatch(cell("see www.evil.example, WWW.evil.example, GH-1 and https://a.example"), /www\.|GH-\d|:\/\//i);
});
