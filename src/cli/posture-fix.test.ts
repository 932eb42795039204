/**
 * `sallyport posture --fix` and `--undo` as people meet them, in real repositories and against a server made from GitHub's own
 * description: a plan that git applies, nothing changed without --apply, all of it taken back, and every way in which that can go
 * wrong said with an exit code. The way there and back is by the real launcher, the rest by the command alone. Plans word for word
 * are in `golden/posture-fix/`.
 */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, test, type TestContext } from "node:test";
import { github, Odd, slice } from "../../test/support/github.ts";
import { goldenTests } from "../../test/support/golden.ts";
import { plainEnv, postureHere } from "./testing/in-process.ts";
import type { Ended } from "./testing/in-process.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const sha = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
const uses = ["--uses", `sallyport/sallyport@${sha}`, "--version-comment", "v1"];
const crlf = "on: push\r\njobs:\r\n  build:\r\n    runs-on: ubuntu-latest\r\n    steps:\r\n      - run: make\r\n";

function repository(t: TestContext, files: Record<string, string>): string {
  const at = mkdtempSync(join(tmpdir(), "sallyport-fix-"));
  t.after(() => rmSync(at, { recursive: true }));
  mkdirSync(join(at, ".github/workflows"), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(at, ".github/workflows", name), text);
  execFileSync("git", ["-C", at, "init", "-q"]);
  return at;
}

const textOf = (at: string, name: string) => readFileSync(join(at, ".github/workflows", name), "utf8");
const undoFolder = ".git/sallyport";
const undoFiles = (at: string) =>
  existsSync(join(at, undoFolder)) ? readdirSync(join(at, undoFolder)).map((name) => join(at, undoFolder, name)) : [];

const posture = (at: string, words: readonly string[], env: Record<string, string> = {}) => postureHere(words, env, at);

