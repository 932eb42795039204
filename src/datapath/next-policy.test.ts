/** A policy that a thread takes in between its packets is in force when it is confirmed, and no other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { OutgoingPolicy } from "../policy/parts.ts";
import { NextPolicy } from "./next-policy.ts";

function partsOf(word: string) {
  const rules = Array.from({ length: 500 }, (_, i) => `  - { name: r${i}, to: ${word}${i}.example }\n`);
  const loaded = loadPolicy(`version: 1\nrules:\n${rules.join("")}`, "p.yaml", new Date(0));
  assert.ok(!isPolicyProblems(loaded));
  return { hash: loaded.engine.hash, parts: [...new OutgoingPolicy(loaded.policy, 0)] };
}

test("all parts but the last are confirmed as they come, the last when it is compiled", () => {
  const { hash, parts } = partsOf("a");
  const next = new NextPolicy();
  const confirmed = parts.map((part, i) => next.take(part, i));
  assert.deepEqual(confirmed, [...parts.slice(1).map(() => true), false]);
  let ready = null;
  let turns = 0;
  for (; ready === null; turns++) {
    assert.equal(next.isWaiting, true);
    ready = next.work();
  }
  assert.deepEqual([ready.engine.hash, ready.sequence], [hash, parts.length - 1]);
  assert.deepEqual([next.isWaiting, next.work()], [false, null]);
});

test("a policy that comes before the one before it is in force is an error: nobody would hear of that one", () => {
  const next = new NextPolicy();
  for (const [i, part] of partsOf("a").parts.entries()) next.take(part, i);
  assert.throws(() => next.take(partsOf("b").parts[0]!, 9), TypeError);
});
