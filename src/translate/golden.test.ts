/**
 * What an import or export prints, word for word (test/support/golden.ts): the first line names the format (`auto`: recognised)
 * and the file. Behind the policy stands what goes to stderr, and the exit code. Every policy that comes out loads.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { goldenFiles, goldenTests, readGolden } from "../../test/support/golden.ts";
import type { Golden } from "../../test/support/golden.ts";
import { problemsText } from "../policy/check.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { exportFormats, exportPolicy } from "./export.ts";
import type { ExportFormat } from "./export.ts";
import { importFormats, importPolicy } from "./import.ts";
import type { ImportFormat } from "./import.ts";
import { isLoss, noteText } from "./note.ts";

const folder = new URL("golden/", import.meta.url);

const now = new Date("2030-01-01T00:00:00Z");

function output({ words, inputs }: Golden): string {
  const [format, file, ...flags] = words;
  if (format === "export") return exported(file as ExportFormat, flags[0]!, flags[2] ?? null, inputs[0]!);
  const sources = new Map<string, string[]>();
  for (const [i, flag] of flags.entries()) {
    const [name, subnet] = flags[i + 1]?.split("=") ?? [];
    if (flag === "--source") sources.set(name!, [subnet!]);
  }
  const job = flags.includes("--job") ? flags[flags.indexOf("--job") + 1]! : null;
  const options = { sources, job, anySource: flags.includes("--any-source"), web: flags.includes("--web") };
  const imported = importPolicy(inputs[0]!, file!, format === "auto" ? null : (format as ImportFormat), options);
  if (isPolicyProblems(imported)) return `${problemsText(imported.problems, inputs[0]!, "error")}\n(exit 2)`;
  const loaded = loadPolicy(imported.text, "sallyport.yaml", now);
  assert.deepEqual(isPolicyProblems(loaded) ? loaded.problems : [], []);
  const losses = imported.notes.filter(isLoss).map((note) => noteText(file!, note));
  assert.equal(imported.complete, losses.length === 0);
  return [imported.text, ...losses, `(exit ${losses.length === 0 ? 0 : 1})`].join("\n");
}

function exported(format: ExportFormat, file: string, source: string | null, text: string): string {
  const loaded = loadPolicy(text, file, now);
  assert.ok(!isPolicyProblems(loaded));
  const result = exportPolicy(loaded.policy, loaded.engine, format, { source, now: now.getTime() });
  const losses = result.notes.filter(isLoss).map((note) => noteText(file, note));
  return [result.text, ...losses, `(exit ${result.complete ? 0 : 1})`].join("\n");
}

describe("golden files of imports and exports", () => {
  goldenTests(folder, output);

  test("show each format, and a place in every problem", () => {
    const goldens = goldenFiles(folder).map((file) => readGolden(folder, file));
    const shown = new Set(
      goldens.map(({ expected }) => /^# From .*?, (.*), by `sallyport/m.exec(expected.replaceAll("\n#   ", " "))?.[1]),
    );
    for (const { product } of Object.values(importFormats)) assert.ok(shown.has(product), product);
    for (const format of Object.keys(exportFormats)) {
      assert.ok(
        goldens.some(({ words }) => words[0] === "export" && words[1] === format),
        format,
      );
    }
    for (const { expected } of goldens.filter(({ expected }) => expected.includes("(exit 2)")))
      assert.match(expected, /^\S+:\d+:\d+: error: .*\n(?:.*\n)*? +\|? ?= fix: \S/);
  });
});
