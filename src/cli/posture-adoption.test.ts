/**
 * `sallyport posture --adoption-issue` against a server made from GitHub's own description: the
 * issue is of a repository and not of where its checkout lies, and nobody reads of private repositories unasked.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { github, slice } from "../../test/support/github.ts";
import { postureHere } from "./testing/in-process.ts";
import type { Ended } from "./testing/in-process.ts";

const issues = "/repos/octo/sec/issues";
const workflow = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - run: make\n";

/** Answers of the issue's repository, public or private. */
function answers(visibility: "public" | "private"): Record<string, unknown> {
  const example = slice.operations["get /repos/{owner}/{repo}"]!.example as object;
  const repository = { ...example, full_name: "octo/sec", private: visibility === "private", visibility };
  return { "/repos/octo/sec": repository, [issues]: [] };
}

function checkout(t: TestContext, name: string | null): string {
  const at = mkdtempSync(join(tmpdir(), "sallyport-adoption-"));
  t.after(() => rmSync(at, { recursive: true }));
  mkdirSync(join(at, ".github/workflows"), { recursive: true });
  writeFileSync(join(at, ".github/workflows/ci.yml"), workflow);
  execFileSync("git", ["-C", at, "init", "-q"]);
  if (name !== null) execFileSync("git", ["-C", at, "remote", "add", "origin", `https://github.com/${name}.git`]);
  return at;
}

/** In the folder: `-C` stays `.`, as people leave it. */
function posture(at: string, url: string, ...words: string[]): Promise<Ended> {
  const env = { GITHUB_TOKEN: "t", GITHUB_API_URL: url, GITHUB_ACTIONS: "" };
  return postureHere(["--adoption-issue", "octo/sec", ...words], env, at);
}

test("two repositories' checkouts have an issue each, and two checkouts of one share it", async (t) => {
  const server = await github(t, { answers: answers("private") });
  for (const name of ["octo/api", "octo/web", "octo/api"]) {
    const { code, stderr } = await posture(checkout(t, name), server.url, "--apply");
    assert.equal(code, 0, stderr);
  }
  const list = server.answers.get(issues) as { title: string; body: string }[];
  assert.deepEqual(
    list.map(({ title }) => title.split(": ")[1]),
    ["octo/api", "octo/web"],
  );
  assert.match(list[0]!.body, /^- `octo\/api`: /m);
  const nobodys = await posture(checkout(t, null), server.url, "--apply");
  assert.equal(nobodys.code, 2);
  assert.match(nobodys.stderr, /which repository \. is.*git remote add origin/);
  assert.equal(list.length, 2);
});

test("what is not known to be public goes into a public repository only where somebody says so", async (t) => {
  const server = await github(t, { answers: answers("public") });
  const at = checkout(t, "octo/api");
  const shown = await posture(at, server.url);
  assert.equal(shown.code, 0);
  assert.match(shown.stderr, /everybody may read octo\/sec.*--public-issue/);
  const refused = await posture(at, server.url, "--apply");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /everybody may read octo\/sec[^]*ISSUE_REFUSED/);
  assert.deepEqual(server.sent, []);
  const told = await posture(at, server.url, "--apply", "--public-issue");
  assert.equal(told.code, 0, told.stderr);
  assert.equal(server.sent.length, 1);
});
