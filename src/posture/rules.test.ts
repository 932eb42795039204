/**
 * Every rule of the runner policy has checks, and every check says what it is there for and is quiet where that is not: no rule that
 * nothing looks at, no check that nothing makes. `docs/posture-rules.md` is made of the same tables.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { catalogue, frameworks, ruleIds } from "./catalogue.ts";
import type { Rule } from "./catalogue.ts";
import { allChecks, rowOf } from "./check-catalogue.ts";
import type { Finding } from "./finding.ts";
import { allCases } from "./testing/all-cases.ts";

const named = ({ rule, check }: { rule: string; check: string }) => `${rule} ${check}`;

describe("the catalogue", () => {
  test("has RG-01 to RG-24, each with a check that can fail", () => {
    const ids = Array.from({ length: 24 }, (_, i) => `RG-${String(i + 1).padStart(2, "0")}`);
    assert.deepEqual(ruleIds, ids);
    for (const rule of ruleIds)
      assert.ok(
        allChecks.some((each) => each.rule === rule && each.worst === "fail"),
        rule,
      );
  });

  test("says for each why, how to fix, and which controls, by names that the frameworks use", () => {
    const forms: Record<keyof typeof frameworks, RegExp> = {
      "nist-800-53": /^[A-Z]{2}-\d+(?:\(\d+\))?$/,
      ssdf: /^(?:PO|PS|PW|RV)\.\d\.\d$/,
      soc2: /^CC\d\.\d$/,
      "pci-dss": /^\d+\.\d+\.\d+(?:\.\d+)?$/,
      hipaa: /^164\.3\d\d\([a-e]\)(?:\(\d\))?/,
      cis: /^\d\.\d\.\d$/,
      slsa: /^Build L[123]: .*one part/,
    };
    for (const id of ruleIds) {
      const { why, fix, controls, incident }: Rule = catalogue[id];
      assert.ok(why.length > 40 && fix.length > 20 && incident !== "", id);
      assert.ok((controls["nist-800-53"] ?? []).length > 0, id);
      for (const [framework, list] of Object.entries(controls))
        for (const each of list as string[]) assert.match(each, forms[framework as keyof typeof forms], id);
    }
    // An egress filter is no requirement of SLSA's: only one level is named, once, as a part of it.
    assert.deepEqual(
      ruleIds.filter((id) => "slsa" in catalogue[id].controls),
      ["RG-01"],
    );
  });

  test("has one case for each check, and none for a check that is not there", () => {
    assert.deepEqual(allCases.map(named).toSorted(), allChecks.map(named).toSorted());
  });
});

for (const { rule, check, worst } of allChecks) {
  describe(`${rule} ${check}`, () => {
    const { fires, quiet } = allCases.find((each) => each.rule === rule && each.check === check)!;
    const said = (found: readonly Finding[]) =>
      found.filter((each) => each.rule === rule && rowOf(each.check) === check && each.status === worst);
    test(`${worst === "pass" ? "holds" : worst === "fail" ? "fires" : "asks"}: ${fires.text}`, () => {
      const found = said(fires.make());
      assert.ok(found.length > 0);
      for (const { seen, subject, fix, where, why, id } of found) {
        assert.ok(seen !== "" && subject !== "" && why !== "" && (fix === "") === (worst === "pass"), seen);
        assert.ok(where.kind === "api" ? where.endpoint.startsWith("GET ") : where.path !== "", seen);
        assert.match(id, /^RG-\d\d-[0-9a-f]{12}$/);
      }
    });
    test(`is quiet: ${quiet.text}`, () => {
      const found = quiet.make();
      assert.deepEqual(said(found), []);
      // Quiet, and not asleep: something of the rule was looked at.
      assert.ok(
        found.some((each) => each.rule === rule),
        "nothing was looked at",
      );
    });
  });
}
