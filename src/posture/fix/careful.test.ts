/**
 * Where `--fix` keeps its hands off and says why: an edit that GitHub would refuse, that reaches another job, that puts a second
 * firewall beside a first, or that takes a step away from what it needs.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { wanted as step } from "../../workflow/testing/wanted.ts";
import type { RepositoryFacts } from "../facts.ts";
import { check, frame, repository, sha, validate } from "../testing/repository.ts";
import { planFiles } from "./files.ts";
import type { FilesWanted } from "./files.ts";
import { planOf } from "./plan.ts";

const own = `sallyport/sallyport@${sha}`;
const folder = (
  texts: Record<string, string>,
  more: Partial<FilesWanted> = {},
  about: Partial<RepositoryFacts> = {},
): FilesWanted => {
  const facts = repository(texts, about);
  const files = new Map(facts.workflows.map(({ path, text }) => [path, text]));
  return {
    ...{ facts, findings: check(facts), accepted: new Set<string>(), texts: files, frame, validate, step },
    ...{ pins: new Map<string, string>(), actions: new Map<string, never>() },
    ...more,
  };
};
/** What becomes of each file, and why not, as people are told. */
const plan = (...given: Parameters<typeof folder>) => {
  const wanted = folder(...given);
  const groups = { select: new Set<string>(), restrict: new Map<string, string[]>(), listed: new Map<string, never>() };
  const { findings, accepted } = wanted;
  const { files, left } = planOf({ folder: wanted, owners: [], groups, findings, accepted });
  return {
    to: (name: string) => files.find(({ path }) => path.endsWith(name))?.to ?? null,
    left: left.map(({ rule, subject, fix }) => `${rule} ${subject}: ${fix}`).join("\n"),
  };
};
const jobs = (...lines: string[]) => ["on: push", "jobs:", ...lines, ""].join("\n");
const guarded = (id: string) => [`  ${id}:`, "    runs-on: ubuntu-latest", `    steps: [{ uses: ${own} }]`];

describe("permissions at the top", () => {
  test("not where a job without any calls a workflow, which may need more: GitHub refuses such a run", () => {
    const texts = {
      "ci.yml": jobs("  rel:", "    uses: ./.github/workflows/rel.yml", ...guarded("a")),
      "rel.yml": `on: workflow_call\npermissions: { contents: write }\n${jobs(...guarded("b")).slice(9)}`,
    };
    const { to, left } = plan(texts);
    assert.equal(to("ci.yml"), null);
    assert.match(left, /^RG-08 \.github\/workflows\/ci\.yml: job rel calls a workflow/m);
    // It says itself what it needs.
    const said = texts["ci.yml"].replace("rel.yml\n", "rel.yml\n    permissions: { contents: write }\n");
    assert.match(plan({ ...texts, "ci.yml": said }).to("ci.yml")!, /^permissions:\n {2}contents: read\njobs:/m);
  });

  test("not in a workflow that others call: it would ask for what a caller did not give, or lose what it did", () => {
    for (const on of ["workflow_call", "[push, workflow_call]", "{ workflow_call: { inputs: {} } }"]) {
      const { to, left } = plan({ "c.yml": jobs(...guarded("a")).replace("push", on) });
      assert.equal(to("c.yml"), null, on);
      assert.match(left, /^RG-08 .*c\.yml: it is called by others/m, on);
    }
  });
});

