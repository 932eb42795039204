/**
 * What files show of the runner policy: who has an egress control and who only seems to, which runner a stranger's trigger
 * reaches, and that nothing which could not be seen passes.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Finding } from "../finding.ts";
import { check, job, now, repository, sha } from "../testing/repository.ts";

const ours = `      - uses: sallyport/sallyport@${sha}`;
const run = "      - run: make";
const harden = (version: string, more = "") => `      - uses: step-security/harden-runner@${sha} # v${version}${more}`;
const audit = "\n        with: { egress-policy: audit }";

const of = (findings: readonly Finding[], rule: string) =>
  findings.filter((each) => each.rule === rule).map(({ status, severity, seen }) => `${status} ${severity}: ${seen}`);
const one = (text: string, rule: string, more: Parameters<typeof repository>[1] = {}) =>
  of(check(repository({ "ci.yml": text }, more)), rule);
const expect = (said: readonly string[], ...patterns: RegExp[]) => {
  assert.equal(said.length, patterns.length, said.join("\n"));
  for (const [i, pattern] of patterns.entries()) assert.match(said[i]!, pattern);
};

describe("RG-10: an egress control, first", () => {
  for (const [name, text, pattern] of [
    ["ours first holds", job("push", "ubuntu-latest", `${ours}\n${run}`), /^pass .*Sallyport is the first/],
    ["none fails", job("push", "ubuntu-latest", run), /^fail high: no step of 1/],
    ["second fails", job("push", "ubuntu-latest", `${run}\n${ours}`), /^fail .*a step comes before it/],
    ["a condition fails", job("push", "ubuntu-latest", `${ours}\n        if: github.ref != 'x'`), /^fail .*if:/],
    [
      "switched off fails",
      job("push", "ubuntu-latest", `${ours}\n        with: { Enabled: False }`),
      /^fail .*enabled is false/,
    ],
    [
      "passed over fails",
      job("push", "ubuntu-latest", `${ours}\n        continue-on-error: true`),
      /^fail .*continue-on-error/,
    ],
    [
      "in the background fails",
      job("push", "ubuntu-latest", `${ours}\n        background: true`),
      /^fail .*background/,
    ],
    ["in a container fails", job("push", "ubuntu-latest", ours, "    container: node:24\n"), /^fail .*container/],
    ["on Windows fails", job("push", "windows-latest", ours), /^fail .*Windows/],
    ["where only GitHub knows is unknown", job("push", "${{ vars.RUNNER }}", ours), /^unknown /],
    ["harden-runner holds", job("push", "ubuntu-latest", harden("2.21.0")), /^pass .*harden-runner/],
    ["Bullfrog holds", job("push", "ubuntu-latest", `      - uses: bullfrogsec/bullfrog@${sha}`), /^pass .*Bullfrog/],
    ["a lookalike is none", job("push", "ubuntu-latest", `      - uses: step-securlty/harden-runner@${sha}`), /^fail /],
    [
      "GitHub's label without its file fails",
      job("push", "ubuntu-latest-firewall", run),
      /^fail .*egress-firewall\.yaml is not there/,
    ],
    [
      "a workflow elsewhere is unknown",
      `on: push\njobs:\n  x:\n    uses: a/b/.github/workflows/c.yml@${sha}\n`,
      /^unknown .*were not read/,
    ],
    ["a job that never runs needs none", job("push", "ubuntu-latest", run, "    if: false\n"), /^pass .*never runs/],
  ] as const)
    test(name, () => expect(one(text, "RG-10"), pattern));

  test("GitHub's firewall: the file counts by its exact name, and by a mode that there is", () => {
    const text = job("push", "ubuntu-24.04-firewall", run);
    const file = (name: string, body: string) => ({ files: new Map([[name, body]]), paths: [name] });
    const path = ".github/egress-firewall.yaml";
    const body = "mode: enforce\nallow: [pypi.org]\n";
    expect(one(text, "RG-10", file(path, body)), /^pass .*mode: enforce/);
    expect(
      one(text, "RG-10", file(".github/egress-firewall.yml", body)),
      /^fail .*\.yml is, which GitHub does not read/,
      /^fail/,
    );
    expect(one(text, "RG-10", file(path, "mode: block\n")), /^fail .*"block" is none/, /^fail/);
    expect(one(text, "RG-11", file(path, body)), /^pass/);
    expect(one(text, "RG-11", file(path, "mode: log\n")), /^fail medium.*only watches/);
  });

  test("newer syntax is read past: background, wait, parallel, $/", () => {
    const steps = `${ours}\n      - id: a\n        run: x\n        background: true\n      - wait: a\n      - parallel:\n          - run: y\n      - wait-all:\n      - uses: $/tool`;
    expect(one(job("push", "ubuntu-latest", steps), "RG-10"), /^pass/);
  });

  test("what GitHub's parser refuses is said: such a file runs nothing", () => {
    const said = one(job("push", "ubuntu-latest", `${ours}\n      - run: x\n        runn: y`), "RG-10");
    assert.ok(
      said.some((each) => /^unknown info: GitHub's parser refuses it.*runn/.test(each)),
      said.join("\n"),
    );
  });
});

describe("RG-11 and RG-12: it enforces, without a known way around", () => {
  test("watching is a fail, small while it is young, larger once it is old or nobody knows", () => {
    const text = job("push", "ubuntu-latest", `${ours}${audit}`);
    const aged = (days: number) =>
      of(
        check(repository({ "ci.yml": text }), { changed: () => new Date(now.getTime() - days * 86_400_000) }),
        "RG-11",
      );
    expect(one(text, "RG-11"), /^fail medium: .*not known/);
    expect(aged(30), /^fail low: .*for 30 days; 30 are allowed/);
    expect(aged(31), /^fail medium: .*for 31 days/);
    expect(one(job("push", "ubuntu-latest", ours), "RG-11"), /^pass .*no egress-policy/);
    const asked = job("push", "ubuntu-latest", `${ours}\n        with: { egress-policy: "\${{ vars.MODE }}" }`);
    expect(one(asked, "RG-11"), /^unknown/);
  });

  for (const [version, pattern] of [
    ["2.14.1", /^fail high: .*cpmj.*46g3.*audit by itself/],
    ["2.15.0", /^fail high: .*46g3/],
    ["2.16.0", /^fail medium: .*audit by itself/],
    ["2.21.0", /^pass/],
    ["2", /^unknown .*which version/],
  ] as const)
    test(`harden-runner ${version}`, () =>
      expect(one(job("push", "ubuntu-latest", harden(version)), "RG-12"), pattern));
});

test("RG-12: Bullfrog by its advisory; who has no list here is unknown, and ours does not judge itself", () => {
  const by = (uses: string) => one(job("push", "ubuntu-latest", `      - uses: ${uses}`), "RG-12");
  expect(by("bullfrogsec/bullfrog@v0.8.3"), /^fail high: .*DNS over TCP/);
  expect(by("bullfrogsec/bullfrog@v0.8.4"), /^pass/);
  expect(by(`code-cargo/cargowall-action@${sha}`), /^unknown .*no list/);
  expect(by(`sallyport/sallyport@${sha}`));
});

describe("RG-07: what a fork reaches", () => {
  const steps = `${ours}\n${run}`;
  for (const [name, on, runsOn, pattern] of [
    [
      "a pull request on a self-hosted runner",
      "pull_request",
      "[self-hosted, linux]",
      /^fail high: .*runs a fork's code/,
    ],
    ["in a list of triggers", "[push, pull_request_target]", "self-hosted", /^fail medium: .*a stranger's input/],
    ["a comment", "{ issue_comment: { types: [created] } }", "self-hosted", /^fail medium: .*issue_comment/],
    [
      "an expression's branch",
      "pull_request",
      "${{ github.event_name == 'push' && 'self-hosted' || 'ubuntu-latest' }}",
      /^fail high/,
    ],
    ["a list from JSON", "pull_request", `\${{ fromJSON('["self-hosted","gpu"]') }}`, /^fail high/],
    ["a label of one's own is not known", "pull_request", "big-metal", /^unknown high: .*does not say/],
    ["a group is not known", "pull_request", "{ group: fast }", /^unknown high/],
    ["a variable is not known", "pull_request", "${{ vars.RUNNER }}", /^unknown high: .*only GitHub/],
    ["push alone holds", "push", "self-hosted", /^pass/],
  ] as const)
    test(name, () => expect(one(job(on, runsOn, steps), "RG-07"), pattern));

  test("GitHub's own runners are nobody's concern", () => {
    for (const label of [
      "ubuntu-latest",
      "ubuntu-26.04-arm",
      "windows-2025-vs2026",
      "macos-26-xlarge",
      "ubuntu-24.04-firewall",
    ])
      assert.deepEqual(one(job("pull_request", label, steps), "RG-07"), [], label);
  });

  test("a matrix is written out, and includes count", () => {
    const matrix = "    strategy: { matrix: { os: [ubuntu-latest], include: [{ os: self-hosted }] } }\n";
    expect(one(job("pull_request", "${{ matrix.os }}", steps, matrix), "RG-07"), /^fail high/);
  });

  test("in public repositories it is as bad as it gets", () => {
    const text = job("pull_request", "self-hosted", steps);
    expect(one(text, "RG-07", { visibility: "public" }), /^fail critical/);
    expect(one(text, "RG-07", { visibility: "private" }), /^fail medium/);
  });

  test("a guard counts where the stranger cannot edit it, and only as a whole condition", () => {
    const guard = "github.event.pull_request.head.repo.full_name == github.repository";
    const guarded = (on: string, condition: string) =>
      one(job(on, "self-hosted", steps, `    if: ${condition}\n`), "RG-07");
    expect(guarded("pull_request_target", guard), /^pass .*holds forks off/);
    expect(guarded("pull_request_target", `\${{ ${guard} && success() }}`), /^pass/);
    expect(guarded("pull_request_target", `${guard} || always()`), /^fail/);
    expect(guarded("pull_request", guard), /^fail high: .*the fork may change/);
  });

  test("by way of workflow_call and workflow_run, inputs passed along; also where the ways meet again", () => {
    const workflows = {
      "ci.yml": `name: CI\non: pull_request\njobs:\n  a:\n    uses: ./.github/workflows/b.yml\n    with: { runner: self-hosted }\n`,
      "b.yml": `on:\n  workflow_call:\n    inputs: { runner: { type: string, default: ubuntu-latest } }\njobs:\n  x:\n    runs-on: \${{ inputs.runner }}\n    steps:\n${ours}\n  again:\n    uses: ./.github/workflows/b.yml\n`,
      "c.yml": `name: C\non: { workflow_run: { workflows: [CI, C] } }\njobs:\n  y:\n    runs-on: self-hosted\n    steps:\n${ours}\n`,
    };
    expect(
      of(check(repository(workflows)), "RG-07"),
      /^fail high: .*pull_request \(by way of .*ci\.yml:5:11\) runs a fork's code/,
      /^fail medium: .*pull_request \(by way of .*ci\.yml\) runs with a stranger's input/,
    );
  });

  test("nothing passes while a workflow could not be read", () => {
    const files = { "a.yml": job("push", "self-hosted", steps), "tabs.yml": "on: push\njobs:\n\ta: 1\n" };
    expect(of(check(repository(files)), "RG-07"), /^unknown .*could not be read may lead here/);
  });
});

describe("RG-08 and RG-09: rights and pins", () => {
  test("pinned by commit, digest and lockfile; a tag, a branch and an image's tag are loose", () => {
    const lock = `version: 'v0.0.3'\nworkflows:\n  .github/workflows/ci.yml: ['a/locked@v1', 'a/unresolved@v1']\ndependencies:\n  'a/locked@v1': { ref: v1, commit: 'sha1-${sha}', owner_id: 1, repo_id: 2 }\n  'a/unresolved@v1': { ref: v1 }\n`;
    const uses = ["a/locked/deep@v1", `docker://x@sha256:${"0".repeat(64)}`, "./local", `x/y@${sha}`];
    const steps = (list: string[]) => list.map((each) => `      - uses: ${each}`).join("\n");
    const files = { files: new Map([[".github/workflows/actions.lock", lock]]) };
    const here = new Map([...files.files, ["local/action.yml", "runs: { using: node24, main: a.js }\n"]]);
    expect(
      one(job("push", "ubuntu-latest", steps(uses)), "RG-09", { files: here }),
      /^pass .*1 by commit, 1 by digest, 1 by lock/,
      /^unknown low: 1 action of other repositories is not opened.*: x\/y$/,
    );
    const loose = ["a/locked@v2", "a/unresolved@v1", "docker://x:1", "x/y@main", `x/y@${sha.slice(1)}`];
    const said = one(job("push", "ubuntu-latest", steps(loose)), "RG-09", files);
    assert.deepEqual(
      said.filter((each) => each.startsWith("fail")).map((each) => each.split(" ")[2]),
      loose,
    );
  });

  test("permissions: write-all fails, silence is unknown, what is written holds", () => {
    expect(one("on: push\njobs: { a: { runs-on: x, steps: [] } }\n", "RG-08"), /^unknown .*that was not read/);
    expect(one("on: push\npermissions: write-all\njobs: { a: { runs-on: x, steps: [] } }\n", "RG-08"), /^fail/);
    expect(
      one("on: push\npermissions: { id-token: write }\njobs: { a: { runs-on: x } }\n", "RG-08"),
      /^pass .*write: id-token/,
    );
  });
});

describe("RG-13, RG-14 and RG-24: the allowlist", () => {
  const path = ".github/sallyport.yaml";
  const native = ".github/egress-firewall.yaml";
  const policy = (hosts: string, more = "reason: builds, owner: sec") =>
    `version: 1\ndefault: { mode: enforce }\nrules:\n  - { name: all, to: [${hosts}], ${more} }\n`;
  const said = (rule: string, files: Record<string, string>) =>
    of(
      check(repository({ "ci.yml": job("push", "ubuntu-latest", ours) }, { files: new Map(Object.entries(files)) })),
      rule,
    );

  test("ways out that anybody has, wildcards, and rules without reason or owner", () => {
    expect(said("RG-13", { [path]: policy("pypi.org") }), /^pass/);
    expect(said("RG-13", { [path]: policy("webhook.site") }), /^fail medium: .*webhook\.site/);
    expect(said("RG-13", { [path]: policy("api.github.com") }), /^fail medium: .*a token of anybody's/);
    expect(said("RG-13", { [path]: policy("pypi.org", "owner: sec") }), /^fail low: .*no reason/);
    expect(said("RG-13", { [native]: "mode: enforce\nallow: [api.github.com]\n" }), /^fail medium/);
    expect(said("RG-13", { [path]: "version: 1\nrules: [" }), /^unknown .*does not load/);
  });

  test("lists in steps, each product's by its own input", () => {
    const step = (uses: string, list: string) =>
      one(job("push", "ubuntu-latest", `      - uses: ${uses}@${sha}\n        with: { ${list} }`), "RG-13");
    const harden = "step-security/harden-runner";
    expect(step(harden, "allowed-endpoints: 'pypi.org:443 *.example.com:443'"), /^pass|^fail/);
    expect(step(harden, "allowed-endpoints: 'pypi.org:443 webhook.site:443'"), /^fail medium: webhook\.site/);
    expect(step("sallyport/sallyport", "allowed-endpoints: api.github.com"), /^fail .*a token of anybody's/);
    expect(step("bullfrogsec/bullfrog", "allowed-domains: 'pypi.org, *.com'"), /^fail/);
    expect(
      step("code-cargo/cargowall-action", "allowed-hosts: 'raw.githubusercontent.com:443;80'"),
      /^fail .*anybody's repositories/,
    );
    expect(step(harden, "allowed-endpoints: '${{ vars.LIST }}'"), /^unknown .*only GitHub/);
    expect(step(harden, "allowed-endpoints: ''"));
  });

  test("CODEOWNERS: the last pattern that fits counts, and one without owners takes them away", () => {
    const owned = (codeowners: string) => said("RG-14", { CODEOWNERS: codeowners, [native]: "mode: log\n" });
    expect(owned(".github/ @o/sec\n"), /^pass .*CODEOWNERS:1/);
    expect(owned("* @o/all\n/.github/*.yaml @o/sec # theirs\n"), /^pass .*CODEOWNERS:2: .*@o\/sec/);
    expect(owned("* @o/all\n.github/\n"), /^fail .*has no owner/);
    expect(owned("/docs/ @o/docs\n"), /^fail .*no line/);
    expect(owned("egress-firewall.yaml @o/sec\n**/x @b\n"), /^pass/);
    expect(owned("/* @o/sec\n"), /^fail/);
  });

  test("GitHub's file against our policy, host by host", () => {
    const files = (text: string) => ({ [path]: policy("pypi.org, files.pythonhosted.org"), [native]: text });
    const same = "mode: enforce\nno-default-urls: true\nallow: [files.pythonhosted.org, PYPI.org]\n";
    expect(said("RG-24", files(same)), /^pass .*2 hosts/);
    expect(
      said("RG-24", files(same.replace("PYPI.org", "evil.example"))),
      /^fail .*only in GitHub's file: evil\.example; only in .*pypi\.org/,
    );
    expect(said("RG-24", files(same.replace("no-default-urls: true\n", ""))), /^fail .*defaults are on/);
  });
});

test("RG-01: how runners are registered, in code that goes over lines and not in comments", () => {
  const infrastructure = (text: string) =>
    of(check(repository({}, { infrastructure: [{ path: "a.sh", text }] })), "RG-01");
  expect(infrastructure("./config.sh \\\n  --url x --token y\n"), /^fail high: config\.sh without/);
  expect(infrastructure("./config.sh --url x \\\n  --ephemeral\n"), /^pass/);
  expect(infrastructure("# ./config.sh --url x\n./config.sh remove --token x\n"));
  expect(infrastructure("sudo ./svc.sh install\n"), /^fail .*service/);
  expect(infrastructure("enable_ephemeral_runners = false\n"), /^fail/);
});

test("ids stay where lines move, and differ by what they are about", () => {
  const text = job("push", "ubuntu-latest", run);
  const [before] = check(repository({ "ci.yml": text })).filter(({ rule }) => rule === "RG-10");
  const [after] = check(repository({ "ci.yml": `\n\n# more\n${text}` })).filter(({ rule }) => rule === "RG-10");
  assert.equal(after!.id, before!.id);
  assert.notDeepEqual(after!.where, before!.where);
  const all = check(repository({ "a.yml": text, "b.yml": text }));
  assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
});