/** By the real launcher, without a token of the host's. */
function launched(at: string, words: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const clean = { ...process.env, ...plainEnv, ...env };
  return new Promise((resolve) => {
    execFile(`${root}sallyport`, ["posture", ...words], { cwd: at, env: clean }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

describe("plans", () => {
  goldenTests(new URL("golden/posture-fix/", import.meta.url), async ({ words, inputs: [input] }, t) => {
    const at = repository(t, { "ci.yml": input!.slice(input!.indexOf("\n") + 1) });
    const { stdout, stderr } = await posture(at, ["--fix", ...words]);
    assert.equal(stderr, "");
    return stdout.trimEnd();
  });
});

describe("a folder", () => {
  test("nothing without --apply; what --apply does is what git makes of the plan; all of it can be taken back", async (t) => {
    const files = { "ci.yml": crlf, "b.yaml": crlf.replaceAll("\r", ""), "readme.md": "x" };
    const [shown, fixed] = [repository(t, files), repository(t, files)];
    const plan = await launched(shown, ["--fix", "--json", ...uses]);
    assert.deepEqual([plan.code, plan.stderr, textOf(shown, "ci.yml"), undoFiles(shown)], [0, "", crlf, []]);
    const { files: planned } = JSON.parse(plan.stdout) as { files: { diff: string }[] };
    const input = planned.map(({ diff }) => diff).join("");
    execFileSync("git", ["-C", shown, "apply", "--whitespace=nowarn", "-"], { input });

    const done = await launched(fixed, ["--fix", "--apply", ...uses], { GITHUB_TOKEN: "not-to-be-written" });
    assert.deepEqual([done.code, done.stderr], [0, ""]);
    for (const name of Object.keys(files)) assert.equal(textOf(fixed, name), textOf(shown, name), name);
    assert.match(
      textOf(fixed, "ci.yml"),
      /permissions:\r\n {2}contents: read\r\njobs:\r\n[^]*- uses: sallyport\/sallyport@\w{40} # v1\r\n/,
    );
    const [undo] = undoFiles(fixed);
    assert.ok(done.stdout.endsWith(`\nTo take it back: --undo ${undo!}\n`), done.stdout);
    assert.doesNotMatch(
      execFileSync("git", ["-C", fixed, "status", "--porcelain", "-uall"], { encoding: "utf8" }),
      /undo/,
    );
    assert.equal(statSync(undo!).mode & 0o7777, 0o600);
    assert.ok(!readFileSync(undo!, "utf8").includes("not-to-be-written"));

    const again = await posture(fixed, ["--fix", "--apply", ...uses]);
    assert.deepEqual([again.code, undoFiles(fixed).length], [0, 1]);
    assert.match(again.stdout, /Plan: 0 files, 0 settings.*\nNothing is to be changed\.\n$/);

    const dry = await posture(fixed, ["--undo", undo!]);
    assert.match(dry.stdout, /would take back \.github\/workflows\/ci\.yml\n.*\nNothing was changed/);
    assert.notEqual(textOf(fixed, "ci.yml"), crlf);
    writeFileSync(join(fixed, ".github/workflows/b.yaml"), "# somebody's own\n");
    const back = await launched(fixed, ["--undo", undo!, "--apply"]);
    assert.deepEqual([back.code, textOf(fixed, "ci.yml"), textOf(fixed, "b.yaml")], [1, crlf, "# somebody's own\n"]);
    assert.match(back.stdout, /^done {11}\.github\/workflows\/ci\.yml$/m);
    assert.match(back.stdout, /^NOT DONE {7}\.github\/workflows\/b\.yaml: what is there is neither/m);
    assert.match(back.stderr, /1 of 2 changes were not made\.[^]*FIX_PARTIAL/);
    assert.doesNotMatch((await posture(fixed, ["--undo", undo!])).stdout, /ci\.yml/);
  });

  test("an undo file of another folder, or that is none, changes nothing", async (t) => {
    const [one, other] = [repository(t, { "ci.yml": crlf }), repository(t, { "ci.yml": crlf })];
    const made = await posture(one, ["--fix", "--apply", "--json", "--undo-file", "back.jsonl", ...uses]);
    const said = JSON.parse(made.stdout) as { undo_file: string; undo_note: string | null };
    assert.equal(said.undo_file, realpathSync(join(one, "back.jsonl")));
    assert.match(said.undo_note!, /among the repository's files/);
    const third = await posture(repository(t, { "ci.yml": crlf }), ["--fix", "--apply", "--json", ...uses]);
    const usual = JSON.parse(third.stdout) as typeof said;
    assert.match(usual.undo_file, /^\/.*\/\.git\/sallyport\/undo-\d{8}T\d{6}Z\.jsonl$/);
    assert.equal(usual.undo_note, null);
    const text = textOf(one, "ci.yml");
    writeFileSync(join(other, ".github/workflows/ci.yml"), text);
    for (const words of [
      ["--undo", join(one, "back.jsonl"), "--apply"],
      ["--undo", join(one, ".github/workflows/ci.yml"), "--apply"],
    ]) {
      const { code, stderr } = await posture(other, words);
      assert.deepEqual([code, /UNDO_INVALID/.test(stderr), textOf(other, "ci.yml")], [2, true, text], words[1]!);
    }
  });

  test("where the undo file cannot be made, nothing is changed", async (t) => {
    const at = repository(t, { "ci.yml": crlf });
    writeFileSync(join(at, "there"), "x");
    const { code, stderr } = await posture(at, ["--fix", "--apply", "--undo-file", "there", ...uses]);
    assert.deepEqual([code, /FILE_UNWRITABLE/.test(stderr), textOf(at, "ci.yml")], [2, true, crlf]);
  });

  test("a workflows folder that is a link leads nowhere", async (t) => {
    const [at, outside] = [repository(t, {}), repository(t, { "ci.yml": crlf })];
    rmSync(join(at, ".github"), { recursive: true });
    symlinkSync(join(outside, ".github"), join(at, ".github"));
    const { stdout } = await posture(at, ["--fix", "--apply", ...uses]);
    assert.match(stdout, /Plan: 0 files/);
    assert.equal(textOf(outside, "ci.yml"), crlf);
  });

  test("names that fit nothing are said, and those that fit are not", async (t) => {
    const at = repository(t, { "ci.yml": crlf.replace("run: make", "uses: o/x@v1") });
    const pins = ["--pin", `o/x@v1=${sha}`, "--pin", `o/y@v1=${sha}`];
    const { code, stderr } = await posture(at, ["--fix", ...pins]);
    assert.deepEqual([code, stderr], [0, "sallyport: --pin o/y@v1 fits nothing that is to be pinned\n"]);
    const nobody = await posture(at, ["--fix", "--select-group", "big"]);
    assert.equal(nobody.code, 2);
    assert.match(nobody.stderr, /--select-group "big": .*: no organisation was looked at[^]*GROUP_UNKNOWN/);
  });

  test("words that do not go together are said", async (t) => {
    const at = repository(t, { "ci.yml": crlf });
    for (const words of [["--apply"], ["--fix", "--undo", "x"], ["--fix", "--restrict-group", "big=x"]])
      assert.equal((await posture(at, words)).code, 2, words.join(" "));
  });
});

describe("GitHub's settings", () => {
  const base = "/orgs/octo/actions/permissions";
  const bad = { default_workflow_permissions: "write", can_approve_pull_request_reviews: false };
  const answers = () => ({
    [`${base}/workflow`]: { ...bad },
    [`${base}/fork-pr-contributor-approval`]: { approval_policy: "first_time_contributors" },
    "/orgs/octo/actions/runner-groups": { total_count: 0, runner_groups: [] },
    "/orgs/octo/repos": [],
  });

  test("planned, set, and taken back; one that GitHub refuses is listed, and the rest is done", async (t) => {
    const server = await github(t, {
      answers: answers(),
      token: "secret-token",
      headers: { "x-oauth-scopes": "admin:org, repo" },
    });
    const at = repository(t, {});
    const words = ["--no-repository", "--github", "octo", "--api-url", server.url];
    const env = { GH_TOKEN: "secret-token" };
    const plan = await posture(at, ["--fix", ...words], env);
    assert.equal(plan.code, 0);
    assert.match(
      plan.stdout,
      /^PUT \/orgs\/octo\/actions\/permissions\/workflow:\n {2}answers RG-08 octo: default_workflow_permissions: write → read$/m,
    );
    assert.match(plan.stdout, /To apply it, the token needs:\n {2}admin:org, or Organization administration: write\n/);
    assert.deepEqual(server.sent, []);
    server.answers.set(`PUT ${base}/workflow`, new Odd(409, { message: "Conflict" }));
    const done = await posture(at, ["--fix", "--apply", ...words], env);
    assert.equal(done.code, 1);
    assert.match(done.stdout, /^NOT DONE {7}PUT \/orgs\/octo\/actions\/permissions\/workflow: 409: Conflict$/m);
    assert.match(done.stdout, /^done {11}PUT \/orgs\/octo\/actions\/permissions\/fork-pr-contributor-approval$/m);
    const [undo] = undoFiles(at);
    assert.ok(!`${done.stdout}${done.stderr}${readFileSync(undo!, "utf8")}`.includes("secret-token"));
    const wrong = await posture(at, ["--undo", undo!, "--apply"], env);
    assert.deepEqual([wrong.code, /UNDO_INVALID/.test(wrong.stderr)], [2, true]);
    const back = await posture(at, ["--undo", undo!, "--apply", "--api-url", server.url], env);
    assert.deepEqual([back.code, back.stderr], [0, ""]);
    assert.deepEqual(server.answers.get(`${base}/fork-pr-contributor-approval`), {
      approval_policy: "first_time_contributors",
    });
  });

  test("a runner group is looked up before anything is planned: unknown is an error, known shows who may use it", async (t) => {
    const group = { id: 7, name: "big", visibility: "all", default: false, runners_url: "x", inherited: false };
    const groups = { total_count: 2, runner_groups: [{ ...group, id: 1, name: "Default" }, group] };
    const rest = { allows_public_repositories: false, restricted_to_workflows: true, selected_workflows: [] };
    groups.runner_groups = groups.runner_groups.map((each) => ({ ...each, ...rest }));
    const example = slice.operations["get /repos/{owner}/{repo}"]!.example as object;
    const repositories = ["octo/web", "octo/api", "octo/docs"].map((full_name) => ({ ...example, full_name }));
    const list = "/orgs/octo/actions/runner-groups";
    const listed = { total_count: 3, repositories };
    // One on each page: the group and its last repository are seen all the same.
    const server = await github(t, {
      answers: { ...answers(), [list]: structuredClone(groups), [`${list}/7/repositories`]: listed },
      page: 1,
    });
    const at = repository(t, {});
    const words = ["--fix", "--apply", "--no-repository", "--github", "octo", "--api-url", server.url];
    const wrong = await posture(at, [...words, "--select-group", "Big"], { GH_TOKEN: "x" });
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /"Big": there is no such runner group: octo has "Default", "big"\.\n/);
    assert.deepEqual([wrong.stdout, server.sent, undoFiles(at)], ["", [], []]);

    const done = await posture(at, [...words, "--json", "--select-group", "big"], { GH_TOKEN: "x" });
    assert.equal(done.code, 0, done.stderr);
    const { settings } = JSON.parse(done.stdout) as { settings: { path: string; users?: object }[] };
    assert.deepEqual(settings.find(({ path }) => path.endsWith("/7"))!.users, {
      before: "every repository of octo",
      after: ["octo/api", "octo/docs", "octo/web"],
    });
    server.answers.set(list, structuredClone(groups));
    for (const [answer, pattern] of [
      [new Odd(404, "{}"), /was not seen: not there, or the token may not see it \(404\)/],
      [new Odd(200, '{"total_count":1,"repositories":[{"id":1'), /was not seen: the answer is no whole JSON/],
      [
        new Odd(200, '{"total_count":1,"repositories":[{"id":1}]}'),
        /was not seen: the answer has repositories without/,
      ],
      [{ total_count: 0, repositories: [] }, /its list is empty, so nobody would have its runners/],
    ] as const) {
      server.answers.set(`${list}/7/repositories`, answer);
      const left = await posture(at, [...words, "--select-group", "big"], { GH_TOKEN: "x" });
      assert.match(left.stdout, pattern);
      assert.doesNotMatch(left.stdout, /visibility: all → selected/);
    }
    server.answers.set(list, new Odd(404, "{}"));
    const unseen = await posture(at, [...words, "--select-group", "big"], { GH_TOKEN: "x" });
    assert.match(unseen.stderr, /the groups of octo were not read: not there, or the token may not see it \(404\)/);
  });

  test("a classic token without the right is refused before anything is done, here too", async (t) => {
    const server = await github(t, { answers: answers(), headers: { "x-oauth-scopes": "read:org" } });
    const at = repository(t, { "ci.yml": crlf });
    const words = ["--fix", "--apply", ...uses, "--github", "octo", "--api-url", server.url];
    const { code, stderr } = await posture(at, words, { GITHUB_TOKEN: "x" });
    assert.deepEqual([code, /takes admin:org\.[^]*FIX_SCOPE/.test(stderr)], [2, true]);
    assert.deepEqual([server.sent, textOf(at, "ci.yml"), undoFiles(at)], [[], crlf, []]);
  });
});
