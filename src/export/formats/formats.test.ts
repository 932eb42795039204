/**
 * Promises: whatever is in an event, each format is one line that another reader takes apart into exactly what was put in: OCSF
 * by a JSON Schema of the part of OCSF 1.5.0 that is used (`test/schemas`), checked by Python's jsonschema. The others have files
 * of their own.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import type { EventBody } from "../../audit/event.ts";
import { incident } from "../../audit/recover.ts";
import { recovered } from "../../audit/spool-status.ts";
import { records } from "../testing/events.ts";
import { outgoing } from "../testing/record.ts";
import { asciiJson, lineOf } from "./format.ts";
import { ocsfOf } from "./ocsf.ts";
import { severityOf } from "./severity.ts";

const many = { numRuns: 400 };

test("what Sallyport says of itself is seen where it matters: a harmed record, lost enforcement, records that no sink has", () => {
  const of = (body: EventBody) => severityOf(outgoing(body).event);
  const retention = { after: {}, ends: [], missing: [] };
  assert.deepEqual(
    [
      incident("started", { pid: 1 }),
      incident("Retention deletes 2 segments, records 1 to 9.", { retention }),
      { kind: "policy", message: "in force" } as const,
    ].map(of),
    ["info", "info", "info"],
  );
  assert.deepEqual(
    [
      recovered(null, { lost: 5, first: 0, last: 1 }),
      incident("The record is broken: …", {}),
      incident("Retention deletes 2 segments, …", { retention, unread: ["siem"] }),
      { kind: "policy", message: "rejected" } as const,
    ].map(of),
    ["medium", "medium", "medium", "medium"],
  );
  assert.deepEqual(
    [true, false].map((fatal) => of(incident("failure", { fatal }))),
    ["high", "medium"],
  );
});

test("every format is one line, well-formed, and JSON where it says so", () => {
  fc.assert(
    fc.property(records, fc.constantFrom("native", "ocsf", "ecs", "cef"), (record, format) => {
      const line = lineOf(record, format);
      assert.doesNotMatch(line, /[\n\r]/);
      if (format === "cef") return assert.doesNotMatch(line, /[\p{Cc}\u2028\u2029]/u);
      const ascii = asciiJson(line);
      assert.match(ascii, /^[ -~]*$/);
      assert.deepEqual(JSON.parse(ascii), JSON.parse(line));
    }),
    many,
  );
});

const validator = `
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
check = jsonschema.Draft7Validator(schema, format_checker=jsonschema.draft7_format_checker)
for number, line in enumerate(sys.stdin, 1):
    errors = list(check.iter_errors(json.loads(line)))
    if errors:
        deep = jsonschema.exceptions.best_match(errors)
        print(number, list(deep.absolute_path), deep.message[:300])
`;

/** What is wrong with each event, by Python's jsonschema; empty where all are as the schema wants. */
function misfits(events: readonly object[]): string {
  const schema = new URL("../../../test/schemas/ocsf-1.5.0.json", import.meta.url).pathname;
  const input = events.map((event) => `${asciiJson(JSON.stringify(event))}\n`).join("");
  const { stdout, stderr, status } = spawnSync("/usr/bin/python3", ["-c", validator, schema], {
    input,
    encoding: "utf8",
  });
  assert.equal(status, 0, `${stderr}\n(the Debian package python3-jsonschema is needed)`);
  return stdout;
}

test("OCSF: any event is one of a class of 1.5.0 with the profile security_control, and the schema would say so otherwise", () => {
  const samples = fc.sample(records, 300);
  const events = samples.map(({ event }) => ocsfOf(event)) as Record<string, unknown>[];
  assert.equal(misfits(events), "");
  for (const event of events) {
    assert.equal(event["type_uid"], Number(event["class_uid"]) * 100 + Number(event["activity_id"]));
  }
  assert.deepEqual(new Set(events.map((event) => event["class_uid"])), new Set([0, 4001, 4003]));
  const [network] = events.filter((event) => event["class_uid"] === 4001);
  for (const broken of [
    { ...network, class_uid: 4002 },
    { ...network, disposition_id: 40 },
    { ...network, surprise: 1 },
    { ...network, metadata: { version: "1.5.0" } },
    { ...network, time: "2026-05-04" },
    { ...network, dst_endpoint: { port: 70_000, ip: "10.0.0.1" } },
  ]) {
    assert.notEqual(misfits([broken]), "");
  }
});

test("OCSF: what a denied, a watched and an ended connection and a DNS answer become", () => {
  const rule = { name: "web", tier: 2, mode: "enforce", policy: "9b" } as const;
  const destination = { name: "pypi.org", name_from: "sni", ip: "203.0.113.7", port: 443, protocol: "tls" } as const;
  const of = (body: Parameters<typeof outgoing>[0]) => ocsfOf(outgoing({ rule, destination, ...body }).event) as never;
  assert.partialDeepStrictEqual(
    of({ verdict: "deny", reason: "name_mismatch", source: { ip: "10.20.1.7", port: 9 } }),
    {
      class_uid: 4001,
      type_uid: 400105,
      action_id: 2,
      disposition_id: 2,
      severity_id: 3,
      status_detail: "name_mismatch",
      time: 1777885951204,
      firewall_rule: { name: "web" },
      src_endpoint: { ip: "10.20.1.7", port: 9 },
      dst_endpoint: { ip: "203.0.113.7", port: 443, hostname: "pypi.org", svc_name: "tls" },
      connection_info: { direction_id: 2, protocol_name: "tcp", protocol_num: 6, protocol_ver_id: 4 },
      metadata: { profiles: ["security_control"], sequence: 7, correlation_uid: "c1".repeat(32) },
    },
  );
  assert.partialDeepStrictEqual(of({ verdict: "would_deny" }), { type_uid: 400101, action_id: 1, disposition_id: 17 });
  const ended = of({
    kind: "flow_end",
    verdict: "allow",
    bytes: { up: 1, down: 2 },
    packets: { up: 3, down: 4 },
    duration_ms: 5,
  });
  assert.partialDeepStrictEqual(ended, {
    type_uid: 400102,
    duration: 5,
    traffic: { bytes_out: 1, bytes_in: 2, bytes: 3, packets_out: 3, packets_in: 4, packets: 7 },
  });
  const dns = { qtype: "A", rcode: "NXDOMAIN", server: "203.0.113.53:53" };
  const asked = { ...destination, name_from: "dns", port: 53, protocol: "dns" } as const;
  const answer: Record<string, unknown> = of({ kind: "dns", verdict: "deny", dns, destination: asked });
  assert.partialDeepStrictEqual(answer, { type_uid: 400306, rcode_id: 3, query: { hostname: "pypi.org", type: "A" } });
  assert.equal((answer["dst_endpoint"] as { hostname?: string }).hostname, undefined);
});
