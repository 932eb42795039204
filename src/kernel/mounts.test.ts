/** The promise of a mount over itself: nobody writes through it, and it is no weaker than what it covers. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { KernelError } from "./libc.ts";
import { makeReadOnly, mountOverItself, optionsOf, unmountLazily } from "./mounts.ts";

const folder = mkdtempSync(join(tmpdir(), "sallyport mounts-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const options = () => optionsOf(readFileSync("/proc/self/mountinfo", "utf8"), folder);

test("a folder with a space in its name is read only while it is mounted over itself, and writable afterwards", () => {
  execFileSync("mount", ["-t", "tmpfs", "-o", "nosuid,nodev,noexec", "tmpfs", folder]);
  try {
    mountOverItself(folder);
    makeReadOnly(folder);
    assert.throws(() => writeFileSync(join(folder, "file"), ""), /EROFS/);
    for (const option of ["ro", "nosuid", "nodev", "noexec"]) assert.ok(options().includes(option), options().join());
    unmountLazily(folder);
    writeFileSync(join(folder, "file"), "");
  } finally {
    unmountLazily(folder);
  }
  assert.deepEqual(options(), []);
});

test("what is not there is an error that says so", () => {
  const missing = join(folder, "missing");
  for (const call of [mountOverItself, makeReadOnly, unmountLazily]) assert.throws(() => call(missing), KernelError);
});
