/** Promise: a policy that crossed threads in parts, of whatever size, is the same policy, and each of its sources one object. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compile } from "./compile.ts";
import type { Engine } from "./decision.ts";
import { IncomingPolicy } from "./incoming.ts";
import type { Policy, Source } from "./model.ts";
import { contentsOf, OutgoingPolicy, PolicyParts } from "./parts.ts";
import { dnsNames, flows, now, policies, sources } from "./policy.arbitrary.ts";

function crossed(policy: Policy, size: number): Policy {
  const parts = [...new OutgoingPolicy(policy, now, size)].map(({ text }) => contentsOf(text));
  const whole = new PolicyParts(parts[0]!.head!);
  for (const { parts: rules } of parts) {
    assert.ok(rules.reduce((sum, { targets }) => sum + targets.length, 0) <= size);
    whole.add(rules);
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

test("compiled a little at a time it decides as if compiled at once", () => {
  const flow = fc.tuple(flows, sources, dnsNames);
  fc.assert(
    fc.property(policies, fc.integer({ min: 1, max: 7 }), fc.array(flow, { minLength: 5 }), (policy, size, asked) => {
      const incoming = new IncomingPolicy();
      for (const part of structuredClone([...new OutgoingPolicy(policy, now, size)])) {
        assert.equal(incoming.isWhole, false);
        assert.equal(
          incoming.work(() => true),
          null,
        );
        incoming.add(part);
      }
      assert.equal(incoming.isWhole, true);
      let engine: Engine | null = null;
      let steps = 0;
      while (engine === null) engine = incoming.work(() => steps++ % 3 !== 0);
      assert.deepEqual([incoming.isWhole, incoming.work(() => true)], [false, null], "once");
      const atOnce = compile(policy, now);
      for (const [facts, source, name] of asked) {
        assert.deepEqual(engine.connect(facts), atOnce.connect(facts));
        assert.deepEqual(engine.name(facts), atOnce.name(facts));
        assert.deepEqual(engine.dns({ source, name }), atOnce.dns({ source, name }));
      }
    }),
    { numRuns: 100 },
  );
});

test("a part out of turn is refused; begun again from the first it is whole", () => {
  fc.assert(
    fc.property(policies, fc.nat(), fc.boolean(), (policy, drawn, again) => {
      const parts = [...new OutgoingPolicy(policy, now, 1)];
      fc.pre(parts.length > 2);
      const incoming = new IncomingPolicy();
      assert.throws(() => incoming.add(parts[1]!), TypeError);
      const left = 1 + (drawn % (parts.length - 2));
      for (const part of parts.slice(0, left)) incoming.add(part);
      // One left out; or, but for the first, which begins anew, one that was there already.
      const wrong = again && left > 1 ? left - 1 : left + 1;
      assert.throws(() => incoming.add(parts[wrong]!), TypeError);
      // Nor does it fall into step again: half of one and half of another would be neither.
      assert.throws(() => incoming.add(parts[Math.min(left + 1, parts.length - 1)]!), TypeError);
      assert.equal(incoming.isWhole, false);
      for (const part of parts) incoming.add(part);
      assert.equal(incoming.isWhole, true);
    }),
    { numRuns: 100 },
  );
});

test("half of one policy and half of another are never one, though their places fit", () => {
  fc.assert(
    fc.property(policies, policies, fc.boolean(), (one, other, sameHash) => {
      const [a, b] = [
        [...new OutgoingPolicy(one, now, 1)],
        [...new OutgoingPolicy({ ...other, hash: sameHash ? one.hash : "b" }, now + 1, 1)],
      ];
      fc.pre(a.length > 1 && b.length > 1);
      const incoming = new IncomingPolicy();
      incoming.add(a[0]!);
      incoming.add(b[0]!);
      assert.throws(() => incoming.add(a[1]!), TypeError);
      assert.throws(() => incoming.add(b[1]!), TypeError);
      for (const part of b) incoming.add(part);
      assert.equal(incoming.isWhole, true);
    }),
    { numRuns: 100 },
  );
});
