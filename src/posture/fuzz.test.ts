/**
 * Other firewalls' policies under fuzz: a policy that loads comes out, the same each time, or problems at places in the file. And
 * the same texts as workflows that our step is put into: what comes out is read, has it, and stays as it is the second time. And
 * as everything that the posture reads, a cloud's answers and plans among it: findings at places in the file, each id once in its
 * rule, and nothing thrown. And as what --fix edits and what --undo reads: proven or left, refused or what a fix can have done. All
 * in one target, because one text is read by all.
 */
import assert from "node:assert/strict";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { isPolicyProblems, readPolicy } from "../policy/load.ts";
import { cloudTexts } from "../network/cloud.arbitrary.ts";
import { foreignPolicies } from "../translate/foreign.arbitrary.ts";
import { importPolicy } from "../translate/import.ts";
import { addStep } from "../workflow/add.ts";
import { checkWorkflow } from "../workflow/check.ts";
import { readSource } from "../workflow/source.ts";
import { readLocalAction } from "../workflow/local-action.ts";
import { parseAccepted } from "./accepted.ts";
import { adoptionOf } from "./adoption/adoption.ts";
import { adoptionReport, mostOfIssue } from "./adoption/markdown.ts";
import { checkEvidence } from "./checks/assurance.ts";
import { editLines } from "./fix/lines.ts";
import { parseUndo, undoStart } from "./fix/undo-file.ts";
import { reportOf } from "./report/report.ts";
import { textValues } from "./workflows/expression.ts";
import { cloudHolds } from "./testing/cloud.ts";
import { githubValidator } from "./sources/parser-schema.ts";
import { check, now, repository, validate } from "./testing/repository.ts";
import { scope, wanted } from "../workflow/testing/wanted.ts";

const reportFrame = { version: "0.0.0", now, target: "fuzz", sources: [], accepted: new Map(), notes: [] };
const wholly = githubValidator(true);
const options = { sources: new Map([["one", ["10.0.0.0/8"]]]), anySource: false, job: null, web: false };

/** What an import comes to; it must not throw, and what it gives loads. */
function importOutcome(text: string): "imported" | "refused" {
  const imported = importPolicy(text, "fuzz", null, options);
  if (isPolicyProblems(imported)) {
    // Two more than the text has: the manifest's own, and the end behind it.
    const lines = text.split("\n").length + 2;
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

/** What calls a workflow here and one elsewhere, and uses an action. */
function callerOf(elsewhere: string): string {
  const uses = "x: { runs-on: y, steps: [{ uses: ./tool }] }";
  return `on: pull_request\njobs:\n  a: { uses: ./.github/workflows/fuzz.yml, with: { a: b } }\n  b: { uses: ${elsewhere} }\n  ${uses}\n`;
}

/** GitHub's parser says the same, with plain steps passed over and without. */
function refusalsHold(text: string): void {
  const source = readSource("fuzz.yml", text, false);
  if (!("code" in source)) assert.deepEqual(validate(source), wholly(source));
}

/** The text as a workflow, called and calling, and as each other file that is read. */
function postureHolds(text: string): void {
  const others = [
    ".github/egress-firewall.yaml",
    ".github/sallyport.yaml",
    ".github/workflows/actions.lock",
    "CODEOWNERS",
    "sallyport.config.yaml",
  ];
  const elsewhere = "o/r/.github/workflows/fuzz.yml@v1";
  const facts = repository(
    { "fuzz.yml": text, "caller.yml": callerOf(elsewhere) },
    {
      files: new Map([...others, "tool/action.yml"].map((path) => [path, text])),
      called: [{ path: elsewhere, text }],
      infrastructure: [
        { path: "fuzz.tf", text },
        { path: "fuzz.yaml", text: `${text}\nkind: NetworkPolicy\n` },
      ],
    },
  );
  try {
    assert.ok(parseAccepted(text, "fuzz").every(({ line }) => line >= 1));
  } catch (error) {
    assert.equal((error as { code?: string }).code, "ACCEPTED_INVALID");
  }
  const findings = [...check(facts), ...checkEvidence([{ path: "fuzz.json", text }], { now })];
  assert.ok(textValues(`\${{ ${text} }}`, () => null).length > 0);
  // Two more than the text has: the manifest's own, and the end behind it.
  const lines = text.split("\n").length + 2;
  for (const { where, seen, fix, status, id, rule } of findings) {
    assert.ok(where.kind === "file");
    const most = where.path.endsWith("/caller.yml") ? 10 : lines;
    assert.ok((where.line ?? 1) >= 1 && (where.line ?? 1) <= most, JSON.stringify(where));
    assert.ok((where.column ?? 1) >= 1 && (status === "pass") === (fix === "") && id.startsWith(rule));
    assert.doesNotMatch(seen, /[\p{Cc}\u2028\u2029]/u);
  }
  assert.ok(reportOf({ ...reportFrame, findings }).findings.length > 0);
}

/** Small edits change something or nothing, and not twice; an undo file is refused, or says what it says when written again. */
function fixHolds(text: string): void {
  const some = {
    permissions: true,
    pins: new Map<string, string>(),
    strict: new Set(["a", "b"]),
    own: "sallyport/sallyport",
  };
  const first = editLines("fuzz.yml", text, some);
  assert.equal(first.diff === "", first.text === text);
  const second = editLines("fuzz.yml", first.text, { ...some, permissions: false });
  assert.equal(second.text, first.text);
  const lines = `{"schema":"sallyport.posture-undo/1","version":"0","made":"x","folder":null,"api":null}\n${text}\n`;
  for (const each of [text, lines]) {
    try {
      const { changes, progress, ...about } = parseUndo(each, "fuzz");
      assert.deepEqual(parseUndo(undoStart(about, changes), "fuzz").changes, changes);
      assert.ok([...progress.keys()].every((number) => number < changes.length));
    } catch (error) {
      assert.equal((error as { code?: string }).code, "UNDO_INVALID");
    }
  }
  const facts = repository({ "fuzz.yml": text }, { files: new Map([[".github/egress-firewall.yaml", text]]) });
  const { body } = adoptionReport([adoptionOf(text, facts, [])], [text], [text], "0");
  assert.ok(Buffer.byteLength(body) <= mostOfIssue);
}

fuzzTarget<"imported" | "refused">({
  name: "foreign-policy",
  grammar: [asBytes(foreignPolicies), asBytes(cloudTexts)],
  outcomes: { imported: true, refused: true },
  check: (bytes) => {
    addHolds(textOf(bytes));
    postureHolds(textOf(bytes));
    refusalsHold(textOf(bytes));
    cloudHolds(bytes);
    fixHolds(textOf(bytes));
    return importOutcome(textOf(bytes));
  },
});
