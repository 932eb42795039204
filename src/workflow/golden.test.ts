/** What adding and checking print, word for word (test/support/golden.ts): the first line says which, the file and the flags. */
import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { goldenFiles, goldenTests, readGolden } from "../../test/support/golden.ts";
import type { Golden } from "../../test/support/golden.ts";
import { findingTitles } from "./finding.ts";
import type { Scope } from "./options.ts";
import { addText, addToAll, checkAll, checkText } from "./repository.ts";

const folder = new URL("golden/", import.meta.url);
const day = 86_400_000;

function output({ words, inputs }: Golden): string {
  const [command, path, ...flags] = words;
  const flag = (name: string) => (flags.includes(name) ? flags[flags.indexOf(name) + 1]! : null);
  const scope: Scope = {
    repository: "sallyport/sallyport",
    assumeLinux: flags.includes("--assume-linux"),
    except: new Set(),
    paths: new Set([path!, ".github/workflows/called.yml"]),
  };
  const files = [{ path: path!, text: inputs[0]! }];
  if (command === "check") {
    const now = new Date("2030-06-30T00:00:00Z");
    const changed = (_: string, line: number) => (line % 10 === 2 ? null : new Date(now.getTime() - 40 * day));
    const report = checkAll(files, scope, { days: 30, changed, now });
    return `${checkText(report)}\n(exit ${report.passes ? 0 : 1})`;
  }
  const wanted = {
    repository: "sallyport/sallyport",
    ref: "abcdefabcdefabcdefabcdefabcdefabcdefabcd",
    comment: "v1",
    mode: flag("--egress-policy") as "audit" | "block" | null,
    policy: flag("--policy"),
  };
  const report = addToAll(files, wanted, scope);
  return `${addText(report)}(exit ${report.complete ? 0 : 1})`;
}

describe("golden files of workflows", () => {
  goldenTests(folder, output);

  test("show every code", () => {
    const shown = goldenFiles(folder)
      .map((file) => readGolden(folder, file).expected)
      .join("\n");
    const unseen = Object.keys(findingTitles).filter((code) => !shown.includes(` (${code})\n`));
    assert.deepEqual(unseen, []);
  });
});
