/** Which DNS events count for detections and as what, and how an alert looks in the record. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { EventBody, EventProcess } from "../audit/event.ts";
import type { Reason } from "../policy/reason.ts";
import { Detections, judgedInDns } from "./detections.ts";

const query = (
  reason: Reason,
  verdict: NonNullable<EventBody["verdict"]>,
  more: Partial<EventBody> = {},
): EventBody => ({
  kind: "dns",
  verdict,
  reason,
  source: { ip: "2001:db8::7", port: 5353, group: null },
  destination: { name: "a.wild.example", name_from: "dns", protocol: "dns" },
  dns: { qtype: "A" },
  ...more,
});

test("a question counts as passed, denied or over budget; nothing is said about one that was not judged", () => {
  const outcome = (...args: Parameters<typeof query>) => judgedInDns(query(...args))?.outcome;
  assert.equal(outcome("rule", "allow"), "passed");
  assert.equal(outcome("rule", "deny"), "denied");
  assert.equal(outcome("default", "deny"), "denied");
  assert.equal(outcome("default", "would_deny"), "denied");
  assert.equal(outcome("invalid_name", "deny"), "denied");
  assert.equal(outcome("query_budget", "deny"), "over_budget");
  assert.equal(outcome("private_address", "deny"), "passed", "it was asked upstream");
  assert.equal(outcome("upstream_failed", "allow"), "passed");
  assert.equal(outcome("query_type", "would_deny"), "passed", "an allowed name");
  assert.equal(outcome("query_type", "deny", { dns: { qtype: "PTR" } }), "denied");
  assert.equal(outcome("over_limit", "deny"), undefined);
  assert.equal(outcome("query_malformed", "deny"), undefined);
});

test("the whole question counts, service labels too", () => {
  const event = query("rule", "allow", { data: { question: "_data._tcp.a.wild.example" } });
  assert.equal(judgedInDns(event)?.name, "_data._tcp.a.wild.example");
});

test("an alert is an event with its evidence, and so is what followed when its window closes", () => {
  const recorded: EventBody[] = [];
  const detections = new Detections({
    group: () => "runners",
    onMachine: () => false,
    record: (event) => void recorded.push(event),
  });
  for (let i = 0; i < 5; i++) detections.dns(query("query_budget", "deny"), 1_000_000 + i);
  detections.tick(Number.POSITIVE_INFINITY);
  const [alert, closing, ...others] = recorded;
  assert.deepEqual(others, []);
  assert.deepEqual(alert, {
    kind: "detection",
    source: { ip: "2001:db8::7", group: "runners" },
    destination: { name: "wild.example", name_from: "dns", protocol: "dns" },
    detection: {
      type: "name_budget",
      domain: "wild.example",
      sender: "2001:db8::/64",
      channels: ["dns"],
      names: 1,
      denied: 0,
      bytes: 0,
      approximate: false,
      per_minute: 1,
      examples: ["a.wild.example"],
      window_s: 3600,
    },
    message: "the DNS budget of names is spent: wild.example, from 2001:db8::7",
  });
  assert.equal(closing?.count, 4);
  assert.deepEqual([closing?.first, closing?.last], ["1970-01-01T00:16:40.001000Z", "1970-01-01T00:16:40.004000Z"]);
});

test("an alert about a machine's own questions names who asked", () => {
  const recorded: EventBody[] = [];
  const detections = new Detections({
    group: () => null,
    onMachine: () => true,
    record: (event) => void recorded.push(event),
  });
  const asker = (pid: number, step: string, exe: string): EventProcess => ({
    pid,
    exe,
    args: [],
    uid: 1001,
    user: null,
    ancestors: [],
    step,
    step_number: 1,
    step_by: "descent",
    action: null,
    container: null,
    runner: false,
    certain: true,
  });
  const ask = (i: number, process?: EventProcess) =>
    detections.dns(
      query("default", "deny", {
        destination: { name: `n${i}.wild.example`, name_from: "dns", protocol: "dns" },
        ...(process === undefined ? {} : { process }),
      }),
      1_000_000,
    );
  for (let i = 0; i < 99; i++) ask(i, asker(100 + i, "build", "/usr/bin/node"));
  ask(99, asker(300, "attack", "/usr/bin/dig"));
  const [alert, ...others] = recorded;
  assert.deepEqual(others, []);
  assert.equal(alert?.detection?.type, "denied_names");
  assert.equal(alert?.process?.step, "attack", "who set it off");
  assert.deepEqual(alert?.detection?.askers, [
    { pid: 300, exe: "/usr/bin/dig", step: "attack", container: null, runner: false },
    { pid: 198, exe: "/usr/bin/node", step: "build", container: null, runner: false },
  ]);
});
