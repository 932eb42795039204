/**
 * Promises: any event we write is a document of ECS 8.11 by Elastic's own list of fields (names, types, closed lists, which type
 * goes with which category); and a document that is not would be seen.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ecsProblems, ecsVersion } from "../../../test/support/ecs.ts";
import type { EventBody } from "../../audit/event.ts";
import { records } from "../testing/events.ts";
import { outgoing } from "../testing/record.ts";
import { ecsOf } from "./ecs.ts";

const problems = (document: object) => ecsProblems(document, "sallyport");
const denied: EventBody = {
  kind: "connection",
  verdict: "deny",
  enforced: true,
  reason: "no_name",
  source: { ip: "10.20.1.7", port: 5 },
  destination: { name: null, name_from: "none", ip: "203.0.113.7", port: 443, protocol: "tcp" },
  rule: { name: null, tier: 3, mode: "enforce", policy: "9b" },
};

test("any event is as Elastic's list of fields wants it", () => {
  assert.equal(ecsVersion, "8.11.0");
  fc.assert(
    fc.property(records, ({ event }) => assert.deepEqual(problems(ecsOf(event)), [])),
    { numRuns: 1_000 },
  );
});

test("what a denied connection becomes, and a detection, which allowed and denied nothing", () => {
  const document = ecsOf(outgoing(denied).event);
  assert.partialDeepStrictEqual(document, {
    "@timestamp": "2026-05-04T09:12:31.204518Z",
    ecs: { version: "8.11.0" },
    event: {
      kind: "event",
      category: ["network"],
      type: ["connection", "denied"],
      outcome: "failure",
      reason: "no_name",
    },
    source: { ip: "10.20.1.7", port: 5 },
    destination: { ip: "203.0.113.7", port: 443 },
    // Of a perimeter: `egress` is a host's word.
    network: { transport: "tcp", direction: "outbound", type: "ipv4" },
    rule: { name: "default", ruleset: "9b" },
    sallyport: { tier: 3, enforced: true },
  });
  const detection = ecsOf(outgoing({ kind: "detection", message: "x" }).event);
  assert.partialDeepStrictEqual(detection, { event: { kind: "alert", type: ["info"], outcome: "unknown" } });
});

test("a document that ECS does not know is seen", () => {
  const document = ecsOf(outgoing(denied).event) as { event: object; source: object; network: object };
  const { "@timestamp": time, ...timeless } = document as { "@timestamp"?: string };
  assert.ok(time !== undefined);
  const broken: [object, RegExp][] = [
    [{ ...document, surprise: 1 }, /^surprise: no field/],
    [{ ...document, source: { ...document.source, ip: "pypi.org" } }, /^source\.ip: not ip/],
    [{ ...document, source: { ...document.source, port: "443" } }, /^source\.port: not long/],
    [{ ...document, source: { ...document.source, bytes: 0.5 } }, /^source\.bytes: not long/],
    [{ ...document, network: { ...document.network, direction: "sideways" } }, /^network\.direction: sideways is none/],
    [{ ...document, event: { ...document.event, kind: "alarm" } }, /^event\.kind: alarm is none/],
    [{ ...document, event: { ...document.event, category: "network" } }, /^event\.category: not an array/],
    [{ ...document, event: { ...document.event, type: ["change"] } }, /^event\.type: change is not of network/],
    [{ ...document, message: ["x"] }, /^message: an array/],
    [{ ...document, "@timestamp": 1 }, /^@timestamp: not date/],
    [timeless, /^@timestamp: missing/],
  ];
  for (const [each, expected] of broken) assert.match(problems(each).join("\n"), expected);
});
