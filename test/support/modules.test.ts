/** The scanner behind the architecture test sees imports and code, and is not fooled by comments, strings or templates. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readModule } from "./modules.ts";

const read = (text: string) => readModule("src/flow/x.ts", text);

test("imports of every form are found, and only what loads is called loading", () => {
  const module = read(
    [
      'import fs, { type Stats } from "node:fs";',
      'import type { Address } from "../address/ip.ts";',
      'import {\n  one,\n  two,\n} from "./many.ts";',
      'export { three } from "./three.ts";',
      'export type { Four } from "./four.ts";',
      'import "./effect.ts";',
      'const five = await import("./five.ts");',
    ].join("\n"),
  );
  assert.deepEqual(module.specifiers.toSorted(), [
    "../address/ip.ts",
    "./effect.ts",
    "./five.ts",
    "./four.ts",
    "./many.ts",
    "./three.ts",
    "node:fs",
  ]);
  assert.ok(module.imports.includes("src/address/ip.ts"));
  assert.deepEqual(module.loads.toSorted(), [
    "src/flow/effect.ts",
    "src/flow/five.ts",
    "src/flow/many.ts",
    "src/flow/three.ts",
  ]);
});

test("an import in a comment or in a string is no import", () => {
  const module = read('// import "./a.ts"\n/* \nimport "./b.ts" */\nconst text = `\nimport "./c.ts"\n`;\n');
  assert.deepEqual(module.specifiers, []);
});

test("code inside a template's braces stays code; what surrounds it does not", () => {
  const { code } = read("const a = `process.env ${process.argv.map((x) => `${x} fetch(`)} performance`;");
  assert.match(code, /process\.argv/);
  assert.doesNotMatch(code, /env|fetch|performance/);
});

test("a regular expression with a quote in it does not swallow what follows", () => {
  const { code } = read('const bad = /["\'/]/.test(s) || /[/"]`/.test(t);\nreturn /"/ && Date.now() / 2;\n');
  assert.match(code, /Date\.now\(\) \/ 2/);
  assert.doesNotMatch(code, /["'`][^/]/);
});

test("offsets and lines stay as they were", () => {
  const text = 'const a = "x\\"y"; // z\n/* 1\n2 */ b();\n';
  const { code } = read(text);
  assert.equal(code.length, text.length);
  assert.equal(code.indexOf("b()"), text.indexOf("b()"));
  assert.equal(code.split("\n").length, text.split("\n").length);
});