describe("steps that jobs share by alias", () => {
  const shared = jobs(
    ...["  lin:", "    runs-on: ubuntu-latest", "    steps: &s", "      - uses: o/x@v1", "      - run: make"],
    ...["  win:", "    runs-on: windows-latest", "    steps: *s"],
  ).replace("jobs:", "permissions: {}\njobs:");

  test("the step is not put where the other job cannot take it, or it was accepted there", () => {
    const { to, left } = plan({ "ci.yml": shared });
    assert.equal(to("ci.yml"), null);
    assert.match(left, /^RG-10 \S+#lin: its steps are by alias those of job win too/m);
    const linux = shared.replace("windows-latest", "ubuntu-24.04");
    const ids = check(repository({ "ci.yml": linux })).filter(
      ({ rule, subject }) => rule === "RG-10" && subject.endsWith("#win"),
    );
    assert.equal(ids.length, 1);
    const accepted = new Set(ids.map(({ id }) => id));
    assert.equal(plan({ "ci.yml": linux }, { accepted }).to("ci.yml"), null);
    assert.match(plan({ "ci.yml": linux }).to("ci.yml")!, /steps: &s\n {6}- uses: sallyport/);
  });

  test("nothing is pinned where the other job's is accepted", () => {
    const pins = new Map([["o/x@v1", sha]]);
    const more = (text: string, name: string) => {
      const found = check(repository({ "ci.yml": text })).filter(
        ({ rule, subject }) => rule === "RG-09" && subject.includes(name),
      );
      return { pins, accepted: new Set(found.map(({ id }) => id)) };
    };
    const { to, left } = plan({ "ci.yml": shared }, more(shared, "#win:"));
    assert.equal(to("ci.yml"), null);
    assert.match(left, /^RG-09 \S+#lin: o\/x@v1: the step is by alias one of job win too/m);
    assert.match(plan({ "ci.yml": shared }, more(shared, "nobody")).to("ci.yml")!, new RegExp(`o/x@${sha} # v1`));
  });

  test("continue-on-error stays where the other job wants it", () => {
    const forgiving = jobs(
      ...["  a:", "    runs-on: ubuntu-latest", "    steps:", `      - &c { uses: ${own}, continue-on-error: true }`],
      ...["  b:", "    runs-on: ubuntu-latest", "    continue-on-error: true", "    steps:", "      - *c"],
    ).replace("jobs:", "permissions: {}\njobs:");
    const { to, left } = plan({ "ci.yml": forgiving });
    assert.equal(to("ci.yml"), null);
    assert.match(left, /^RG-10 \S+#a: the step is by alias one of job b too/m);
    const both = forgiving.replace("    continue-on-error: true\n", "");
    assert.match(plan({ "ci.yml": both }).to("ci.yml")!, /continue-on-error: false/);
  });
});

test("continue-on-error goes off the control that the finding is about, and no other", () => {
  const text = jobs(
    ...["  a:", "    runs-on: ubuntu-latest", "    steps:"],
    ...[`      - uses: ${own}`, "        continue-on-error: true"],
    ...["      - uses: bullfrogsec/bullfrog@v1", "        continue-on-error: true"],
  );
  const out = plan({ "ci.yml": text }).to("ci.yml")!;
  assert.match(out, /- uses: sallyport[^\n]*\n {6}- uses: bullfrogsec\/bullfrog@v1\n {8}continue-on-error: true\n/);
});

describe("no second firewall", () => {
  const harden = `step-security/harden-runner@${sha}`;
  const composite = (uses: string) => `runs:\n  using: composite\n  steps:\n    - uses: ${uses}\n`;
  const actions = new Map([
    [".github/actions/x/action.yml", composite("$/.github/actions/y")],
    [".github/actions/y/action.yml", composite(harden)],
  ]);
  const one = (...steps: string[]) =>
    jobs("  a:", "    runs-on: ubuntu-latest", "    steps:", ...steps).replace("jobs:", "permissions: {}\njobs:");

  for (const use of ["./.github/actions/x", "$/.github/actions/x"])
    test(`beside one in ${use}`, () => {
      const { to, left } = plan({ "ci.yml": one(`      - uses: ${use}`) }, {}, { files: actions });
      assert.equal(to("ci.yml"), null);
      assert.match(
        left,
        /^RG-10 \S+#a: harden-runner is in a composite action \(\.github\/actions\/y\/action\.yml:4:/m,
      );
    });

  test("beside one in parallel:, where it is found and said", () => {
    const { to, left } = plan({
      "ci.yml": one("      - parallel:", `        - uses: ${harden}`, "        - run: make"),
    });
    assert.equal(to("ci.yml"), null);
    assert.match(left, /^RG-10 \S+#a: harden-runner is among steps that run beside each other \(parallel, line 8\)/m);
  });
});

test("a step that needs what comes before it is not moved", () => {
  const text = jobs(
    ...["  a:", "    runs-on: ubuntu-latest", "    steps:", "      - { id: list, run: ./hosts }"],
    ...[`      - uses: ${own}`, "        with: { allowed-endpoints: '${{ steps.list.outputs.hosts }}' }"],
  ).replace("jobs:", "permissions: {}\njobs:");
  const { to, left } = plan({ "ci.yml": text });
  assert.equal(to("ci.yml"), null);
  assert.match(left, /^RG-10 \S+#a: its step 2 cannot be moved to the front: it uses steps\.list/m);
});

test("what runs beside other steps is pinned like any", () => {
  const text = jobs(
    ...["  a:", "    runs-on: ubuntu-latest", "    steps:", `      - uses: ${own}`],
    ...["      - parallel:", "        - uses: o/x@v1", "        - run: make"],
  );
  assert.match(
    planFiles(folder({ "ci.yml": text }))
      .why.values()
      .toArray()
      .join("\n"),
    /say its commit: --pin o\/x@v1=/,
  );
  const pins = new Map([["o/x@v1", sha]]);
  assert.match(plan({ "ci.yml": text }, { pins }).to("ci.yml")!, new RegExp(`- uses: o/x@${sha} # v1\n`));
});
