/**
 * Golden files: what a command reads and prints, word for word. A file has a first line with the command behind a `#`, its
 * inputs (the first holds that line), and what is expected, all parted by a line `----`. Adding a case is adding a file;
 * `SALLYPORT_GOLDEN=write` writes the expected part of every file anew, for a person to read in the diff.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test, type TestContext } from "node:test";

const divider = "----\n";

export interface Golden {
  /** The words of the first line; a word with spaces stands in quotes. */
  words: string[];
  inputs: string[];
  expected: string;
}

/** The files of a folder, in order. */
export function goldenFiles(folder: URL): string[] {
  return readdirSync(folder).filter((file) => file.endsWith(".txt"));
}

export function readGolden(folder: URL, file: string): Golden {
  const parts = readFileSync(new URL(file, folder), "utf8").split(new RegExp(`^${divider}`, "m"));
  const found = parts[0]!
    .split("\n")[0]!
    .slice(1)
    .matchAll(/"([^"]*)"|(\S+)/g);
  return { words: [...found].map((m) => m[1] ?? m[2]!), inputs: parts.slice(0, -1), expected: parts.at(-1)! };
}

/** One test a file: `output` gives the expected part without its last line break. */
export function goldenTests(folder: URL, output: (golden: Golden, t: TestContext) => string | Promise<string>): void {
  for (const file of goldenFiles(folder)) {
    test(file.replace(".txt", ""), async (t) => {
      const golden = readGolden(folder, file);
      const got = `${await output(golden, t)}\n`;
      if (process.env["SALLYPORT_GOLDEN"] === "write") {
        writeFileSync(new URL(file, folder), [...golden.inputs, got].join(divider));
      } else assert.equal(got, golden.expected);
    });
  }
}
