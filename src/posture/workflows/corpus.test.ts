/**
 * Whole repositories of workflows from seeds: which runners a job can get and what a stranger reaches, against a reference that was
 * written down while the texts were made; and what GitHub's parser refuses, with plain steps passed over and without.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomFrom, workflowCorpus } from "../../../test/support/workflow-corpus.ts";
import type { ModelWorkflow } from "../../../test/support/workflow-corpus.ts";
import { githubValidator } from "../sources/parser-schema.ts";
import { controlsOf } from "./control.ts";
import { reachOf } from "./reach.ts";
import { readWorkflowTexts } from "./read.ts";
import type { RunsOn } from "./runs-on.ts";

const seeds = [1, 2, 3, 4];
const textsOf = (files: ReadonlyMap<string, string>) => [...files].map(([path, text]) => ({ path, text }));

/** As the reference writes it. */
function runnersOf({ possible, isWhole }: RunsOn): string[] {
  const sets = possible.map(({ labels, group }) => labels.toSorted().join() + (group === null ? "" : `@${group}`));
  return [...new Set([...sets, ...(isWhole ? [] : ["?"])])].toSorted();
}

const open = {
  ...{ pull_request: "code", pull_request_target: "input", issue_comment: "input", issues: "input" },
} as const;

/** Every way a trigger can go, step by step until nothing new comes. */
function reference(model: readonly ModelWorkflow[]): Map<string, Set<string>> {
  const reached = new Map(model.map(({ path }) => [path, new Set<string>()] as const));
  for (const { path, on } of model) {
    for (const trigger of on)
      if (trigger in open) reached.get(path)!.add(`${trigger} ${open[trigger as keyof typeof open]}`);
  }
  for (let before = -1, now = 0; before !== now;) {
    before = now;
    for (const { path, name, jobs } of model) {
      for (const { calls } of jobs)
        for (const each of reached.get(path)!) if (calls) reached.get(calls.path)!.add(each);
      for (const follower of model.filter(({ after }) => after.includes(name)))
        for (const each of reached.get(path)!) reached.get(follower.path)!.add(`${each.split(" ")[0]} input`);
    }
    now = [...reached.values()].reduce((sum, set) => sum + set.size, 0);
  }
  return reached;
}

for (const seed of seeds)
  test(`seed ${seed}: runners, controls and reach are the reference's`, () => {
    const { files, model } = workflowCorpus(seed, 60);
    const { read, unreadable } = readWorkflowTexts(textsOf(files));
    assert.deepEqual(unreadable, []);
    const reached = reachOf(read);
    const expected = reference(model);
    let byInput = 0;
    for (const [i, { path, jobs }] of read.entries()) {
      const about = model[i]!;
      assert.equal(path, about.path);
      assert.deepEqual(
        new Set((reached.get(path) ?? []).map(({ trigger, means }) => `${trigger} ${means}`)),
        expected.get(path),
        path,
      );
      for (const [j, { id, job, runsOn, calls }] of jobs.entries()) {
        const one = about.jobs[j]!;
        assert.deepEqual([id, calls], [one.id, one.calls?.path ?? null]);
        if (one.calls !== null) continue;
        if (one.byInput && one.runners.length > 1) byInput++;
        const runners = [...new Set(one.runners.map((each) => each ?? "?"))].toSorted();
        assert.deepEqual(runnersOf(runsOn), runners, `${path}#${id}\n${files.get(path)}`);
        const [control] = controlsOf(read[i]!.source, job, "sallyport/sallyport");
        assert.equal(control?.index === 0, one.hasControl);
      }
    }
    assert.ok(byInput > 0, "no runner was passed by a caller");
  });

/** Lines that are wrong, odd or newer than the parser, to be put anywhere. */
const odd = [
  ...["    bogus: 1", "        background: true", "      - wait: a", "      - parallel:\n          - run: x"],
  ...["    permissions: { contents: 7 }", "    timeout-minutes: ${{ nope( }}", "    if: ${{ secrets.X }}"],
  ...["      - run: |\n          a ${{ bad.ctx }} b", "      - run: ${{ github.ref", "        env: { a: 1, A: x }"],
  ...["        env: { A: [1] }", "        with: { '': x }", "        id: ''", "      - uses: ''", "      - run:"],
  ...["      - { uses: a/b@v1, run: x }", "      - name: ${{ github. }}", "        shell: ${{ matrix.x }}"],
  ...[
    "      - &a { run: x }\n      - *a",
    "      - Run: x",
    "        name: ${{ secrets.a }}",
    "      - x",
    "    steps: x",
  ],
];

describe("what GitHub's parser refuses", () => {
  const [short, wholly] = [githubValidator(), githubValidator(true)];

  test("is the same with plain steps passed over, in whole corpora with lines put in and taken out", () => {
    const random = randomFrom(9);
    const texts = textsOf(workflowCorpus(5, 300).files).map(({ path, text }) => {
      const lines = text.split("\n");
      for (let n = 0; n < 2; n++) {
        const at = Math.floor(random() * lines.length);
        if (random() < 0.7) lines.splice(at, 0, odd[Math.floor(random() * odd.length)]!);
        else lines[at] = lines[at]!.replace(/[a-z]/, "q");
      }
      return { path, text: lines.join("\n") };
    });
    const { read } = readWorkflowTexts(texts);
    const refused = read.filter(({ source }) => {
      const said = short(source);
      assert.deepEqual(said, wholly(source), source.text);
      return said.length > 0;
    });
    assert.ok(refused.length > 20 && refused.length < read.length, `${refused.length} of ${read.length}`);
  });

  test("and nothing where all is well", () => {
    const { read } = readWorkflowTexts(textsOf(workflowCorpus(6, 60).files));
    for (const { source } of read) assert.deepEqual(wholly(source), []);
  });
});
