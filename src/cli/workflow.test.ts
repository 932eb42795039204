/**
 * `sallyport workflow add` as people and CI meet it: a diff that git applies, all files or none, and a check that fails until the
 * step is everywhere. The real launcher, in a real repository.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, test, type TestContext } from "node:test";

const root = fileURLToPath(new URL("../../", import.meta.url));
const sha = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
const uses = ["--uses", `sallyport/sallyport@${sha}`, "--version-comment", "v1"];
const workflow = "on: push\r\njobs:\r\n  build:\r\n    runs-on: ubuntu-latest\r\n    steps:\r\n      - run: make\r\n";
const guarded = workflow.replace("- run", "- uses: code-cargo/cargowall-action@v1\r\n      - run");

function repository(t: TestContext, files: Record<string, string | Buffer>): string {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-workflow-"));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, ".github/workflows"), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, ".github/workflows", name), text);
  return folder;
}

function add(folder: string, ...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const words = ["workflow", "add", "-C", folder, ...args];
  const { status, stdout, stderr } = spawnSync(`${root}sallyport`, words, { encoding: "utf8" });
  return { code: status, stdout, stderr };
}

const textOf = (folder: string, name: string) => readFileSync(join(folder, ".github/workflows", name), "utf8");

function git(folder: string, date: string, ...args: string[]): void {
  const who = ["-c", "user.name=x", "-c", "user.email=x@a.example", "-c", "commit.gpgsign=false"];
  const env = { ...process.env, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
  execFileSync("git", ["-C", folder, ...who, ...args], { env, stdio: "pipe" });
}

describe("sallyport workflow add", () => {
  test("writes nothing by itself; its diff is one that git applies, to the text that --write writes", (t) => {
    const files = { "a.yml": workflow, "b.yaml": guarded, "readme.md": "x" };
    const [shown, written] = [repository(t, files), repository(t, files)];
    const dry = add(shown, ...uses);
    assert.deepEqual([dry.code, dry.stderr, textOf(shown, "a.yml")], [0, "", workflow]);
    assert.match(dry.stdout, /Nothing was written; --write changes 2 of 2 workflows\./);
    const patch = dry.stdout.slice(0, dry.stdout.indexOf("\n\n.github/") + 1);
    execFileSync("git", ["-C", shown, "apply", "--whitespace=nowarn", "-"], { input: patch });
    const { code, stdout } = add(written, ...uses, "--write");
    assert.equal(code, 0);
    assert.match(stdout, /Written: \.github\/sallyport\/b-build\.yaml, .*a\.yml, .*b\.yaml/);
    for (const name of ["a.yml", "b.yaml", "../sallyport/b-build.yaml"])
      assert.equal(textOf(shown, name), textOf(written, name), name);
    assert.ok(textOf(written, "a.yml").includes(`    steps:\r\n      - uses: sallyport/sallyport@${sha} # v1\r\n`));
    assert.match(add(written, ...uses, "--write").stdout, /Nothing is to be changed\./);
  });

  test("a firewall in a composite action of the repository's own is told of each job that uses it, also by way of another", (t) => {
    const composite = (...steps: string[]) =>
      `runs:\n  using: composite\n  steps:\n${steps.map((each) => `    - uses: ${each}\n`).join("")}`;
    const folder = repository(t, { "a.yml": workflow.replace("- run: make", "- uses: ./.github/actions/outer/") });
    const actions = {
      outer: composite("actions/setup-node@v5", "$/.github/actions/inner"),
      inner: composite("./.github/actions/outer", "step-security/harden-runner@v2"),
    };
    for (const [name, text] of Object.entries(actions)) {
      mkdirSync(join(folder, ".github/actions", name), { recursive: true });
      writeFileSync(join(folder, ".github/actions", name, name === "outer" ? "action.yml" : "action.yaml"), text);
    }
    const { code, stdout } = add(folder, ...uses, "--write");
    assert.equal(code, 1);
    assert.match(
      stdout,
      /a\.yml:6:9: error: job build: the action \.\/\.github\/actions\/outer\/ that it uses has a firewall in it: harden-runner \(other_firewall\)/,
    );
    assert.match(add(folder, "--check").stdout, /harden-runner \(other_firewall\)[\s\S]*: 1 finding\n/);
    writeFileSync(join(folder, ".github/actions/inner/action.yaml"), composite("sallyport/sallyport@v1"));
    assert.match(add(folder, "--check").stdout, /has a firewall in it: Sallyport \(other_firewall\)/);
    writeFileSync(join(folder, ".github/actions/inner/action.yaml"), "runs: { using: node24 }");
    assert.equal(add(folder, "--check").code, 0);
  });

  test("all or none: one file that cannot be read, or a policy that is there, and nothing is written", (t) => {
    for (const [name, odd] of Object.entries({
      "bad.yml": "a: [",
      "bytes.yml": Buffer.from("# \xff\n", "latin1"),
      "large.yml": "#".repeat(17_000_000),
    })) {
      const folder = repository(t, { "a.yml": workflow, [name]: odd });
      const { code, stderr, stdout } = add(folder, ...uses, "--write");
      assert.deepEqual([code, textOf(folder, "a.yml")], [2, workflow], name);
      assert.match(stderr, /WORKFLOW_INVALID/);
      assert.ok(stdout.includes(`${name}:1:`) && stdout.includes("(unreadable)"), stdout);
    }
    const taken = repository(t, { "a.yml": workflow, "b.yml": guarded });
    mkdirSync(join(taken, ".github/sallyport"));
    writeFileSync(join(taken, ".github/sallyport/b-build.yaml"), "mine");
    const refused = add(taken, ...uses, "--write");
    assert.deepEqual([refused.code, textOf(taken, "a.yml")], [1, workflow]);
    assert.match(refused.stderr, /WORKFLOW_CHANGED/);
    assert.equal(existsSync(join(taken, ".github/sallyport/b-build.yaml")), true);
  });

  test("no link is followed, and no file outside of the repository is touched", (t) => {
    const folder = repository(t, { "a.yml": workflow });
    writeFileSync(join(folder, "elsewhere.yml"), workflow);
    symlinkSync("../../elsewhere.yml", join(folder, ".github/workflows/link.yml"));
    assert.match(add(folder, ...uses, "--write").stdout, /link\.yml:1:1: error: it is no regular file/);
    assert.equal(readFileSync(join(folder, "elsewhere.yml"), "utf8"), workflow);
    assert.match(add(folder, ...uses, "/etc/hostname").stderr, /is not in the repository/);
  });

  test("without a commit it says what to write; a tag is pinned where somebody says so", (t) => {
    const folder = repository(t, { "a.yml": workflow });
    const bare = add(folder);
    assert.equal(bare.code, 2);
    assert.match(bare.stderr, /--uses sallyport\/sallyport@<its 40 hex digits>.*--tag v1/);
    assert.equal(add(folder, "--tag", "v1", "--write").code, 0);
    const { code, stdout } = add(folder, "--check");
    assert.equal(code, 1);
    assert.match(stdout, /a\.yml:6:15: error: job build: it is pinned to v1, .*\(unpinned\)/);
  });

  test("--check fails until the step is there, and again when it has audited for too long", (t) => {
    const folder = repository(t, { "a.yml": workflow });
    const before = add(folder, "--check", "--json");
    const report = JSON.parse(before.stdout) as { passes: boolean; findings: { code: string; line: number }[] };
    assert.deepEqual([before.code, report.passes], [1, false]);
    assert.deepEqual(
      report.findings.map(({ code, line }) => [code, line]),
      [["missing", 5]],
    );
    add(folder, ...uses, "--write");
    assert.deepEqual([add(folder, "--check").code, add(folder, "--check", "--audit-days", "30").code], [0, 0]);
    assert.match(add(folder, "--check", "--audit-days", "30").stdout, /note: .*\(audit_age_unknown\)/);
    git(folder, "2020-01-01T00:00:00Z", "init", "-q");
    git(folder, "2020-01-01T00:00:00Z", "add", ".");
    git(folder, "2020-01-01T00:00:00Z", "commit", "-qm", "x");
    const late = add(folder, "--check", "--audit-days", "30");
    assert.equal(late.code, 1);
    assert.match(late.stdout, /a\.yml:8:26: error: .*\(audit_too_long\)/);
    git(folder, "2020-02-01T00:00:00Z", "clone", "-q", "--depth", "1", `file://${folder}`, join(folder, "shallow"));
    const shallow = add(join(folder, "shallow"), "--check", "--audit-days", "30");
    assert.equal(shallow.code, 0);
    assert.match(shallow.stdout, /audit_age_unknown/);
  });

  test("--json says what is done and whether it is written", (t) => {
    const folder = repository(t, { "a.yml": workflow });
    const { stdout } = add(folder, ...uses, "--write", "--json", "--policy", ".github/x.yaml");
    const report = JSON.parse(stdout) as { schema: string; written: boolean; files: { done: { what: string }[] }[] };
    assert.deepEqual([report.schema, report.written], ["sallyport.workflow-add/1", true]);
    assert.equal(report.files[0]!.done[0]!.what, "added");
    assert.match(textOf(folder, "a.yml"), /policy: "?\.github\/x\.yaml"?\r\n/);
  });
});
