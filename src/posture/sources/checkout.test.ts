/** Which repository a folder is, as its origin or GitHub's runner says: two checkouts are never one, and nobody guesses. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checkoutName, repositoryOfUrl } from "./checkout.ts";

test("addresses of git's, and what is none on a host", () => {
  for (const url of [
    "https://github.com/octo/api",
    "https://x-access-token:secret@github.com/octo/api.git",
    "https://github.com/octo/api/",
    "ssh://git@ghe.octo.example:2222/octo/api.git",
    "git@github.com:octo/api.git",
    "github.com:octo/api",
  ])
    assert.equal(repositoryOfUrl(url), "octo/api", url);
  for (const url of [
    "",
    "/srv/git/octo/api",
    "../octo/api",
    "file:///octo/api",
    "C:octo/api",
    "https://a.example/../api",
    "https://a.example/x/octo/api",
  ])
    assert.equal(repositoryOfUrl(url), null, url);
});

test("a checkout by its origin, a folder in it, the runner's workspace, and nobody's", (t) => {
  const at = mkdtempSync(join(tmpdir(), "sallyport-checkout-"));
  t.after(() => rmSync(at, { recursive: true }));
  for (const name of ["api/sub", "plain"]) mkdirSync(join(at, name), { recursive: true });
  const [api, plain, link] = [join(at, "api"), join(at, "plain"), join(at, "link")];
  symlinkSync(plain, link);
  const git = (...words: string[]) => execFileSync("git", ["-C", api, ...words], { stdio: "pipe" });
  git("init", "-q");
  assert.equal(checkoutName(api, {}), null);
  git("remote", "add", "origin", "git@github.com:octo/api.git");
  // The runner's repository is the workflow's own, and not what else is checked out below it.
  const runner = { GITHUB_REPOSITORY: "octo/ci", GITHUB_WORKSPACE: link };
  assert.equal(checkoutName(api, runner), "octo/api");
  assert.equal(checkoutName(join(api, "sub"), runner), "octo/api/sub");
  assert.equal(checkoutName(plain, runner), "octo/ci");
  assert.equal(checkoutName(at, runner), null);
  assert.equal(checkoutName(plain, {}), null);
});
