/**
 * What people read, word for word (test/support/golden.ts): each file of `golden/` is a policy (and a second policy, or cases)
 * and what the command in its first line prints. Files are called policy.yaml, new.yaml and policy.test.yaml; the time is
 * the start of 2030 unless the command says `--at`.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { goldenFiles, goldenTests, readGolden } from "../../test/support/golden.ts";
import type { Golden } from "../../test/support/golden.ts";
import { askedProcess } from "./asked-process.ts";
import type { AskedProcess } from "./asked-process.ts";
import { casesText, readCases, runCases } from "./cases.ts";
import { checkReport, checkText, problemsText } from "./check.ts";
import type { Protocol } from "./decision.ts";
import { diffPolicies } from "./diff.ts";
import { diffText } from "./diff-text.ts";
import { explain } from "./explain.ts";
import type { Explanation } from "./explain.ts";
import { explainText } from "./explain-text.ts";
import { isPolicyProblems, loadPolicy } from "./load.ts";
import type { LoadedPolicy } from "./load.ts";
import { problemTitles } from "./problem.ts";
import { isQuestionDefect, readQuestion, setScene } from "./question.ts";

const folder = new URL("golden/", import.meta.url);

interface Command extends Golden {
  command: string;
  args: string[];
  now: Date;
  protocol: Protocol | null;
  ech: boolean;
  process: AskedProcess | null;
}

function commandOf(golden: Golden): Command {
  const words = [...golden.words];
  const option = (name: string): string | null => {
    const at = words.indexOf(name);
    return at < 0 ? null : words.splice(at, 2)[1]!;
  };
  const now = new Date(option("--at") ?? "2030-01-01T00:00:00Z");
  const protocol = option("--protocol") as Protocol | null;
  const [step, action, exe] = ["--step", "--action", "--exe"].map((name) => option(name) ?? undefined);
  const process = askedProcess({ step, action, exe });
  const ech = words.includes("--ech");
  const [command, ...args] = words.filter((word) => word !== "--ech");
  return { ...golden, command: command!, args, now, protocol, ech, process };
}

function output(golden: Golden): string {
  const { command, args, now, protocol, ech, process, inputs } = commandOf(golden);
  const [text, second] = inputs;
  const load = (text: string, file: string): LoadedPolicy => {
    const loaded = loadPolicy(text, file, now);
    if (!isPolicyProblems(loaded)) return loaded;
    throw new assert.AssertionError({ message: problemsText(loaded.problems, text, "error") });
  };
  if (command === "check") {
    const report = checkReport("policy.yaml", loadPolicy(text!, "policy.yaml", now));
    return checkText(report, text!);
  }
  const loaded = load(text!, "policy.yaml");
  const scene = setScene(loaded.policy, loaded.engine);
  if (command === "explain") {
    const [source, endpoint] = args.length > 1 ? [args[0]!, args[1]!] : ["any", args[0]!];
    const asked = { source, endpoint, protocol, ech, process };
    const question = readQuestion(scene, asked);
    if (isQuestionDefect(question)) return `${question.message}. ${question.fix}`;
    const explanation = explain(scene, question, now.getTime());
    assertPatchHolds(explanation, asked, text!, now);
    return explainText(explanation);
  }
  if (command === "test") {
    const cases = readCases(scene, second!, "policy.test.yaml");
    if (isPolicyProblems(cases)) return problemsText(cases.problems, second!, "error");
    return casesText(runCases(scene, cases, "policy.test.yaml"));
  }
  assert.equal(command, "diff");
  return diffText(diffPolicies(loaded.policy, load(second!, "new.yaml").policy, now.getTime()));
}

/** Pasting what an explanation offers into the file, where it says, allows what was asked. Rules here are one line each. */
function assertPatchHolds(
  { verdict, patch }: Explanation,
  asked: Parameters<typeof readQuestion>[1],
  text: string,
  now: Date,
): void {
  if (verdict === "allow") return;
  assert.notEqual(patch, null);
  const lines = text.split("\n");
  const { remove, empties, insert } = patch!;
  if (insert !== null) {
    const item = `  ${insert.yaml}`;
    const key = lines.indexOf(`${insert.section}:`);
    const end = lines.findIndex((line, i) => i > key && !line.startsWith(" "));
    if (insert.before !== null) lines[insert.before.line - 1] = `${item}\n${lines[insert.before.line - 1]}`;
    else if (key < 0) lines.push(`${insert.section}:`, item);
    else lines[end] = `${item}\n${lines[end]}`;
  }
  for (const rule of remove) lines[rule.line - 1] = lines[rule.line - 1]!.split("\n").slice(0, -1).join("\n");
  const changed = lines.filter((line) => line !== `${empties}:`).join("\n");
  const loaded = loadPolicy(changed, "policy.yaml", now);
  assert.ok(!isPolicyProblems(loaded), isPolicyProblems(loaded) ? problemsText(loaded.problems, changed, "error") : "");
  const scene = setScene(loaded.policy, loaded.engine);
  const question = readQuestion(scene, asked);
  assert.ok(!isQuestionDefect(question));
  assert.equal(explain(scene, question, now.getTime()).verdict, "allow", changed);
}

describe("golden files", () => {
  goldenTests(folder, output);

  test("show every kind of problem with its place and its fix", () => {
    const shown = new Set<string>();
    for (const file of goldenFiles(folder)) {
      const { command, expected } = commandOf(readGolden(folder, file));
      const pattern =
        /^policy\.yaml:\d+:\d+: (?:error|warning): .*\((\w+)\)\n +\d+ \| .*\n +\| +\^+\n +(?:\|)? ?= fix: \S/gm;
      if (command === "check") for (const match of expected.matchAll(pattern)) shown.add(match[1]!);
    }
    assert.deepEqual([...shown].toSorted(), Object.keys(problemTitles).toSorted());
  });

  test("show each command", () => {
    const commands = goldenFiles(folder).map((file) => commandOf(readGolden(folder, file)).command);
    assert.deepEqual([...new Set(commands)].toSorted(), ["check", "diff", "explain", "test"]);
    assert.ok(commands.length >= 40);
  });
});
