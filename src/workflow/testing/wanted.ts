/** A step and a scope for tests, and random workflows with every layout that people write. */
import fc from "fast-check";
import type { Scope, StepWanted } from "../options.ts";

export const wanted: StepWanted = {
  repository: "sallyport/sallyport",
  ref: "abcdefabcdefabcdefabcdefabcdefabcdefabcd",
  comment: "v1",
  mode: null,
  policy: null,
};

export const scope: Scope = {
  repository: wanted.repository,
  assumeLinux: false,
  except: new Set(),
  paths: new Set([".github/workflows/called.yml"]),
};

/** Lines of one step, the first behind the dash. */
const step = fc.constantFrom(
  ["run: make"],
  ["uses: actions/checkout@v5 # the code", "with:", "  fetch-depth: 0"],
  ['name: "quoted: yes"', "run: |", "  steps:", "    - not: a step", "", "  # no comment"],
  ["run: >-", "  folded", "  text", "env: { A: 'b', C: \"d\" }"],
  ["id: x", "", "# between", "run: 'a'"],
  ["uses: ./.github/actions/x"],
);
const runner = fc.constantFrom("ubuntu-latest", "[self-hosted, linux]", "{ group: big }", "'ubuntu-24.04'");
const spaces = (least: number, most: number) => fc.integer({ min: least, max: most }).map((n) => " ".repeat(n));
/** What stands between `steps:` and the first dash, and between steps. */
const between = fc.constantFrom([], [], ["# about"], [""], ["# one", "", "# two"], ["", "    "]);

const job = fc.record({
  runner,
  steps: fc.array(fc.tuple(step, between), { minLength: 1, maxLength: 4 }),
  indent: spaces(0, 5),
  gap: spaces(1, 3),
  inner: spaces(1, 4),
  tail: fc.constantFrom("", " # tail", "   "),
  after: fc.constantFrom([], ["timeout-minutes: 5"], ["env:", "  A: b"]),
});

/** A workflow whose jobs can all take the step. */
export const workflows: fc.Arbitrary<string> = fc
  .record({
    jobs: fc.array(job, { minLength: 1, maxLength: 4 }),
    indent: spaces(1, 4),
    eol: fc.constantFrom("\n", "\r\n"),
    mark: fc.constantFrom("", "\uFEFF"),
    start: fc.constantFrom([], ["---"], ["# A workflow", ""]),
    ends: fc.boolean(),
  })
  .map(({ jobs, indent, eol, mark, start, ends }) => {
    const lines = [...start, "on: push", "jobs:"];
    for (const [i, each] of jobs.entries()) {
      const keys = `${indent}${each.inner}`;
      const dash = `${keys}${each.indent}`;
      lines.push(`${indent}job-${i}:`, `${keys}runs-on: ${each.runner}`, `${keys}steps:${each.tail}`);
      for (const [step, before] of each.steps) {
        lines.push(...before.map((line) => (line.trim() === "" ? line : `${dash}${line}`)));
        const [first, ...rest] = step;
        const body = " ".repeat(dash.length + 1 + each.gap.length);
        lines.push(`${dash}-${each.gap}${first}`, ...rest.map((line) => (line === "" ? "" : `${body}${line}`)));
      }
      lines.push(...each.after.map((line) => `${keys}${line}`));
    }
    return mark + lines.join(eol) + (ends ? eol : "");
  });
