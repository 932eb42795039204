/** Other firewalls' policies under fuzz: a policy that loads comes out, the same each time, or problems at places in the file. */
import assert from "node:assert/strict";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { isPolicyProblems, readPolicy } from "../policy/load.ts";
import { foreignPolicies } from "./foreign.arbitrary.ts";
import { importPolicy } from "./import.ts";

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

fuzzTarget<"imported" | "refused">({
  name: "foreign-policy",
  grammar: [asBytes(foreignPolicies)],
  outcomes: { imported: true, refused: true },
  check: (bytes) => importOutcome(textOf(bytes)),
});
