/**
 * Promises: whatever is in an event, each format is one line, and what matters is seen to. What each format's own readers say is
 * in a file for each.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EventBody } from "../../audit/event.ts";
import { incident } from "../../audit/recover.ts";
import { recovered } from "../../audit/spool-status.ts";
import { records } from "../testing/events.ts";
import { outgoing } from "../testing/record.ts";
import { asciiJson, lineOf } from "./format.ts";
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
