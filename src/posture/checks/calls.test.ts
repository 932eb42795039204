/**
 * Reusable workflows and composite actions: what is said of a called job names who calls it and where it stands; what was not read
 * is unknown, and never passes.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RepositoryFacts } from "../facts.ts";
import type { Finding } from "../finding.ts";
import { whereText } from "../finding.ts";
import { check, job, repository, sha } from "../testing/repository.ts";

const ours = `      - uses: sallyport/sallyport@${sha}`;
const run = "      - run: make";
const shared = `octo/shared/.github/workflows/build.yml@${sha}`;
const caller = (on: string, uses: string, more = "") =>
  `on: ${on}\npermissions: {}\njobs:\n  go:\n    uses: ${uses}\n${more}`;
const callee = (runsOn: string, steps: string) =>
  `on: { workflow_call: { inputs: { runner: { type: string } } } }\npermissions: {}\njobs:\n  build:\n    runs-on: ${runsOn}\n    steps:\n${steps}\n`;

function said(findings: readonly Finding[], ...rules: string[]): string[] {
  return findings
    .filter(({ rule }) => rules.includes(rule))
    .map(({ rule, status, subject, seen, where }) => `${rule} ${status} ${whereText(where)} ${subject}: ${seen}`);
}
const action = (steps: string) => `name: x\nruns:\n  using: composite\n  steps:\n${steps}\n`;
const elsewhere = (texts: Record<string, string>, more: Partial<RepositoryFacts> = {}) => ({
  called: Object.entries(texts).map(([path, text]) => ({ path, text })),
  ...more,
});

function expect(lines: readonly string[], ...patterns: RegExp[]): void {
  assert.equal(lines.length, patterns.length, lines.join("\n"));
  for (const [i, pattern] of patterns.entries()) assert.match(lines[i]!, pattern);
}

describe("a workflow of the repository", () => {
  test("without a control names its callers, with lines", () => {
    const files = {
      "a.yml": caller("push", "./.github/workflows/c.yml"),
      "b.yml": caller("push", "$/.github/workflows/c.yml"),
      "c.yml": callee("ubuntu-latest", run),
    };
    expect(
      said(check(repository(files)), "RG-10"),
      /^RG-10 fail \.github\/workflows\/c\.yml:6:5 .*c\.yml#build: no step of 1.*; called by \.github\/workflows\/a\.yml:5:11, \.github\/workflows\/b\.yml:5:11$/,
    );
  });

  test("that is not there is unknown, for the control and for forks", () => {
    const files = { "a.yml": caller("pull_request", "./.github/workflows/none.yml") };
    expect(
      said(check(repository(files)), "RG-07", "RG-10"),
      /^RG-10 unknown .*which is not here/,
      /^RG-07 unknown .*a\.yml:5:11 .*pull_request leads to .*none\.yml, which is not here/,
    );
  });

  test("gets its runner from a caller's caller and a caller's matrix", () => {
    const middle =
      "on: { workflow_call: { inputs: { where: { type: string } } } }\npermissions: {}\njobs:\n  on:\n    uses: ./.github/workflows/c.yml\n    with: { runner: '${{ inputs.where }}' }\n";
    const top = caller(
      "pull_request",
      "./.github/workflows/b.yml",
      "    strategy: { matrix: { where: [ubuntu-latest, self-hosted] } }\n    with: { where: '${{ matrix.where }}' }\n",
    );
    const files = { "a.yml": top, "b.yml": middle, "c.yml": callee("${{ inputs.runner }}", ours) };
    expect(
      said(check(repository(files)), "RG-07"),
      /^RG-07 fail .*pull_request \(by way of .*a\.yml:5:11, .*b\.yml:5:11\) runs a fork's code/,
    );
  });

  test("is held off by a caller's condition, where a stranger cannot edit that", () => {
    const guard = "    if: github.event.pull_request.head.repo.full_name == github.repository\n";
    const files = (on: string, more: string) => ({
      "a.yml": caller(on, "./.github/workflows/c.yml", more),
      "c.yml": callee("self-hosted", ours),
    });
    expect(said(check(repository(files("pull_request_target", ""))), "RG-07"), /^RG-07 fail/);
    // Other repositories may call it.
    expect(
      said(check(repository(files("pull_request_target", guard))), "RG-07"),
      /^RG-07 unknown .*other repositories/,
    );
    expect(said(check(repository(files("pull_request", guard))), "RG-07"), /^RG-07 fail/);
  });
});

describe("a workflow elsewhere", () => {
  test("counts job by job where it was read: the finding stands at the call, and names the called line", () => {
    const files = { "a.yml": caller("pull_request", shared, "    with: { runner: self-hosted }\n") };
    const read = elsewhere({ [shared]: callee("${{ inputs.runner }}", run) });
    expect(
      said(check(repository(files, read)), "RG-07", "RG-10"),
      /^RG-10 fail \.github\/workflows\/a\.yml:5:11 octo\/shared\/.*@[0-9a-f]+#build: octo\/shared\/.*:6:5: no step of 1.*; called by \.github\/workflows\/a\.yml:5:11$/,
      /^RG-07 fail \.github\/workflows\/a\.yml:5:11 .*#build: octo\/shared\/.*:5:5: runs-on .*by way of \.github\/workflows\/a\.yml:5:11\) runs a fork's code/,
    );
    const good = elsewhere({ [shared]: callee("ubuntu-latest", ours) });
    expect(said(check(repository(files, good)), "RG-07", "RG-10"), /^RG-10 pass/);
  });

  test("that calls its own, in a circle, ends; what those lead to is told apart by the commit", () => {
    const inner = `octo/shared/.github/workflows/inner.yml@${sha}`;
    const read = elsewhere({
      [shared]: caller("workflow_call", "./.github/workflows/inner.yml"),
      [inner]: `${callee("ubuntu-latest", run)}  back:\n    uses: ./.github/workflows/build.yml\n`,
    });
    expect(
      said(check(repository({ "a.yml": caller("push", shared) }, read)), "RG-10"),
      /^RG-10 fail \.github\/workflows\/a\.yml:5:11 octo\/shared\/\.github\/workflows\/inner\.yml@/,
    );
    const other = elsewhere({ [shared]: caller("workflow_call", "./.github/workflows/inner.yml") });
    expect(
      said(check(repository({ "a.yml": caller("push", shared) }, other)), "RG-10"),
      /^RG-10 unknown \.github\/workflows\/a\.yml:5:11 .*build\.yml@.*#go: .*whose jobs were not read/,
    );
  });

  test("that was not read is unknown with the reason, and its own triggers start nothing here", () => {
    const why = { notCalled: [{ path: shared, why: "the token may not (403)" }] };
    const files = { "a.yml": caller("issue_comment", shared) };
    expect(
      said(check(repository(files, why)), "RG-07", "RG-10"),
      /^RG-10 unknown .*whose jobs were not read: the token may not \(403\)/,
      /^RG-07 unknown .*issue_comment leads to octo\/shared/,
    );
    const broken = elsewhere({ [shared]: "on: push\njobs:\n\tx: 1\n" });
    expect(
      said(check(repository(files, broken)), "RG-10"),
      /^RG-10 unknown .*a\.yml:5:11 .*whose jobs were not read: .*[Tt]ab/,
    );
    const others = elsewhere({ [shared]: job("pull_request", "self-hosted", ours) });
    expect(said(check(repository({ "a.yml": caller("push", shared) }, others)), "RG-07"), /^RG-07 pass/);
  });
});

describe("a composite action", () => {
  const files = new Map([
    ["tools/all/action.yml", action("    - uses: ./tools/inner")],
    [
      "tools/inner/action.yaml",
      action(`    - uses: a/loose@v1\n    - uses: sallyport/sallyport@${sha}\n    - uses: ./tools/all`),
    ],
  ]);
  const text = job("push", "ubuntu-latest", `      - uses: actions/checkout@${sha}\n      - uses: ./tools/all`);

  test("with a control in it comes too late, and the finding says where it is and who uses it", () => {
    expect(
      said(check(repository({ "ci.yml": text }, { files })), "RG-10"),
      /^RG-10 fail .*Sallyport is in a composite action \(tools\/inner\/action\.yaml:6:13, used on line 8\), too late/,
    );
  });

  test("pins what it uses, as steps beside each other do", () => {
    const beside = job(
      "push",
      "ubuntu-latest",
      `${ours}\n      - parallel:\n          - uses: b/loose@main\n          - run: x`,
    );
    expect(
      said(check(repository({ "ci.yml": beside }, { files })), "RG-09"),
      /^RG-09 fail .*ci\.yml#build: b\/loose@main/,
      /^RG-09 fail tools\/inner\/action\.yaml:5:13 tools\/inner\/action\.yaml: a\/loose@v1: .*in a composite action/,
      /^RG-09 unknown .*ci\.yml:9:19 actions of other repositories: 2 actions .*: a\/loose, b\/loose$/,
    );
  });
});

describe("RG-09: what stands elsewhere at the commit that a call names", () => {
  const notOpened = /^RG-09 unknown .* actions? of other repositories (?:is|are) not opened/;
  const pinned = /^RG-09 pass .*all pinned: \d by commit/;
  const of = (text: string, more: Partial<RepositoryFacts> = {}) =>
    said(check(repository({ "ci.yml": text }, more)), "RG-09");

  test("a workflow that was not read is unknown, for its pins, its controls and for forks", () => {
    const files = { "ci.yml": caller("pull_request", shared) };
    const found = check(repository(files));
    const go = found.filter(({ subject }) => subject.includes("#go"));
    assert.deepEqual(go.map(({ rule, status }) => `${rule} ${status}`).toSorted(), [
      "RG-07 unknown",
      "RG-09 unknown",
      "RG-10 unknown",
    ]);
    for (const { where, fix } of go) {
      assert.equal(whereText(where), ".github/workflows/ci.yml:5:11");
      assert.match(fix, /^Look at the repository by --github/);
    }
    const why = { notCalled: [{ path: shared, why: "the token may not (403)" }] };
    expect(
      of(files["ci.yml"], why),
      pinned,
      /^RG-09 unknown .*: it calls .*, whose jobs were not read: the token may not \(403\)/,
    );
  });

  test("one that was read is judged as one's own is, at the call; what it calls in turn is unknown", () => {
    const far = "octo/far/.github/workflows/far.yml@main";
    const deep = `${callee("ubuntu-latest", `${ours}\n      - uses: a/loose@v1\n      - uses: ./tool`)}  more: { uses: ${far} }\n`;
    const image = deep.replace("    steps:", "    container: node:24\n    steps:");
    expect(
      of(caller("push", shared), elsewhere({ [shared]: image })),
      pinned,
      /^RG-09 unknown .*ci\.yml:5:11 octo.*#more: .*: it calls octo\/far.*, whose jobs were not read/,
      /^RG-09 fail .*ci\.yml:5:11 octo.*#build: a\/loose@v1: octo.*build\.yml@\w+:9:15: a\/loose@v1 is pinned by a name/,
      /^RG-09 fail .*#build: node:24: .*node:24 is pinned by a name/,
      /^RG-09 fail .*#more: octo\/far.*@main: .*@main is pinned by a name/,
      /^RG-09 unknown .*2 actions .*: \.\/tool \(in octo\/shared.*\), a\/loose$/,
    );
    // By another name of the same kind, pinned and without an action: nothing is left to be looked at.
    expect(of(caller("push", shared), elsewhere({ [shared]: callee("ubuntu-latest", ours) })), pinned);
  });

  test("an action that is not opened is unknown, whether it is a job's or an action's; one that is locked, an image and ours are not", () => {
    expect(of(job("push", "ubuntu-latest", `${ours}\n      - uses: o/tools/setup@${sha}`)), pinned, notOpened);
    const inner = new Map([["t/action.yml", action(`    - uses: o/x@${sha}`)]]);
    const local = job("push", "ubuntu-latest", `${ours}\n      - uses: ./t`);
    expect(of(local, { files: inner }), pinned, /^RG-09 unknown t\/action\.yml:5:13 .*1 action .*: o\/x$/);
    const quiet = `${ours}\n      - uses: o/x@v1\n      - uses: docker://x@sha256:${"0".repeat(64)}`;
    const locked = (entries: Record<string, string>) => {
      const lines = Object.entries(entries).map(([use, more]) => `  '${use}': { commit: 'sha1-${sha}'${more} }\n`);
      const lock = `workflows:\n  .github/workflows/ci.yml: ['o/x@v1']\ndependencies:\n${lines.join("")}`;
      return of(job("push", "ubuntu-latest", quiet), { files: new Map([[".github/workflows/actions.lock", lock]]) });
    };
    const ids = ", owner_id: 1, repo_id: 2";
    // As gh actions-lock writes it: what a composite action uses is listed, and what uses nothing lists nothing.
    expect(locked({ "o/x@v1": ids }), pinned);
    expect(
      locked({ "o/x@v1": `${ids}, uses: ['o/y@v2']`, "o/y@v2": `${ids}, uses: ['o/z@v3']`, "o/z@v3": ids }),
      pinned,
    );
    expect(locked({ "o/x@v1": `${ids}, uses: ['o/y@v2']`, "o/y@v2": `${ids}, uses: ['o/x@v1']` }), pinned);
    for (const entries of [
      { "o/x@v1": "" },
      { "o/x@v1": `${ids}, uses: ['o/y@v2']` },
      { "o/x@v1": `${ids}, uses: o/y@v2`, "o/y@v2": ids },
      { "o/x@v1": `${ids}, uses: [['o/y@v2']]`, "o/y@v2": ids },
      { "o/x@v1": `${ids}, uses: ['o/y@v2']`, "o/y@v2": "" },
      { "o/x@v1": `${ids}, uses: ['o/y@v2']`, "o/y@v2": `${ids}, uses: ['o/z@v3']` },
    ])
      expect(locked(entries), pinned, notOpened);
    expect(of(job("push", "ubuntu-latest", quiet)), /^RG-09 fail .*o\/x@v1/, notOpened);
  });
});
