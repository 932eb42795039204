/**
 * The promises about plain YAML: what is read here is what the library reads, node by node and place by place, and what the library
 * refuses is never read; what people write is read here, or it would be slow without anybody noticing; and the work grows with the
 * length of the text.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { isMap, isPair, isScalar, isSeq, LineCounter, parseAllDocuments } from "yaml";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { assertGrowsLinearly } from "../../test/support/work.ts";
import { workflowCorpus } from "../../test/support/workflow-corpus.ts";
import { yamlTexts } from "./plain.arbitrary.ts";
import { readPlain } from "./plain.ts";

/** All that we promise of a node. Inside of flow collections the library's third place is not promised: line breaks are anybody's. */
function shape(node: unknown, inFlow = false): unknown {
  if (isPair(node)) return [shape(node.key, inFlow), shape(node.value, inFlow)];
  if (!isScalar(node) && !isMap(node) && !isSeq(node)) return null;
  const { range, comment, anchor, tag } = node;
  const common = { range: range?.slice(0, inFlow ? 2 : 3), comment, anchor, tag };
  if (isScalar(node)) {
    const { value, source, type, minFractionDigits, format } = node;
    return { ...common, value, source, type, minFractionDigits, format };
  }
  const items = node.items.map((item) => shape(item, inFlow || node.flow === true));
  return { ...common, is: isMap(node) ? "map" : "list", flow: node.flow, items };
}

/** "read" where it is read here, as the library reads it; "left" where the library has to. */
function compared(text: string): "read" | "left" {
  const plain = readPlain(text);
  if (plain === null) return "left";
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    uniqueKeys: false,
    prettyErrors: false,
    schema: "core",
    version: "1.2",
    logLevel: "silent",
  });
  assert.ok(Array.isArray(documents) && documents.length === 1, "the library sees no document, or several");
  const [document] = documents;
  assert.deepEqual([...document!.errors, ...document!.warnings], []);
  assert.deepEqual(shape(plain.root), shape(document!.contents));
  assert.deepEqual(plain.lineStarts, lines.lineStarts);
  return "read";
}

fuzzTarget<"read" | "left">({
  name: "yaml",
  grammar: [asBytes(yamlTexts), asBytes(yamlTexts)],
  outcomes: { read: true, left: true },
  check: (bytes) => compared(textOf(bytes)),
});

describe("plain YAML", () => {
  const root = new URL("../../", import.meta.url);
  const policies = [
    ...["docker", "minimal", "node", "python"].map((name) =>
      readFileSync(new URL(`profiles/${name}.yaml`, root), "utf8"),
    ),
    "version: 1\nsources:\n  builders: { subnets: [10.0.0.0/8] }\npermits: []\nrules:\n  # why\n  - name: a\n    to:\n      - a.example:443\n      - '*.b.example'\n    reason: \"it is\" # so\n  - { name: b, from: builders, to: [c.example, 10.1.0.0/16], mode: monitor }\n\ndefault: { mode: enforce }\n",
    'version: 1\nrules:\n- name: a\n  to: [\n    "*.a.example",\n    b.example,\n  ]\ndefault:\n  mode: enforce',
  ];

  test("policies as people write them are read here", () => {
    for (const text of policies) assert.equal(compared(text), "read", text);
  });

  test("so are workflows", () => {
    const texts = [...workflowCorpus(7, 60).files.values(), readFileSync(new URL("action.yml", root), "utf8")];
    for (const text of texts) assert.equal(compared(text), "read", text);
  });

  test("what hides or is rare is left to the library, which refuses or reads it", () => {
    for (const text of [
      ...[
        "",
        "# nothing\n",
        "a",
        "- a\n",
        "[a]\n",
        "--- \na: b\n",
        "a: b\n---\nc: d\n",
        "a: b\n...\n",
        "%YAML 1.2\n---\na: b\n",
      ],
      ...[
        "a: &x b\n",
        "a: *x\n",
        "a: !!str b\n",
        "<<: { a: b }\n",
        "? a\n: b\n",
        "a: b\r\n",
        "\ufeffa: b\n",
        "a:\tb\n",
      ],
      ...[
        "a: b\n  c\n",
        'a: "b\n  c"\n',
        "a: |2\n   b\n",
        "a: |+\n  b\n\n",
        "a: >\n  b\n\n  c\n",
        "a:\n- b\n c: d\n",
        "a: b: c\n",
      ],
      ...[
        "a: 0x1f\n",
        "a: 1e3\n",
        "a: {b}\n",
        "a: [b: c]\n",
        "a: [b\n",
        "a: ]\n",
        "a: @b\n",
        "a: `b`\n",
        " a: b\n",
        "a: b\n c: d\n",
      ],
    ]) {
      assert.equal(compared(text), "left", JSON.stringify(text));
    }
  });

  test("nesting ends long before the stack does", () => {
    for (const make of [
      (n: number) => `a: ${"[".repeat(n)}${"]".repeat(n)}\n`,
      (n: number) => Array.from({ length: n }, (_, i) => `${" ".repeat(i)}a:\n`).join(""),
      (n: number) => `a:\n  ${"- ".repeat(n)}b\n`,
    ]) {
      assert.equal(compared(make(20)), "read");
      assert.equal(readPlain(make(3_000)), null);
    }
  });

  test("the work grows with the length", () => {
    const many = (size: number, line: string) => line.repeat(size);
    const families: Record<string, (size: number) => string> = {
      items: (size) => `a:\n${many(size, "  - { name: r, to: [a.example, 'b'] }\n")}`,
      keys: (size) => many(size, "a: b # c\n"),
      blocks: (size) => `a: |\n${many(size, "  text\n\n")}`,
      "empty lines and comments": (size) => `a: b\n${many(size, "\n# c\n   \n")}`,
      "one long scalar": (size) => `a: ${many(size, "b c: ")}\n`,
      "one long quoted scalar": (size) => `a: '${many(size, "b ''")}'\n`,
      "one long key": (size) => `${many(size, "key")}: b\n`,
      "a long flow collection": (size) => `a: [${many(size, "b, ")}]\n`,
      "open brackets": (size) => `a: ${many(size, "[{")}\n`,
    };
    for (const make of Object.values(families)) for (const size of [1, 3, 400]) compared(make(size));
    for (const [title, make] of Object.entries(families)) assertGrowsLinearly(title, 2_000, make, readPlain);
  });
});
