/**
 * The small edits: each does what it says, keeps every other byte (line breaks, comments, quoting, byte order mark), and where it
 * cannot be made safely it is not made, and that is said. And the plan over them: nothing is changed that answers no finding.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { wanted as step, workflows } from "../../workflow/testing/wanted.ts";
import { check, frame, repository, sha, validate } from "../testing/repository.ts";
import { planFiles } from "./files.ts";
import { editLines, useKey } from "./lines.ts";
import type { LinesWanted } from "./lines.ts";

const own = "sallyport/sallyport";
const none: LinesWanted = { permissions: false, pins: new Map(), strict: new Set(), own };
const edit = (text: string, more: Partial<LinesWanted>) => editLines("ci.yml", text, { ...none, ...more });
const job = (...steps: string[]) =>
  ["on: push", "jobs:", "  a:", "    runs-on: ubuntu-latest", "    steps:", ...steps, ""].join("\n");

describe("permissions", () => {
  const cases = [
    ["before jobs:", "on: push\njobs:\n", "on: push\npermissions:\n  contents: read\njobs:\n"],
    [
      "before its comments",
      "on: push\n\n# All\njobs:\n",
      "on: push\n\npermissions:\n  contents: read\n\n# All\njobs:\n",
    ],
    ["behind the file's own comment", "# Licence\njobs:\n", "# Licence\npermissions:\n  contents: read\njobs:\n"],
    ["with its line breaks", "on: push\r\njobs:\r\n", "on: push\r\npermissions:\r\n  contents: read\r\njobs:\r\n"],
    ["with its indent", "  on: push\n  jobs:\n", "  on: push\n  permissions:\n    contents: read\n  jobs:\n"],
  ] as const;
  for (const [name, before, after] of cases) {
    test(name, () => {
      const eol = before.includes("\r") ? "\r\n" : "\n";
      const rest = `      a:${eol}        runs-on: x${eol}`;
      assert.deepEqual(edit(before + rest, { permissions: true }).text, after + rest);
    });
  }

  test("not where no line can be put: flow, merge keys", () => {
    for (const text of [
      "{ on: push, jobs: { a: { runs-on: x } } }\n",
      "x: &x { on: push }\n<<: *x\njobs: { a: {} }\n",
    ]) {
      const { text: out, refused } = edit(text, { permissions: true });
      assert.deepEqual([out, refused.length], [text, 1]);
    }
  });
});

describe("pins", () => {
  const pins = new Map([[useKey("a", "o/x@v4"), sha]]);
  const one = (line: string) => edit(job(line), { pins });
  test("the name becomes a comment where there is none; quotes and comments stay", () => {
    for (const [before, after] of [
      ["      - uses: o/x@v4", `      - uses: o/x@${sha} # v4`],
      ["      - uses: 'o/x@v4'   ", `      - uses: 'o/x@${sha}' # v4   `],
      ["      - uses: o/x@v4 # why", `      - uses: o/x@${sha} # why`],
      ["      - { uses: o/x@v4, with: { a: b } }", `      - { uses: o/x@${sha}, with: { a: b } }`],
    ] as const)
      assert.equal(one(before).text, job(after), before);
  });

  test("what is not written plainly is left and said", () => {
    for (const line of ["      - uses: >-\n          o/x@v4", '      - uses: "o\\x2fx@v4"']) {
      const { text, refused } = one(line);
      assert.deepEqual([text, refused], [job(line), ["o/x@v4 is not written plainly on one line"]]);
    }
  });

  test("a step by alias is pinned once, where it is written, and the alias stays", () => {
    const text = job("      - &s", "        uses: o/x@v4", "      - *s");
    assert.equal(edit(text, { pins }).text, text.replace("@v4", `@${sha} # v4`));
  });
});

describe("continue-on-error of the control", () => {
  const strict = new Set(["a"]);
  const ours = `${own}@${sha}`;
  test("its line goes; without a line of its own it becomes false; another step's stays", () => {
    for (const [before, after] of [
      [
        ["      - uses: " + ours, "        continue-on-error: true # so", "      - run: x"],
        ["      - uses: " + ours, "      - run: x"],
      ],
      [
        ["      - continue-on-error: true", "        uses: " + ours],
        ["      - continue-on-error: false", "        uses: " + ours],
      ],
      [[`      - { uses: ${ours}, continue-on-error: true }`], [`      - { uses: ${ours}, continue-on-error: false }`]],
      [
        ["      - run: x", "        continue-on-error: true"],
        ["      - run: x", "        continue-on-error: true"],
      ],
    ] as const)
      assert.equal(edit(job(...before), { strict }).text, job(...after));
  });

  test("an anchor in it is left and said", () => {
    const text = job("      - uses: " + ours, "        continue-on-error: &yes true");
    assert.deepEqual([edit(text, { strict }).text, edit(text, { strict }).refused.length], [text, 1]);
  });
});

describe("the plan for files", () => {
  const plan = (texts: Record<string, string>, more: Partial<Parameters<typeof planFiles>[0]> = {}) => {
    const facts = repository(texts);
    const files = new Map(Object.entries(texts).map(([name, text]) => [`.github/workflows/${name}`, text]));
    return planFiles({
      ...{ facts, findings: check(facts), accepted: new Set(), texts: files, frame, validate, step },
      ...{ pins: new Map(), actions: new Map() },
      ...more,
    });
  };

  test("answers what it says, opens what it says, and is empty the second time", () => {
    const text = job("      - uses: actions/checkout@v5", "      - run: make");
    const more = { pins: new Map([["actions/checkout@v5", sha]]) };
    const [file, ...others] = plan({ "ci.yml": text }, more).files;
    assert.deepEqual(others, []);
    assert.deepEqual(file!.reasons.map(({ rule }) => rule).toSorted(), ["RG-08", "RG-09", "RG-10"]);
    assert.deepEqual(
      file!.after.map(({ rule }) => rule),
      ["RG-11"],
    );
    assert.deepEqual(plan({ "ci.yml": file!.to }, more).files, []);
  });

  test("touches nothing that somebody accepted, nor a job with another firewall, nor what somebody wrote on purpose", () => {
    const text = job("      - run: make");
    const accepted = new Set(check(repository({ "ci.yml": text })).map(({ id }) => id));
    assert.deepEqual(plan({ "ci.yml": text }, { accepted }).files, []);
    for (const steps of [
      ["      - run: make", `      - uses: step-security/harden-runner@${sha} # v2.21.0`],
      [`      - uses: ${own}@${sha}`, "        if: success()", "        continue-on-error: true"],
    ]) {
      const [file] = plan({ "ci.yml": job(...steps) }).files;
      assert.deepEqual(
        file?.reasons.map(({ rule }) => rule),
        ["RG-08"],
      );
    }
  });

  test("random workflows: what comes out is answered, and the plan over it is empty", () => {
    fc.assert(
      fc.property(workflows, (made) => {
        // A group alone names no system, and is left to people.
        const text = made.replaceAll("{ group: big }", "{ group: big-linux }");
        const [file] = plan({ "ci.yml": text }).files;
        assert.ok(file !== undefined && file.reasons.some(({ rule }) => rule === "RG-10"), text);
        assert.deepEqual(plan({ "ci.yml": file.to }).files, [], file.to);
      }),
      { numRuns: Number(process.env["SALLYPORT_CASES"] ?? 200_000) / 10_000 },
    );
  });
});
