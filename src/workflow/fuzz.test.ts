/**
 * Other firewalls' policies under fuzz: a policy that loads comes out, the same each time, or problems at places in the file. And
 * the same texts as workflows that our step is put into: what comes out is read, has it, and stays as it is the second time. Both
 * in one target, because one text is read by both.
 */
import assert from "node:assert/strict";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { isPolicyProblems, readPolicy } from "../policy/load.ts";
import { foreignPolicies } from "../translate/foreign.arbitrary.ts";
import { importPolicy } from "../translate/import.ts";
import { addStep } from "./add.ts";
import { checkWorkflow } from "./check.ts";
import { readLocalAction } from "./local-action.ts";
import { scope, wanted } from "./testing/wanted.ts";

const options = { sources: new Map([["one", ["10.0.0.0/8"]]]), anySource: false, job: null, web: false };

/** What an import comes to; it must not throw, and what it gives loads. */
function importOutcome(text: string): "imported" | "refused" {
  const imported = importPolicy(text, "fuzz", null, options);
  if (isPolicyProblems(imported)) {
    const lines = text.split("\n").length;
    assert.ok(imported.problems.length > 0);
    for (const { file, line, column, fix } of imported.problems)
      // A problem of what came out is ours.
      assert.ok(file === "fuzz" && line >= 1 && line <= lines + 1 && column >= 1 && fix !== "");
    return "refused";
  }
  assert.ok(!isPolicyProblems(readPolicy(imported.text, "out.yaml")), imported.text);
  assert.deepEqual(importPolicy(text, "fuzz", imported.format, options), imported);
  for (const { line, column } of imported.notes) assert.ok(line >= 1 && column >= 1);
  return "imported";
}

/** Adding must not throw; nothing is changed in silence, and nothing twice. */
function addHolds(text: string): void {
  const first = addStep("fuzz.yml", text, wanted, scope);
  const second = addStep("fuzz.yml", first.text, wanted, scope);
  assert.equal(second.text, first.text);
  assert.equal(first.diff === "", first.text === text);
  assert.equal(first.done.length === 0, first.text === text);
  readLocalAction("action.yml", text, scope);
  const findings = [...first.findings, ...checkWorkflow("fuzz.yml", text, scope, null)];
  for (const { line, column, fix } of findings) assert.ok(line >= 1 && column >= 1 && fix !== "");
}

fuzzTarget<"imported" | "refused">({
  name: "foreign-policy",
  grammar: [asBytes(foreignPolicies)],
  outcomes: { imported: true, refused: true },
  check: (bytes) => {
    addHolds(textOf(bytes));
    return importOutcome(textOf(bytes));
  },
});
