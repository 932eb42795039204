/** What is believed of a recorded contact, and what the policy in force has to say. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Event } from "../audit/event.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { connection, evidenceOf, gateway } from "./testing/events.ts";
import type { Input } from "./runs.ts";

const report: Input = { id: "seen.json", kind: "report", job: null };

function engineOf(rules: string) {
  const loaded = loadPolicy(`version: 1\nrules:\n${rules}\ndefault: { mode: monitor }\n`, "p.yaml", new Date(0));
  assert.ok(!isPolicyProblems(loaded), JSON.stringify(loaded));
  return loaded.engine;
}

const doubts = (events: readonly Event[], input: Input, engine: ReturnType<typeof engineOf> | null = null) =>
  evidenceOf(events, input, engine).sources.flatMap(({ passed }) => [...passed.values()].map(({ doubt }) => doubt));

describe("a report that somebody else may have written", () => {
  const forged = [
    connection({ name: null, ip: "198.51.100.9", verdict: "allow", reason: "rule", rule: "ours" }),
    connection({ name: "webhook.site", verdict: "allow", reason: "rule", rule: "ours" }),
    connection({ name: "meta.example", ip: "169.254.169.254", verdict: "allow", reason: "rule", rule: "ours" }),
  ];

  test("does not take away a doubt by saying that a rule allowed it; a record does", () => {
    assert.deepEqual(doubts(forged, report), ["no_name", "known_sink", "private_address"]);
    assert.deepEqual(doubts(forged, gateway), [null, null, null]);
  });

  test("is believed where the policy in force says the same", () => {
    const engine = engineOf("  - { name: ours, to: [webhook.site, 198.51.100.9/32] }");
    assert.deepEqual(doubts(forged, report, engine), [null, null, "private_address"]);
  });
});

test("what a deny rule of the policy in force matches is held back, also where that only watches, or came later", () => {
  const events = [
    connection({ name: "a.example" }),
    connection({ name: "b.example" }),
    connection({ name: "c.example" }),
  ];
  const engine = engineOf(
    "  - { name: no a, to: [a.example], action: deny }\n  - { name: try, to: [b.example], action: deny, mode: monitor }",
  );
  assert.deepEqual(doubts(events, gateway, engine), ["denied_by_policy", "denied_by_policy", null]);
});
