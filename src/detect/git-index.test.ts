/** The promise: the paths that git itself lists, for each version of the index; null for what is none. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathsInIndex } from "./git-index.ts";

describe("an index that git wrote", () => {
  let folder: string;
  const git = (...args: string[]) => execFileSync("git", ["-C", folder, ...args], { encoding: "utf8" });

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "sallyport-index-"));
    git("init", "-q");
    for (const path of ["a", "src/b.ts", "src/deep/er/c-with-a-longer-name.ts", "src/é ü.txt", "z"]) {
      mkdirSync(join(folder, path, ".."), { recursive: true });
      writeFileSync(join(folder, path), path);
    }
    git("add", ".");
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const version of [2, 3, 4]) {
    test(`version ${version} has the paths that git lists`, () => {
      git("update-index", "--index-version", String(version));
      // Version 3 is only written where something needs it.
      if (version === 3) git("add", "--intent-to-add", ".");
      const listed = git("ls-files", "-z").split("\0").filter(Boolean);
      assert.deepEqual(pathsInIndex(readFileSync(join(folder, ".git/index"))), listed);
    });
  }

  test("what is cut off is none", () => {
    const bytes = readFileSync(join(folder, ".git/index"));
    assert.equal(pathsInIndex(bytes.subarray(0, 100)), null);
    assert.equal(pathsInIndex(Buffer.from("DIRC")), null);
    assert.equal(pathsInIndex(Buffer.alloc(0)), null);
  });
});
