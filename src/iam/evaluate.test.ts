/**
 * The evaluator says what AWS's documentation says: random small policies, up to three layers that limit them, and requests, against a reference that follows
 * the documented steps one by one and knows nothing of how ours does it. And a grant is never invented: its witness is allowed by the
 * reference, and where some resource of the small world is allowed, one is found.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { readPolicyDocument } from "./document.ts";
import { decide } from "./evaluate.ts";
import { commonExample, exampleOf, globMatches, globOf } from "./glob.ts";
import { grantOf } from "./grant.ts";

const runs = 1_500;
const place = { file: "policy.json", pointer: "" };

interface RawStatement {
  Effect: "Allow" | "Deny";
  Action?: string[];
  NotAction?: string[];
  Resource?: string[];
  NotResource?: string[];
  Condition?: Record<string, Record<string, string[]>>;
}
type Raw = { Statement: RawStatement[] };
type Values = Record<string, string[]>;

const actions = ["s3:GetObject", "s3:PutObject", "iam:PassRole", "iam:GetRole"];
const resources = ["arn:aws:s3:::a/x", "arn:aws:s3:::a/y", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/ab"];
const actionPatterns = fc.constantFrom(
  ...actions,
  "*",
  "s3:*",
  "iam:*",
  "S3:Get*",
  "i?m:PassRole",
  "*:*Object",
  "??:*",
  "*t*t*",
);
const resourcePatterns = fc.constantFrom(
  ...resources,
  "*",
  "arn:aws:s3:::a/*",
  "arn:aws:iam::?:role/a",
  "arn:aws:iam::*:role/a*",
  "*/?",
  "arn:aws:s3:::*",
);
const values = ["one", "two", "One", "twofold"];
const valuePatterns = fc.constantFrom(...values, "t*", "?ne", "*");
const operators = fc.constantFrom(
  ...[
    "StringEquals",
    "StringNotEquals",
    "StringLike",
    "StringNotLike",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
  ].flatMap((base) => [
    base,
    `${base}IfExists`,
    `ForAllValues:${base}`,
    `ForAnyValue:${base}`,
    `ForAllValues:${base}IfExists`,
  ]),
);
const conditions = fc.option(
  fc.oneof(
    fc.record({
      operator: operators,
      key: fc.constantFrom("k:a", "K:B"),
      wanted: fc.array(valuePatterns, { minLength: 1, maxLength: 2 }),
    }),
    fc.record({
      operator: fc.constant("Null"),
      key: fc.constantFrom("k:a", "K:B"),
      wanted: fc.constantFrom("true", "false").map((each) => [each]),
    }),
  ),
  { nil: undefined },
);
const few = <T>(of: fc.Arbitrary<T>) => fc.array(of, { minLength: 1, maxLength: 2 });
const statements: fc.Arbitrary<RawStatement> = fc
  .record({
    effect: fc.constantFrom("Allow" as const, "Allow" as const, "Deny" as const),
    action: few(actionPatterns),
    notAction: fc.nat(4),
    resource: few(resourcePatterns),
    notResource: fc.nat(4),
    condition: conditions,
  })
  .map(({ effect, action, notAction, resource, notResource, condition }) => ({
    Effect: effect,
    ...(notAction === 0 ? { NotAction: action } : { Action: action }),
    ...(notResource === 0 ? { NotResource: resource } : { Resource: resource }),
    ...(condition === undefined ? {} : { Condition: { [condition.operator]: { [condition.key]: condition.wanted } } }),
  }));
const policies: fc.Arbitrary<Raw> = fc.array(statements, { maxLength: 3 }).map((Statement) => ({ Statement }));
const contexts: fc.Arbitrary<Values> = fc.record({
  "k:a": fc.array(fc.constantFrom(...values), { maxLength: 2 }),
  "k:b": fc.array(fc.constantFrom(...values), { maxLength: 2 }),
});

/** The reference: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html */
function reference(layers: Raw[][], action: string, resource: string, context: Values): boolean {
  const pattern = (text: string, flags = "") =>
    new RegExp(
      `^${text
        .replaceAll(/[.+^${}()|[\]\\]/g, "\\$&")
        .replaceAll("*", "[^]*")
        .replaceAll("?", "[^]")}$`,
      flags,
    );
  const matches = (statement: RawStatement): boolean => {
    if (statement.Action !== undefined && !statement.Action.some((each) => pattern(each, "i").test(action)))
      return false;
    if (statement.NotAction?.some((each) => pattern(each, "i").test(action))) return false;
    if (statement.Resource !== undefined && !statement.Resource.some((each) => pattern(each).test(resource)))
      return false;
    if (statement.NotResource?.some((each) => pattern(each).test(resource))) return false;
    for (const [operator, keys] of Object.entries(statement.Condition ?? {})) {
      for (const [key, wanted] of Object.entries(keys)) {
        const actual = context[key.toLowerCase()]!;
        if (operator === "Null") {
          if ((wanted[0] === "true") !== (actual.length === 0)) return false;
          continue;
        }
        const single = (value: string, want: string): boolean => {
          if (operator.includes("IgnoreCase")) return value.toUpperCase() === want.toUpperCase();
          return operator.includes("Like") ? pattern(want).test(value) : value === want;
        };
        const isNot = operator.includes("Not");
        const holds = (value: string): boolean =>
          isNot ? !wanted.some((want) => single(value, want)) : wanted.some((want) => single(value, want));
        let result: boolean;
        if (operator.endsWith("IfExists") && actual.length === 0) result = true;
        else if (operator.startsWith("ForAllValues:")) result = actual.every(holds);
        else if (operator.startsWith("ForAnyValue:")) result = actual.some(holds);
        else if (actual.length === 0) result = isNot;
        else result = isNot ? actual.every(holds) : actual.some(holds);
        if (!result) return false;
      }
    }
    return true;
  };
  if (
    layers.some((layer) =>
      layer.some((policy) => policy.Statement.some((each) => each.Effect === "Deny" && matches(each))),
    )
  )
    return false;
  return layers.every((layer) =>
    layer.some((policy) => policy.Statement.some((each) => each.Effect === "Allow" && matches(each))),
  );
}

