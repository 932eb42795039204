/** Promise: a policy that crossed threads in parts, of whatever size, is the same policy, and each of its sources one object. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Policy, Source } from "./model.ts";
import { partsOf, PolicyParts } from "./parts.ts";
import { policies } from "./policy.arbitrary.ts";

function crossed(policy: Policy, size: number): Policy {
  const { head, parts } = structuredClone(partsOf(policy, size));
  const whole = new PolicyParts(head);
  for (const each of parts) {
    assert.ok(each.reduce((sum, { targets }) => sum + targets.length, 0) <= size);
    whole.add(structuredClone(each));
  }
  return whole.policy();
}

function sourcesOf({ sources, rules, default: { enforceFor } }: Policy): Set<Source> {
  return new Set([...sources, ...rules.flatMap(({ from }) => from ?? []), ...enforceFor]);
}

test("any policy is the same afterwards", () => {
  fc.assert(
    fc.property(policies, fc.integer({ min: 1, max: 7 }), (policy, size) => {
      const again = crossed(policy, size);
      assert.deepEqual(again, structuredClone(policy));
      assert.equal(sourcesOf(again).size, sourcesOf(policy).size);
    }),
    { numRuns: 100 },
  );
});
