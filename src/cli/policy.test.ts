/** `sallyport policy` as scripts use it: exit codes, JSON on stdout, problems of a file on stderr, no colour in a pipe. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("main.ts", import.meta.url));

const policy = `version: 1
sources:
  python-runners: { subnets: [10.20.1.0/24] }
rules:
  - { name: python packages, from: python-runners, to: [pypi.org, files.pythonhosted.org] }
  - { name: no gists, to: gist.github.com, action: deny, reason: known exfiltration sink }
  - { name: trial, to: trial.example, mode: monitor, monitor_until: 2030-07-01 }
default:
  mode: enforce
`;

describe("sallyport policy", () => {
  let work: string;

  before(() => {
    work = mkdtempSync(join(tmpdir(), "sallyport-policy-"));
    const files = {
      "sallyport.yaml": policy,
      "wider.yaml": policy.replace("[pypi.org,", "[pypi.org, upload.example,"),
      "wild.yaml": policy.replace("[pypi.org,", '["*.github.io",'),
      "broken.yaml": policy.replace("from: python-runners", "from: python-runner"),
      "sallyport.test.yaml": "- { endpoint: gist.github.com, expect: deny }\n",
      "failing.yaml": "- { endpoint: pypi.org, expect: allow }\n",
      "misspelt.yaml": "- { endpoint: pypi.org, expect: allowed }\n",
    };
    for (const [file, text] of Object.entries(files)) writeFileSync(join(work, file), text);
  });

  after(() => rmSync(work, { recursive: true, force: true }));

  const run = (...args: string[]) => {
    const given = ["--disable-warning=ExperimentalWarning", main, "policy", ...args];
    const { status, stdout, stderr } = spawnSync(process.execPath, given, { cwd: work, encoding: "utf8" });
    return { status, stdout, stderr };
  };

  test("check: 0 for a good file, 2 when one of several does not load", () => {
    const fine = run("check", "sallyport.yaml", "--at", "2030-01-01");
    assert.deepEqual([fine.status, fine.stderr], [0, ""]);
    assert.match(fine.stdout, /^sallyport\.yaml: fine: 3 rules, 1 source, default enforce, .*policy [0-9a-f]{12}\n$/);
    const both = run("check", "sallyport.yaml", "broken.yaml", "--at", "2030-01-01");
    assert.equal(both.status, 2);
    assert.match(both.stdout, /^sallyport\.yaml: fine/);
    assert.match(both.stdout, /^broken\.yaml:5:36: error: there is no source named “python-runner”/m);
    assert.match(both.stdout, /\n {4}= fix: Did you mean python-runners\?/);
  });

  test("check --strict: warnings fail; --json has them", () => {
    assert.equal(run("check", "wild.yaml", "--at", "2030-01-01").status, 0);
    const strict = run("check", "wild.yaml", "--at", "2030-01-01", "--strict", "--json");
    assert.equal(strict.status, 1);
    const report = JSON.parse(strict.stdout) as { loads: boolean; warnings: { code: string; line: number }[] };
    assert.equal(report.loads, true);
    assert.ok(report.warnings.some(({ code, line }) => code === "public_suffix" && line === 5));
  });

  test("check: a file that cannot be read is 2, with the path", () => {
    const gone = run("check", "gone.yaml");
    assert.equal(gone.status, 2);
    assert.match(gone.stderr, /gone\.yaml.*\n.*POLICY_UNREADABLE/);
  });

  test("test: the cases beside the policy, or others; 1 when one fails, 2 when they do not load", () => {
    const passed = run("test", "sallyport.yaml");
    assert.deepEqual([passed.status, passed.stderr], [0, ""]);
    assert.match(passed.stdout, /^ok {4}any → gist\.github\.com tls: deny by “no gists”/);
    const failed = run("test", "sallyport.yaml", "--cases", "failing.yaml", "--json");
    assert.equal(failed.status, 1);
    assert.equal((JSON.parse(failed.stdout) as { failed: number }).failed, 1);
    const misspelt = run("test", "sallyport.yaml", "--cases", "misspelt.yaml");
    assert.equal(misspelt.status, 2);
    assert.match(misspelt.stderr, /^misspelt\.yaml:1:33: error: /);
    assert.equal(run("test", "wider.yaml").status, 2);
  });

  test("explain: the source may be left out, and what it prints is no failure", () => {
    const denied = run("explain", "sallyport.yaml", "pypi.org");
    assert.deepEqual([denied.status, denied.stderr], [0, ""]);
    assert.match(denied.stdout, /^DENY {2}any source/);
    assert.match(denied.stdout, /\n {2}- \{ name: allow pypi\.org, to: \[pypi\.org\] \}\n$/);
    const allowed = run("explain", "sallyport.yaml", "10.20.1.7", "pypi.org:443", "--json");
    const explanation = JSON.parse(allowed.stdout) as { verdict: string; rule: { name: string; line: number } };
    assert.deepEqual(
      [explanation.verdict, explanation.rule.name, explanation.rule.line],
      ["allow", "python packages", 5],
    );
    assert.match(run("explain", "sallyport.yaml", "trial.example", "--at", "2031-01-01").stdout, /^ALLOW/);
  });

  test("explain: what is known of a process", () => {
    const asked = [
      "explain",
      "sallyport.yaml",
      "pypi.org",
      "--step",
      "setup",
      "--action",
      "Acme/App",
      "--exe",
      "/usr/bin/pip",
    ];
    assert.match(run(...asked).stdout, /step setup, action Acme\/App, exe \/usr\/bin\/pip → pypi\.org:443/);
    const { source } = JSON.parse(run(...asked, "--json").stdout) as { source: { process: unknown } };
    assert.deepEqual(source.process, { step: "setup", action: "Acme/App", exe: "/usr/bin/pip" });
    const bad = run("explain", "sallyport.yaml", "pypi.org", "--exe", "pip");
    assert.equal(bad.status, 2);
    assert.match(bad.stderr, /“pip” is not an absolute path/);
  });

  test("explain: what cannot be asked is usage, with the fix", () => {
    const unknown = run("explain", "sallyport.yaml", "pyton-runners", "pypi.org");
    assert.deepEqual([unknown.status, unknown.stdout], [2, ""]);
    assert.match(unknown.stderr, /Did you mean python-runners\?.*\n.*USAGE/);
    const broken = run("explain", "broken.yaml", "pypi.org", "--json");
    assert.equal(broken.status, 2);
    assert.equal(
      (JSON.parse(broken.stdout) as { problems: { code: string }[] }).problems[0]!.code,
      "unknown_reference",
    );
  });

  test("diff: 0 unless --exit-code asks, then 1 where something differs", () => {
    const differs = run("diff", "sallyport.yaml", "wider.yaml");
    assert.deepEqual([differs.status, differs.stderr], [0, ""]);
    assert.match(differs.stdout, /^Becomes reachable\n.*\n {4}\+ upload\.example {2}443 tls {2}from python-runners\n$/);
    assert.equal(run("diff", "sallyport.yaml", "wider.yaml", "--exit-code").status, 1);
    assert.equal(run("diff", "sallyport.yaml", "sallyport.yaml", "--exit-code").status, 0);
    assert.equal(run("diff", "sallyport.yaml", "broken.yaml").status, 2);
  });
});