const read = (raw: Raw) => readPolicyDocument("policy", raw, place);
/** A principal's own, and what limits it: boundary, control policies, a session's policy. Each is a layer that must allow. */
const layersOf = (own: Raw[], limits: Raw[][]) => [own, ...limits];
const limits = fc.array(fc.array(policies, { minLength: 1, maxLength: 2 }), { maxLength: 3 });

describe("the evaluator", () => {
  test("decides as the documented steps do, for every request of a small world", () => {
    let allowed = 0;
    fc.assert(
      fc.property(fc.array(policies, { minLength: 1, maxLength: 2 }), limits, contexts, (own, limiting, context) => {
        const raw = layersOf(own, limiting);
        const layers = raw.map((layer) => layer.map(read));
        const known = new Map(Object.entries(context));
        for (const action of actions) {
          for (const resource of resources) {
            const expected = reference(raw, action, resource, context);
            if (expected) allowed++;
            assert.equal(decide(layers, { action, resource, context: known }), expected ? "yes" : "no");
          }
        }
      }),
      { numRuns: runs },
    );
    assert.ok(allowed > runs / 2, `only ${allowed} requests were allowed at all`);
  });

  test("says maybe only where a key is not known, and then both answers are possible or the rest decides", () => {
    fc.assert(
      fc.property(
        fc.array(policies, { minLength: 1, maxLength: 2 }),
        fc.array(contexts, { minLength: 4, maxLength: 8 }),
        (own, worlds) => {
          const layers = [own.map(read)];
          for (const action of actions) {
            const [resource] = resources as [string];
            const answer = decide(layers, { action, resource, context: new Map() });
            const real = worlds.map((context) => reference([own], action, resource, context));
            if (answer === "yes") assert.ok(real.every(Boolean));
            if (answer === "no") assert.ok(!real.some(Boolean));
          }
        },
      ),
      { numRuns: runs },
    );
  });

  test("never invents a grant, and finds one where the small world has one", () => {
    let found = 0;
    fc.assert(
      fc.property(policies, limits, contexts, (own, limiting, context) => {
        const raw = layersOf([own], limiting);
        const layers = raw.map((layer) => layer.map(read));
        for (const action of actions) {
          const grant = grantOf(layers, action, new Map(Object.entries(context)));
          if (grant !== null) {
            found++;
            assert.equal(grant.truth, "yes");
            assert.ok(reference(raw, action, grant.witness, context), `${action} on ${grant.witness}`);
          } else {
            // Resources that a pattern names literally, as a policy would: these must be found.
            const literal = raw
              .flat()
              .flatMap((policy) =>
                policy.Statement.flatMap((each) => [...(each.Resource ?? []), ...(each.NotResource ?? [])]),
              );
            for (const resource of resources)
              if (literal.includes(resource))
                assert.ok(!reference(raw, action, resource, context), `${action} on ${resource} was missed`);
          }
        }
      }),
      { numRuns: runs },
    );
    assert.ok(found > runs / 4);
  });
});

describe("patterns", () => {
  const texts = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 6 });
  test("have an example that they match, and a common one that both do", () => {
    let common = 0;
    fc.assert(
      fc.property(texts, texts, (a, b) => {
        const [x, y] = [globOf(a), globOf(b)];
        assert.equal(globMatches(x, exampleOf(x, "ab")), "yes");
        const text = commonExample(x, y, "ab");
        if (text !== null) {
          common++;
          assert.ok(globMatches(x, text) === "yes" && globMatches(y, text) === "yes", `${a} and ${b}: ${text}`);
        } else assert.ok(!/^[ab]*$/.test(a) || globMatches(y, a) === "no", `${a} is matched by ${b}`);
      }),
      { numRuns: runs * 4 },
    );
    assert.ok(common > runs);
  });

  test("with a policy variable match perhaps, and an escaped wildcard is a character", () => {
    assert.equal(globMatches(globOf("arn:aws:s3:::home/${aws:username}/*"), "arn:aws:s3:::home/ann/x"), "maybe");
    assert.equal(globMatches(globOf("arn:aws:s3:::home/${aws:username}/*"), "arn:aws:s3:::etc/x"), "no");
    assert.equal(globMatches(globOf("a${*}b"), "a*b"), "yes");
    assert.equal(globMatches(globOf("a${*}b"), "axb"), "no");
  });
});
