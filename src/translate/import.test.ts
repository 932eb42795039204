/** The work on a foreign policy grows with its length, also where aliases multiply or rules repeat. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertGrowsLinearly } from "../../test/support/work.ts";
import { isPolicyProblems } from "../policy/load.ts";
import { importPolicy } from "./import.ts";

const options = { sources: new Map<string, string[]>(), anySource: false, job: null, web: false };
const cilium = (egress: string) =>
  `apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: { name: x }\nspec:\n  endpointSelector: {}\n  egress:\n${egress}`;
const many = (size: number, line: (i: number) => string) => Array.from({ length: size }, (_, i) => line(i)).join("\n");

const families: Record<string, (size: number) => string> = {
  rules: (size) => cilium(many(size, (i) => `    - toFQDNs: [{ matchName: a${i}.example }]`)),
  "the same rule": (size) => cilium(many(size, () => "    - toFQDNs: [{ matchName: a.example }]")),
  "hosts of one list": (size) =>
    `mode: enforce\nno-default-urls: true\nallow:\n${many(size, (i) => `  - a${i}.example`)}\n`,
  "words of one text": (size) =>
    `jobs:\n  one:\n    steps:\n      - uses: step-security/harden-runner@v2\n        with: { allowed-endpoints: "${many(size, (i) => `a${i}.example`).replaceAll("\n", " ")}" }\n`,
  losses: (size) => `mode: enforce\nallow:\n${many(size, () => '  - "*.example"')}\n`,
};

for (const [title, make] of Object.entries(families)) {
  test(`the work grows with the length: ${title}`, () => {
    assertGrowsLinearly(title, 150, make, (text) => importPolicy(text, "big", null, options));
  });
}

test("aliases that multiply end in a problem", () => {
  const letters = "abcdefghijkl";
  const bomb = Array.from(
    letters,
    (letter, i) =>
      `${letter}: &${letter} [${i === 0 ? "x" : Array.from({ length: 10 }, () => `*${letters[i - 1]}`).join(", ")}]`,
  );
  const imported = importPolicy(`${bomb.join("\n")}\n`, "bomb", "github", options);
  assert.ok(isPolicyProblems(imported));
  assert.deepEqual(
    imported.problems.map(({ code }) => code),
    ["too_large"],
  );
});
