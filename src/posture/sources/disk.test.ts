/** A repository's folder as it is read: what is there and is not read is said, wherever a link leads or will lead. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readRepository } from "./disk.ts";

test("an action.yml that is a link, also to nothing yet, is unread and not absent", (t) => {
  const at = mkdtempSync(join(tmpdir(), "sallyport-disk-"));
  t.after(() => rmSync(at, { recursive: true }));
  for (const name of [".github/workflows", "a", "b"]) mkdirSync(join(at, name), { recursive: true });
  const steps = "[{ uses: ./a }, { uses: ./b }]";
  writeFileSync(join(at, ".github/workflows/ci.yml"), `on: push\njobs: { go: { runs-on: x, steps: ${steps} } }\n`);
  writeFileSync(join(at, "real.yml"), "runs: { using: composite, steps: [] }\n");
  for (const name of ["a", "b"]) writeFileSync(join(at, name, "action.yaml"), "runs: { using: node24, main: x }\n");
  symlinkSync("../real.yml", join(at, "a/action.yml"));
  symlinkSync("../made-by-a-step.yml", join(at, "b/action.yml"));
  const { unread, files } = readRepository(at, null).facts;
  assert.deepEqual(
    unread.map(({ path, why }) => `${path}: ${why}`),
    ["a/action.yml: it is no regular file", "b/action.yml: it is no regular file"],
  );
  assert.deepEqual([...files.keys()], ["a/action.yaml", "b/action.yaml"]);
});
