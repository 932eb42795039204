/**
 * What no file shows is unknown and never passes: an expression that may switch a control off, a mode that is kept elsewhere, a
 * runner whose labels name no system, and events that strangers cause only where something lets them.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { platformOf } from "../../workflow/platform.ts";
import type { Platform } from "../../workflow/platform.ts";
import { readSource } from "../../workflow/source.ts";
import type { RepositoryFacts } from "../facts.ts";
import { check, job, repository, sha } from "../testing/repository.ts";

const ours = `      - uses: sallyport/sallyport@${sha}`;
const harden = `      - uses: step-security/harden-runner@${sha} # v2.21.0`;
const said = (files: Record<string, string>, rule: string, more: Partial<RepositoryFacts> = {}) =>
  check(repository(files, more)).flatMap((each) => (each.rule === rule ? [`${each.status}: ${each.seen}`] : []));
const expect = (lines: readonly string[], ...patterns: RegExp[]) => {
  assert.equal(lines.length, patterns.length, lines.join("\n"));
  for (const [i, pattern] of patterns.entries()) assert.match(lines[i]!, pattern);
};
const one = (runsOn: string, step: string, rule: string) => said({ "ci.yml": job("push", runsOn, step) }, rule);

describe("enabled:", () => {
  const enabled = (text: string) => `${ours}\n        with: { enabled: "${text}", egress-policy: block }`;
  for (const [text, runsOn, control, mode] of [
    ["${{ vars.EGRESS }}", "ubuntu-latest", /^unknown: .*enabled: \$\{\{ vars\.EGRESS \}\} only GitHub/, /^unknown: /],
    ["${{ github.ref == 'x' }}", "ubuntu-latest", /^unknown: /, /^unknown: /],
    ["${{ runner.os == 'Linux' }}", "ubuntu-latest", /^pass: /, /^pass: /],
    ["${{ runner.os == 'Linux' }}", "big-metal", /^unknown: /, /^unknown: /],
    ["${{ runner.os == 'Linux' && vars.X }}", "ubuntu-latest", /^unknown: /, /^unknown: /],
    ["${{ false }}", "ubuntu-latest", /^fail: .*enabled is false/, /./],
    ["true", "ubuntu-latest", /^pass: /, /^pass: /],
  ] as const)
    test(`${text} on ${runsOn}`, () => {
      expect(one(runsOn, enabled(text), "RG-10"), control);
      expect(one(runsOn, enabled(text), "RG-11"), mode);
    });
});

test("harden-runner's mode is its store's where it asks that", () => {
  for (const [more, pattern] of [
    ["use-policy-store: true", /^unknown: harden-runner: use-policy-store: true: StepSecurity's store decides/],
    ["policy: strict", /^unknown: .*policy: strict/],
    ["use-policy-store: '${{ vars.X }}'", /^unknown: /],
    ["use-policy-store: false", /^pass: .*enforces/],
  ] as const)
    expect(one("ubuntu-latest", `${harden}\n        with: { egress-policy: block, ${more} }`, "RG-11"), pattern);
  // Our own input of that name is a file.
  expect(one("ubuntu-latest", `${ours}\n        with: { egress-policy: block, policy: a.yaml }`, "RG-11"), /^pass: /);
});

describe("runs-on that names no system", () => {
  const platform = (runsOn: string): Platform => {
    const source = readSource("a.yml", `on: push\njobs:\n  a:\n    runs-on: ${runsOn}\n`);
    assert.ok("root" in source);
    return platformOf(source, source.value(source.root, "jobs", "a"));
  };
  test("is told from Linux by a word in a label", () => {
    for (const runsOn of ["win-pool", "self-hosted", "[self-hosted, gpu]", "{ group: fast }", "colinuxation"])
      assert.equal(platform(runsOn), "unsaid", runsOn);
    for (const runsOn of ["ubuntu-slim", "[self-hosted, Linux]", "linux-x64-8", "gpu_ubuntu", "{ group: linux-big }"])
      assert.equal(platform(runsOn), "linux", runsOn);
    assert.equal(platform("[self-hosted, windows]"), "other");
  });

  test("is unknown for RG-10, and Linux that is said holds", () => {
    expect(one("win-pool", ours, "RG-10"), /^unknown: .*runs-on win-pool names no system/);
    expect(one("[self-hosted, linux]", ours, "RG-10"), /^pass: /);
  });

  test("is read of what callers pass, too", () => {
    const called = `on: { workflow_call: { inputs: { on: { type: string } } } }\npermissions: {}\njobs:\n  b:\n    runs-on: \${{ inputs.on }}\n    steps:\n${ours}\n`;
    const caller = (on: string) =>
      `on: push\npermissions: {}\njobs:\n  a:\n    uses: ./.github/workflows/b.yml\n    with: { on: ${on} }\n`;
    const files = (on: string) => ({ "a.yml": caller(on), "b.yml": called });
    expect(said(files("windows-latest"), "RG-10"), /^fail: .*Windows/);
    expect(said(files("win-pool"), "RG-10"), /^unknown: /);
    expect(said(files("ubuntu-latest"), "RG-10"), /^pass: /);
  });
});

test("RG-09: images of containers and services are what can be moved, too", () => {
  const digest = `node@sha256:${"a".repeat(64)}`;
  const image = (text: string) => said({ "a.yml": job("push", "ubuntu-latest", ours, text) }, "RG-09");
  expect(image("    container: node:24\n"), /^fail: node:24 is pinned by a name/);
  expect(
    image("    container: { image: node }\n    services: { db: { image: postgres:18 } }\n"),
    /^fail: node /,
    /^fail: postgres:18 /,
  );
  expect(image("    container: { image: '${{ vars.IMAGE }}' }\n"), /^unknown: the image \$\{\{ vars\.IMAGE \}\}/);
  expect(image(`    container: ${digest}\n`), /^pass: all pinned: 1 by commit, 1 by digest$/);
});

describe("RG-09: actions of the repository itself", () => {
  const digest = `docker://a@sha256:${"a".repeat(64)}`;
  const tool = (files: Record<string, string>, more: Partial<RepositoryFacts> = {}) => {
    const workflow = job("push", "ubuntu-latest", `${ours}\n      - uses: ./tool`);
    return said({ "a.yml": workflow }, "RG-09", { files: new Map(Object.entries(files)), ...more });
  };
  const docker = (image: string) => `runs: { using: Docker, image: '${image}' }\n`;
  const pins = /^pass: all pinned: 1 by commit$/;

  test("an image by a tag can be moved, by a digest it cannot; what a Dockerfile is made from is not read", () => {
    expect(
      tool({ "tool/action.yml": docker("docker://a:1") }),
      pins,
      /^fail: the Docker action's image docker:\/\/a:1/,
    );
    expect(tool({ "tool/action.yaml": docker(digest) }), pins, /^pass: the Docker action's image .* by digest$/);
    expect(tool({ "tool/action.yml": docker("Dockerfile") }), pins, /^unknown: .*built from Dockerfile, whose FROM/);
  });

  test("what is not there, cannot be read or is no action is unknown, and GitHub's choice of two files counts", () => {
    const unread = /^unknown: no action that can be read is at \.\/tool/;
    expect(tool({}), pins, unread);
    for (const text of [
      "runs: [\n",
      "runs: { using: docker }\n",
      "runs: { using: docker, image: [docker://a] }\n",
      "runs: { using: docker, image: '' }\n",
      "runs: { using: composite }\n",
      "runs: { using: composite, steps: { uses: a/b@v1 } }\n",
      "runs: { using: [composite], steps: [] }\n",
      `a: &a [${"x,".repeat(50)}]\nb: &b [${"*a,".repeat(50)}]\nc: &c [${"*b,".repeat(50)}]\nruns: { using: docker, image: *c }\n`,
    ])
      expect(tool({ "tool/action.yml": text }), pins, unread);
    expect(tool({ "tool/action.yml": "runs: { steps: [] }\n", "tool/action.yaml": docker(digest) }), pins, unread);
    const both = { "tool/action.yml": docker("docker://a:1"), "tool/action.yaml": docker(digest) };
    expect(tool(both), pins, /^fail: /);
    // A link, or no text: GitHub takes it all the same.
    const hidden = { unread: [{ path: "tool/action.yml", why: "it is a link" }] };
    expect(tool({ "tool/action.yaml": docker(digest) }, hidden), pins, unread);
  });
});

describe("events that strangers cause only where something lets them", () => {
  const on = (event: string) => job(event, "self-hosted", ours);
  for (const [event, pattern] of [
    ["gollum", /^unknown: .*gollum may run with a stranger's input; whether everybody may edit the wiki/],
    ["check_run", /^unknown: .*whether an app reports/],
    ["check_suite", /^unknown: .*whether an app reports/],
    ["status", /^unknown: .*whether an app reports/],
    ["[gollum, issues]", /^fail: .*: issues runs/],
    ["repository_dispatch", /^pass: /],
  ] as const)
    test(event, () => expect(said({ "a.yml": on(event) }, "RG-07"), pattern));

  test("repository_dispatch beside a workflow that strangers start; a fork's own commit can send none", () => {
    const beside = (event: string) => ({
      "a.yml": on("repository_dispatch"),
      "b.yml": job(event, "ubuntu-latest", ours),
    });
    expect(said(beside("issue_comment"), "RG-07"), /^unknown: .*repository_dispatch may run .*strangers can start/);
    expect(said(beside("pull_request"), "RG-07"), /^pass: /);
  });
});
