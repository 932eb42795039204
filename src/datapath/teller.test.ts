/**
 * What a thread has settled is told soon and in few messages, never to a main thread or record that is behind, and all of it: nothing is
 * dropped on the way, and who must not settle more is told so.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mostBehind, newProgress, post as behind, take } from "../audit/progress.ts";
import type { EventBody } from "../audit/event.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { Histogram } from "../metrics/histogram.ts";
import { mostUntaken, noStatistics, verdictBounds } from "./messages.ts";
import { batchSize } from "./outbox.ts";
import { Teller, tellMs } from "./teller.ts";

const loaded = loadPolicy("version: 1\nrules:\n  - { name: web, to: a.example }\n", "p.yaml", new Date(0));
assert.ok(!isPolicyProblems(loaded));
const { engine } = loaded;
const event: EventBody = { kind: "connection", verdict: "deny", enforced: true, reason: "default", stage: "connect" };

function told() {
  const taken = new Int32Array(new SharedArrayBuffer(4));
  const recorded = newProgress();
  const messages: number[] = [];
  const figures = () => ({ statistics: noStatistics(), verdictTimes: new Histogram(verdictBounds).counts() });
  const teller = new Teller({ post: ({ told: { bodies } }) => messages.push(bodies.lines), taken, recorded, figures });
  const settle = (count: number, now: number) => {
    for (let i = 0; i < count; i++) teller.settle(event, null, engine, now);
  };
  return { teller, taken, recorded, messages, settle };
}

test("little is told after a moment, in one message, and a batch at once", () => {
  const { teller, messages, settle } = told();
  settle(1, 1_000);
  settle(1, 1_000 + tellMs - 1);
  teller.tellDue(1_000 + tellMs - 1);
  assert.deepEqual([messages, teller.isEmpty], [[], false]);
  teller.tellDue(1_000 + tellMs);
  assert.deepEqual([messages, teller.isEmpty], [[2], true]);
  teller.tellDue(9_000);
  assert.equal(messages.length, 1, "nothing is no message");
  settle(batchSize, 10_000);
  teller.tellDue(10_000);
  assert.deepEqual(messages, [2, batchSize]);
});

test("a main thread that takes nothing is told no more than it may be behind, and the rest when it goes on", () => {
  const { teller, taken, messages, settle } = told();
  settle(batchSize * (mostUntaken + 3), 1_000);
  teller.tellDue(2_000);
  assert.equal(messages.length, mostUntaken);
  teller.tellDue(3_000);
  assert.equal(messages.length, mostUntaken);
  Atomics.add(taken, 0, 2);
  teller.tellDue(4_000);
  assert.equal(messages.length, mostUntaken + 2);
  // At the end, and before a policy is in force, all of it goes.
  teller.tellAll();
  assert.deepEqual(
    [messages.reduce((sum, count) => sum + count), teller.isEmpty],
    [batchSize * (mostUntaken + 3), true],
  );
});

test("a record that is behind is waited for, and nothing more is settled when too much is untold", () => {
  const { teller, recorded, messages, settle } = told();
  behind(recorded, mostBehind);
  settle(16_383, 1_000);
  teller.tellDue(2_000);
  assert.deepEqual([messages, teller.isBehind], [[], false]);
  settle(1, 2_000);
  assert.equal(teller.isBehind, true);
  take(recorded, mostBehind);
  teller.tellDue(3_000);
  assert.deepEqual([messages.length, teller.isBehind], [mostUntaken, false]);
});
