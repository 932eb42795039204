/** The SARIF report is SARIF (by the published schema), has one result for each destination, and names step and workflow. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { z } from "zod";
import { jobReport, jobRow, process } from "./testing/job.ts";
import { sarifOf } from "./sarif.ts";

const path = createRequire(import.meta.url).resolve("@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json");
// Zod takes a reference (RFC 3986, section 4.1) for a whole URI.
const text = readFileSync(path, "utf8").replaceAll('"format": "uri-reference"', '"minLength": 1');
const schema = z.fromJSONSchema(JSON.parse(text) as Parameters<typeof z.fromJSONSchema>[0]);

interface Sarif {
  runs: [
    {
      tool: { driver: { rules: { id: string }[] } };
      results: {
        ruleId: string;
        level: string;
        message: { text: string };
        occurrenceCount?: number;
        locations: { logicalLocations: { fullyQualifiedName: string }[]; physicalLocation?: object }[];
        partialFingerprints: Record<string, string>;
      }[];
      properties: { left_out: number };
    },
  ];
}

function valid(value: object): Sarif {
  const parsed = schema.safeParse(JSON.parse(JSON.stringify(value)));
  assert.ok(parsed.success, parsed.success ? "" : z.prettifyError(parsed.error));
  return value as Sarif;
}

test("the schema is one that refuses: a level that is none, a run without a tool", () => {
  const good = sarifOf(jobReport({ connections: [jobRow({ verdict: "deny" })] }), null);
  const text = JSON.stringify(valid(good));
  assert.ok(!schema.safeParse(JSON.parse(text.replaceAll('"level":"error"', '"level":"loud"'))).success);
  assert.ok(!schema.safeParse(JSON.parse(text.replaceAll('"driver"', '"drover"'))).success);
});

test("a job without findings is a valid run with no result", () => {
  const { runs } = valid(sarifOf(jobReport({}), ".github/workflows/ci.yml"));
  assert.deepEqual(runs[0].results, []);
  assert.deepEqual(runs[0].tool.driver.rules, []);
});

test("one result for a destination, whoever wanted it, with each step and the workflow's file", () => {
  const connections = [
    jobRow({ verdict: "deny", name: "evil.example", count: 2, process: process({ step: "build" }) }),
    jobRow({ verdict: "deny", name: "evil.example", count: 5, process: process({ step: "test", exe: "/bin/b" }) }),
    jobRow({ verdict: "allow", name: "pypi.org" }),
    jobRow({ verdict: "deny", name: null, ip: "2001:db8::1", reason: "no_name" }),
  ];
  const finding = {
    time: "2026-01-01T00:00:00.000000Z",
    ...{ type: "denied_names", message: "100 names", process: null, data: {} },
  };
  const tampering = [{ ...finding, type: "tamper", message: "the firewall's rules are gone" }];
  const report = jobReport({ connections, detections: [finding], tampering, degraded: ["the rules were gone"] });
  const { results, tool } = valid(sarifOf(report, ".github/workflows/ci.yml")).runs[0];
  assert.deepEqual(
    results.map(({ ruleId, level }) => `${ruleId} ${level}`),
    ["tampering error", "default error", "no_name error", "denied_names warning"],
  );
  assert.deepEqual(
    tool.driver.rules.map(({ id }) => id),
    ["default", "denied_names", "no_name", "tampering"],
  );
  const evil = results[1]!;
  assert.equal(evil.occurrenceCount, 7);
  assert.match(evil.message.text, /^evil\.example:443 \(tls\) by \/bin\/b was denied, 7 times: no rule allows it$/);
  assert.deepEqual(
    evil.locations[0]!.logicalLocations.map(({ fullyQualifiedName }) => fullyQualifiedName),
    ["build/test", "build/build"],
  );
  assert.deepEqual(evil.locations[0]!.physicalLocation, {
    artifactLocation: { uri: ".github/workflows/ci.yml", uriBaseId: "%SRCROOT%" },
    region: { startLine: 1 },
  });
  assert.match(results[2]!.message.text, /^\[2001:db8::1\]:443 /);
  assert.equal(new Set(results.map((each) => JSON.stringify(each.partialFingerprints))).size, 4);
});

test("what a process is called becomes no link, no placeholder and no hidden text", () => {
  const exe = "/tmp/[fix](https://evil.example) {0}\u202e\n";
  const connections = [
    jobRow({ verdict: "deny", name: "a.example", process: process({ exe, step: "s".repeat(500) }) }),
  ];
  const [result] = valid(sarifOf(jobReport({ connections }), null)).runs[0].results;
  assert.match(
    result!.message.text,
    /by \/tmp\/\[fix\] \(https:\/\/evil\.example\) \{\{0\}\}\\u\{202e\}\\u\{a\} was denied/,
  );
  assert.ok(result!.locations[0]!.logicalLocations[0]!.fullyQualifiedName.length < 100);
});

test("the largest file is below the 10 MB of gzip that GitHub takes", () => {
  const random = (bytes: number) => randomBytes(bytes).toString("base64url");
  const finding = () => ({
    ...{ time: "2026-01-01T00:00:00.000000Z", type: random(12), message: random(3_000), data: {} },
    process: process({ step: random(300) }),
  });
  const connections = Array.from({ length: 5_000 }, () =>
    jobRow({ verdict: "deny", name: random(180), process: process({ exe: `/${random(3_000)}`, step: random(300) }) }),
  );
  const detections = Array.from({ length: 500 }, finding);
  const report = jobReport({ connections, detections, degraded: Array.from({ length: 1_000 }, () => random(3_000)) });
  const { runs } = sarifOf(report, ".github/workflows/ci.yml") as Sarif;
  const size = gzipSync(`${JSON.stringify({ runs }, null, 1)}\n`).length;
  assert.ok(size > 1_000_000 && size < 10_000_000, `${size} bytes`);
  assert.equal(runs.length, 1);
  assert.ok(runs[0].tool.driver.rules.length <= 25_000);
  for (const { locations } of runs[0].results) assert.ok(locations.length <= 100);
});

test("more than anybody shows is counted, and the file stays valid", () => {
  const connections = Array.from({ length: 5_003 }, (_, i) => jobRow({ verdict: "deny", name: `h${i}.example` }));
  const { results, properties } = valid(sarifOf(jobReport({ connections }), null)).runs[0];
  assert.equal(results.length, 5_000);
  assert.equal(properties.left_out, 3);
});
