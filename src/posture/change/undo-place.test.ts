/**
 * The undo file's place, against git itself: in a repository where neither `git add` takes it along nor `git clean` away, also from a
 * linked worktree that is removed; outside of any where the command runs; never through a link, and never into what is not one's own.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { isAmongFiles, undoPlace } from "./undo-place.ts";

const made = "2030-12-31T12:00:00.000Z";
const name = "undo-20301231T120000Z.jsonl";
const who = ["-c", "user.name=x", "-c", "user.email=x@a.example", "-c", "commit.gpgsign=false"];

function folder(t: TestContext): string {
  const at = realpathSync(mkdtempSync(join(tmpdir(), "sallyport-place-")));
  t.after(() => rmSync(at, { recursive: true }));
  return at;
}

const git = (at: string, ...words: string[]) =>
  execFileSync("git", ["-C", at, ...who, ...words], { encoding: "utf8", stdio: "pipe" });

function repository(at: string): string {
  mkdirSync(join(at, "deep/er"), { recursive: true });
  git(at, "init", "-q");
  git(at, "commit", "-q", "--allow-empty", "-m", "x");
  return at;
}

test("in a repository: from any folder of it, and neither added nor cleaned away", (t) => {
  const at = repository(folder(t));
  const path = undoPlace([join(at, "deep/er"), tmpdir()], made);
  assert.equal(path, join(at, ".git/sallyport", name));
  assert.equal(isAmongFiles(join(at, "deep/er/undo.jsonl")), true);
  writeFileSync(path, "x");
  git(at, "add", "-A");
  git(at, "clean", "-fdxq");
  assert.deepEqual([git(at, "status", "--porcelain"), existsSync(path), isAmongFiles(path)], ["", true, false]);
  assert.equal(undoPlace([dirname(path)], made), path);
  assert.equal(isAmongFiles(join(at, "undo.jsonl")), true);
});

test("in a linked worktree: with the repository, so that it outlives the worktree", (t) => {
  const at = repository(join(folder(t), "main"));
  const tree = join(dirname(at), "tree");
  git(at, "worktree", "add", "-q", tree);
  const path = undoPlace([tree], made);
  assert.equal(path, join(at, ".git/sallyport", name));
  assert.equal(isAmongFiles(join(tree, "undo.jsonl")), true);
  writeFileSync(path, "x");
  git(at, "worktree", "remove", tree);
  assert.equal(existsSync(path), true);
});

test("the first folder that is in a repository decides; outside of any, the last is taken", (t) => {
  const [bare, at] = [folder(t), repository(folder(t))];
  assert.equal(undoPlace([bare, at], made), join(at, ".git/sallyport", name));
  assert.equal(undoPlace([at, bare], made), join(at, ".git/sallyport", name));
  assert.equal(undoPlace([bare], made), join(bare, `sallyport-${name}`));
  assert.equal(isAmongFiles(join(bare, "undo.jsonl")), false);
});

test("a repository above that others can write into gets no undo file, nor one of a group whose folder for it is not ours", (t) => {
  const isRoot = process.geteuid!() === 0;
  const above = folder(t);
  for (const name of [".git/objects", ".git/refs", ".git/sallyport", "a/b"])
    mkdirSync(join(above, name), { recursive: true });
  writeFileSync(join(above, ".git/HEAD"), "ref: refs/heads/main\n");
  const [git, own] = [join(above, ".git"), join(above, ".git/sallyport")];
  const refused = (why: RegExp) => {
    const said = { code: "FILE_UNWRITABLE", message: new RegExp(`${why.source}.*--undo-file`) };
    assert.throws(() => undoPlace([join(above, "a/b")], made), said);
  };
  chmodSync(git, 0o777);
  refused(/\.git can be written by others/);
  chmodSync(git, 0o2775);
  for (const mode of [0o777, 0o1777, 0o770]) {
    chmodSync(own, mode);
    refused(/sallyport can be written by others/);
  }
  chmodSync(own, 0o700);
  assert.equal(undoPlace([join(above, "a/b")], made), join(own, name));
  // To give something away takes root.
  for (const each of isRoot ? [git, own] : []) {
    chownSync(each, 12345, 12345);
    refused(/belongs to another user/);
    chownSync(each, 0, 0);
  }
  assert.deepEqual([readdirSync(join(above, "a/b")), readdirSync(own)], [[], []]);
});

test("a bare repository that a commit has is none: the file goes to the real one, and below it is among the files", (t) => {
  const at = repository(folder(t));
  for (const name of ["objects", "refs"]) {
    mkdirSync(join(at, "sub", name), { recursive: true });
    writeFileSync(join(at, "sub", name, "k"), "");
  }
  writeFileSync(join(at, "sub/HEAD"), "ref: refs/heads/main\n");
  git(at, "add", "sub");
  assert.equal(git(at, "ls-files").split("\n").length, 4);
  assert.equal(undoPlace([join(at, "sub/refs")], made), join(at, ".git/sallyport", name));
  assert.equal(isAmongFiles(join(at, "sub/undo.jsonl")), true);
});

test("what only looks like a repository is none; a link in its place is not followed; no right to write is said", (t) => {
  const [bare, elsewhere, at] = [folder(t), folder(t), repository(folder(t))];
  for (const text of ["gitdir: /nowhere\n", `gitdir: ${elsewhere}\n`, "gitdir:\n", "x".repeat(100_000)]) {
    writeFileSync(join(bare, ".git"), text);
    assert.equal(undoPlace([bare], made), join(bare, `sallyport-${name}`), text.slice(0, 20));
  }
  symlinkSync(elsewhere, join(at, ".git/sallyport"));
  assert.throws(() => undoPlace([at], made), { code: "FILE_UNWRITABLE" });
  rmSync(join(at, ".git/sallyport"));
  writeFileSync(join(at, ".git/sallyport"), "x");
  assert.throws(() => undoPlace([at], made), { code: "FILE_UNWRITABLE" });
  assert.deepEqual(readdirSync(elsewhere), []);
});
