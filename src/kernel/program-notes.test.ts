/**
 * Promises about the notes of programs: what ran is known by its file when it is gone; a path that means another file there is no word
 * for one of ours.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ProgramNotes } from "./program-notes.ts";

const now = () => Number(process.hrtime.bigint());

describe("notes of programs", () => {
  let notes: ProgramNotes;
  let folder: string;
  const run = (command: readonly string[], options = {}): string | null => {
    const since = now();
    const { pid } = spawnSync(command[0]!, command.slice(1), options);
    return notes.of(pid, since, now())?.path ?? null;
  };
  const argumentsOf = (command: readonly string[], options = {}) => {
    const since = now();
    const { pid } = spawnSync(command[0]!, command.slice(1), options);
    const note = notes.of(pid, since, now());
    return note === null ? null : [note.arguments.split("\0"), note.isCut];
  };

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "sp-notes-"));
    notes = ProgramNotes.attach();
  });
  after(() => {
    notes?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("name what is gone, as /proc would have", () => {
    assert.equal(run(["/bin/true"]), realpathSync("/bin/true"));
    symlinkSync("/bin/true", join(folder, "link"));
    assert.equal(run([join(folder, "link")]), realpathSync("/bin/true"));
    writeFileSync(join(folder, "script"), "#!/bin/sh\ntrue\n", { mode: 0o755 });
    assert.equal(run([join(folder, "script")]), realpathSync("/bin/sh"));
  });

  test("name the last one of several", () => {
    assert.equal(run(["/bin/sh", "-c", "exec /bin/true"]), realpathSync("/bin/true"));
  });

  test("name none where the path means another file by now, or to whom it ran", () => {
    const own = join(folder, "own");
    copyFileSync("/bin/true", own);
    assert.equal(run([own]), own);
    const swap = `mount --bind ${own} /bin/false && exec /bin/false`;
    assert.equal(run(["unshare", "--mount", "sh", "-c", swap]), null);
    // Its path is relative to somewhere that is not known.
    assert.equal(run(["./own"], { cwd: folder }), null);
    const since = now();
    const { pid } = spawnSync(own);
    rmSync(own);
    assert.equal(notes.of(pid, since, now())?.path, null);
  });

  test("hold the arguments of what is gone, and say where they are cut", () => {
    assert.deepEqual(argumentsOf(["/bin/true", "-w", "a=1", "", "é"]), [
      ["/bin/true", "-w", "a=1", "", "é", ""],
      false,
    ]);
    assert.deepEqual(argumentsOf(["/bin/true", "x"], { env: {} }), [["/bin/true", "x", ""], false]);
    assert.deepEqual(argumentsOf(["/bin/sh", "-c", "exec /bin/true last one"]), [
      ["/bin/true", "last", "one", ""],
      false,
    ]);
    const [words, isCut] = argumentsOf(["/bin/true", "y".repeat(300), "z"]) as [string[], boolean];
    assert.deepEqual([words[0], isCut], ["/bin/true", true]);
    assert.match(words[1]!, /^y{200,240}$/);
    assert.deepEqual(argumentsOf(["/bin/true", "n".repeat(120_000)], { env: { A: "b".repeat(120_000) } })?.[1], true);
  });

  test("are of the time that is asked for", () => {
    const since = now();
    const { pid } = spawnSync("/bin/true");
    assert.equal(notes.of(pid, now(), now()), null);
    assert.equal(notes.of(pid, since, since), null);
    const other = ProgramNotes.at(notes.fd);
    assert.equal(other.of(pid, since, now())?.path, realpathSync("/bin/true"));
    other.close();
  });
});
