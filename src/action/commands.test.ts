/** What we write is what GitHub's own toolkit writes, so that the runner reads what was meant (differential). */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as toolkit from "@actions/core";
import fc from "fast-check";
import { annotation, fileCommand, logLine, RunnerFiles, savedState } from "./commands.ts";

const theirs = { error: toolkit.error, warning: toolkit.warning, notice: toolkit.notice };

const nasty = fc.string({
  unit: fc.constantFrom("a", "%", "\r", "\n", ":", ",", "=", "::", "é", "\u2028", " ", "<<", "EOF"),
});

test("an annotation is what the toolkit would print, whatever stands in it", () => {
  fc.assert(
    fc.property(
      nasty,
      nasty.filter((each) => each !== ""),
      fc.constantFrom("error" as const, "warning" as const, "notice" as const),
      (message, title, level) => {
        const printed = capture(() => theirs[level](message, { title }));
        assert.equal(`${annotation(level, message, { title })}\n`, printed);
      },
    ),
  );
});

test("a file command is what the toolkit would write, but for its random delimiter", () => {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-commands-"));
  const file = join(folder, "output");
  process.env["GITHUB_OUTPUT"] = file;
  try {
    fc.assert(
      fc.property(nasty, (value) => {
        writeFileSync(file, "");
        toolkit.setOutput("name", value);
        const theirs = readFileSync(file, "utf8");
        const delimiter = /^name<<(\S+)/.exec(theirs)![1]!;
        assert.equal(fileCommand("name", value, delimiter), theirs);
      }),
      { numRuns: 200 },
    );
  } finally {
    delete process.env["GITHUB_OUTPUT"];
    rmSync(folder, { recursive: true });
  }
});

test("a value cannot end its field and write another one", () => {
  assert.throws(() => fileCommand("name", "x\nend\nother=1", "end"));
  const delimiters = new Set(Array.from({ length: 50 }, () => /<<(\S+)/.exec(fileCommand("a", "b"))![1]));
  assert.equal(delimiters.size, 50);
});

test("what one phase saves, the next one finds", () => {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-commands-"));
  const file = join(folder, "state");
  new RunnerFiles({ GITHUB_STATE: file }).state("started", '{"a":1}');
  // What the runner makes of the file for the next phase.
  const [, name, , value] = /^(\w+)<<(\S+)\n([^]*)\n\2\n$/.exec(readFileSync(file, "utf8"))!;
  assert.equal(savedState({ [`STATE_${name}`]: value }, "started"), '{"a":1}');
  assert.equal(savedState({}, "started"), "");
  rmSync(folder, { recursive: true });
});

/** What is written to standard output meanwhile. */
function capture(fn: () => void): string {
  const write = process.stdout.write.bind(process.stdout);
  let text = "";
  process.stdout.write = (chunk: string | Uint8Array) => {
    text += String(chunk);
    return true;
  };
  try {
    fn();
  } finally {
    process.stdout.write = write;
  }
  return text;
}

test("a line of the log is one line, no command of the old form, and reads in one direction", () => {
  // What a process can be called, in a line of ours that tells of it.
  assert.equal(
    logLine("open before: by /tmp/x\n::stop-commands::t\r##[add-mask]e\u202e"),
    "open before: by /tmp/x\\u{a}::stop-commands::t\\u{d}## [add-mask]e\\u{202e}",
  );
  const command = annotation("error", "a\nb: 100 %", { title: "x" });
  assert.equal(logLine(command), command);
});
