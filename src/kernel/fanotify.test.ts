/** The promise: who writes a file in a watched folder is told, by writing or by a rename, and nothing of other folders. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { FolderWatch } from "./fanotify.ts";

describe("a watched folder", () => {
  let watch: FolderWatch;
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "sallyport-watch-"));
    mkdirSync(join(folder, "other"));
    symlinkSync(join(folder, "other"), join(folder, "link"));
    watch = new FolderWatch();
    assert.ok(watch.add(folder));
  });
  after(() => {
    watch?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("tells writers with their process", () => {
    const { pid } = spawnSync("sh", ["-c", `echo a > ${folder}/x; echo b > ${folder}/other/y; : < ${folder}/x`]);
    assert.deepEqual(watch.take(), [{ pid, folder, name: "x" }]);
  });

  test("tells what a rename puts in place", () => {
    const { pid } = spawnSync("mv", [join(folder, "other/y"), join(folder, "x")]);
    assert.deepEqual(watch.take(), [{ pid, folder, name: "x" }]);
  });

  test("does not follow a link, and says what is no folder", () => {
    assert.equal(watch.add(join(folder, "link")), false);
    assert.equal(watch.add(join(folder, "x")), false);
    assert.equal(watch.add(join(folder, "none")), false);
  });
});
