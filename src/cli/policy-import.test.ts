/** `sallyport policy import` and `export` as scripts use them: the text on stdout, losses on stderr, exit codes, JSON. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));

const workflow = (endpoints: string) =>
  `jobs:\n  build:\n    steps:\n      - uses: step-security/harden-runner@v2\n        with:\n          allowed-endpoints: >\n            ${endpoints}\n`;

const files = {
  "build.yml": workflow("pypi.org:443 *.example.com"),
  "lossy.yml": workflow("pypi.org sa*.blob.example"),
  "acl.yaml": "version: v1\nservices: [{ name: web, project: p, action: enforce, allowed_domains: [a.example] }]\n",
  "broken.yml": "jobs: [",
  "sallyport.yaml":
    'version: 1\nsources: { runners: { subnets: [10.20.1.0/24] } }\nrules:\n  - { name: one, to: [pypi.org] }\n  - { name: two, from: runners, to: ["*.example.com"] }\n',
};

describe("sallyport policy import and export", () => {
  let work: string;

  before(() => {
    work = mkdtempSync(join(tmpdir(), "sallyport-import-"));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(work, name), text);
  });

  after(() => rmSync(work, { recursive: true, force: true }));

  const run = (args: string[], input = "") =>
    spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", main, "policy", ...args], {
      cwd: work,
      encoding: "utf8",
      input,
    });

  test("import: what is whole is 0, and the policy on stdout loads", () => {
    const whole = run(["import", "build.yml"]);
    assert.deepEqual([whole.status, whole.stderr], [0, ""]);
    assert.ok(!isPolicyProblems(loadPolicy(whole.stdout, "out.yaml", new Date())), whole.stdout);
    assert.equal(run(["import", "harden-runner", "build.yml"]).stdout, whole.stdout);
    for (const input of ["-", "/dev/stdin"]) {
      assert.equal(run(["import", "harden-runner", input], files["build.yml"]).status, 0, input);
    }
  });

  test("import: what was not carried is 1, on stderr with its place, and in the policy", () => {
    const lossy = run(["import", "lossy.yml"]);
    assert.equal(lossy.status, 1);
    assert.match(lossy.stderr, /^lossy\.yml:7:22: not carried: .*sa\*\.blob\.example.*\n$/);
    assert.match(lossy.stdout, /^# Not carried:\n# {3}lossy\.yml:7:22: /m);
    const asked = run(["import", "lossy.yml", "--json"]);
    const report = JSON.parse(asked.stdout) as {
      complete: boolean;
      policy: string;
      notes: { effect: string; line: number }[];
    };
    assert.deepEqual([asked.status, asked.stderr, report.complete], [1, "", false]);
    assert.equal(report.policy, lossy.stdout);
    assert.deepEqual(
      report.notes.map(({ effect, line }) => [effect, line]),
      [["narrower", 7]],
    );
  });

  test("import: sources give identities their subnets", () => {
    assert.equal(run(["import", "acl.yaml"]).status, 1);
    const mapped = run(["import", "acl.yaml", "--source", "web=10.1.0.0/16,2001:db8::/32"]);
    assert.deepEqual([mapped.status, mapped.stderr], [0, ""]);
    assert.match(mapped.stdout, /web: \{ subnets: \[10\.1\.0\.0\/16, 2001:db8::\/32\] \}/);
    const bad = run(["import", "acl.yaml", "--source", "web=10.1.2.3/16"]);
    assert.equal(bad.status, 2);
    assert.match(bad.stderr, /bits set beyond its length/);
  });

  test("import: what cannot be read, recognised or named is 2, and nothing on stdout", () => {
    for (const args of [
      ["broken.yml"],
      ["gone.yml"],
      ["sallyport.yaml"],
      ["squid", "build.yml"],
      ["build.yml", "--job", "test"],
    ]) {
      const failed = run(["import", ...args]);
      assert.deepEqual([failed.status, failed.stdout], [2, ""], args.join(" "));
      assert.notEqual(failed.stderr, "");
    }
    assert.match(run(["import", "broken.yml"]).stderr, /^broken\.yml:1:\d+: error: /);
  });

  test("export: 0, 1 and 2 likewise; a source has a list of its own", () => {
    const github = run(["export", "github", "sallyport.yaml"]);
    assert.equal(github.status, 1);
    assert.match(github.stderr, /^sallyport\.yaml:5:5: not carried: rule “two”: /);
    assert.match(github.stdout, /\nallow:\n {2}# one \(line 4\)\n {2}- pypi\.org\n$/);
    assert.match(
      run(["export", "harden-runner", "sallyport.yaml", "--source", "runners", "--json"]).stdout,
      /"complete":false/,
    );
    assert.equal(run(["export", "github", "sallyport.yaml", "--source", "nobody"]).status, 2);
    assert.equal(run(["export", "github", "broken.yml"]).status, 2);
  });
});
