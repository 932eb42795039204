/**
 * Adding the step changes nothing else. For random workflows: what is read again is the same but for the step, every line is still
 * there and in order, a second time changes nothing, and a check is clean. And hostile texts end in a finding, soon.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parse } from "yaml";
import { addStep } from "./add.ts";
import { checkWorkflow } from "./check.ts";
import { firewalls } from "./jobs.ts";
import { scope, wanted, workflows } from "./testing/wanted.ts";

type Jobs = Record<string, { steps: Record<string, unknown>[] }>;
const path = ".github/workflows/ci.yml";
const add = (text: string) => addStep(path, text, wanted, scope);
const jobsIn = (text: string) => (parse(text) as { jobs: Jobs }).jobs;
const ours = { uses: `${wanted.repository}@${wanted.ref}`, with: { "egress-policy": "audit" } };

/** The lines of `whole` have those of `part` among them, in order. */
function keepsLines(part: string, whole: string): boolean {
  const rest = whole.split("\n").values();
  return part.split("\n").every((line) => rest.some((each) => each === line));
}

describe("adding the step", () => {
  test("to random workflows puts it first and changes nothing else", () => {
    fc.assert(
      fc.property(workflows, (text) => {
        const { text: out, findings, done } = add(text);
        assert.deepEqual(findings, []);
        const before = parse(text) as { jobs: Jobs };
        for (const job of Object.values(before.jobs)) job.steps.unshift(ours);
        assert.deepEqual(parse(out), before);
        assert.equal(done.length, Object.keys(before.jobs).length);
        assert.ok(keepsLines(text, out));
        assert.equal(/(?<!\r)\n/.test(out), /(?<!\r)\n/.test(text), "line breaks");
        assert.deepEqual({ again: add(out).text, done: add(out).done }, { again: out, done: [] });
        assert.deepEqual(checkWorkflow(path, out, scope, null), []);
      }),
      { numRuns: 400 },
    );
  });

  test("where another firewall stands anywhere replaces it, keeps all others, and a check is clean", () => {
    const product = fc.constantFrom(...Object.keys(firewalls));
    fc.assert(
      fc.property(workflows, product, fc.nat(), (text, action, seed) => {
        // In place of a step that is one line, or of the version of one.
        const places = [...text.matchAll(/run: make|uses: \.\/\.github\/actions\/x/g)];
        fc.pre(places.length > 0);
        const { index, 0: found } = places[seed % places.length]!;
        const mixed = `${text.slice(0, index)}uses: ${action}@v2${text.slice(index + found.length)}`;
        const { text: out, findings, done } = add(mixed);
        assert.deepEqual(findings, []);
        assert.equal(done.filter(({ what }) => what === "replaced").length, 1);
        const was = Object.values(jobsIn(mixed)).map(({ steps }) =>
          steps.filter(({ uses }) => uses !== `${action}@v2`),
        );
        const is = Object.values(jobsIn(out)).map(({ steps: [first, ...rest] }) => {
          assert.equal(first!["uses"], ours.uses);
          return rest;
        });
        assert.deepEqual(is, was);
        assert.equal(add(out).text, out);
        assert.deepEqual(checkWorkflow(path, out, scope, null), []);
      }),
      { numRuns: 200 },
    );
  });
});

describe("hostile and odd texts", () => {
  const head = "on: push\njobs:\n";
  const body = "  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: make\n";

  test("end in one finding, at its place, and change nothing", () => {
    const deep = "[".repeat(50_000);
    const cases: Record<string, string> = {
      "10 MB": `# ${"x".repeat(10_000_000)}\n${head}${body}`,
      deep: `a: ${deep}`,
      "lone carriage return": `${head}${body}# a\r  b: c\n`,
      empty: "",
      control: "\u0000",
      "duplicate key": `${head}${body}${body}`,
      "many values": `${head}${body}x: [${"1,".repeat(250_000)}]\n`,
    };
    for (const [name, text] of Object.entries(cases)) {
      const { findings, text: out } = add(text);
      assert.deepEqual([findings.length, findings[0]?.code, out === text], [1, "unreadable", true], name);
      assert.deepEqual(checkWorkflow(path, text, scope, null), findings, name);
    }
  });

  test("aliases that multiply cost nothing, and the step is added", () => {
    const bomb = Array.from({ length: 30 }, (_, i) =>
      i === 0 ? "x0: &x0 [a, a]\n" : `x${i}: &x${i} [*x${i - 1}, *x${i - 1}, *x${i - 1}]\n`,
    ).join("");
    const { findings, text } = add(bomb + head + body);
    assert.deepEqual(findings, []);
    assert.ok(text.startsWith(bomb) && text.includes(ours.uses));
  });

  test("jobs that are named with --except are left alone, by job and by file", () => {
    for (const name of ["a", "ci.yml#a", `${path}#a`]) {
      const excepted = { ...scope, except: new Set([name]) };
      assert.equal(addStep(path, head + body, wanted, excepted).text, head + body);
      assert.deepEqual(checkWorkflow(path, head + body, excepted, null), []);
    }
    assert.equal(checkWorkflow(path, head + body, { ...scope, except: new Set(["b.yml#a"]) }, null).length, 1);
  });
});
