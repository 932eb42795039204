/** Promotion adds one name and touches nothing else, in every form a policy can have. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseDocument } from "yaml";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { parseAddress } from "../address/ip.ts";
import { alreadyEnforced, promoted } from "./promote.ts";

const head = `# ours
version: 1   # the language

sources:
  py: { subnets: [10.1.0.0/16] }   # python
  "rust: new": { subnets: [ 10.2.0.0/16 ] }

rules:
    - { name: "a",   to: [pypi.org] }  # why


`;

const forms: Record<string, [before: string, after: string]> = {
  block: ["default:\n  mode: monitor  # still\n", "default:\n  enforce_for: [py]\n  mode: monitor  # still\n"],
  "indented by four": [
    "default:\n    # first\n    mode: monitor\n",
    "default:\n    # first\n    enforce_for: [py]\n    mode: monitor\n",
  ],
  flow: ["default: { mode: monitor } # x\n", "default: { enforce_for: [py], mode: monitor } # x\n"],
  "a list in flow": [
    'default:\n  mode: monitor\n  enforce_for: ["rust: new"] # y\n',
    'default:\n  mode: monitor\n  enforce_for: ["rust: new", py] # y\n',
  ],
  "an empty list": ["default: { mode: monitor, enforce_for: [] }\n", "default: { mode: monitor, enforce_for: [py] }\n"],
  "a list in block": [
    'default:\n  mode: monitor\n  enforce_for:\n    - "rust: new"  # first\n# end\n',
    'default:\n  mode: monitor\n  enforce_for:\n    - "rust: new"  # first\n    - py\n# end\n',
  ],
  "a list in block, not indented, at the end": [
    'default:\n  mode: monitor\n  enforce_for:\n  - "rust: new"',
    'default:\n  mode: monitor\n  enforce_for:\n  - "rust: new"\n  - py\n',
  ],
};

describe("promote", () => {
  for (const [form, [before, after]] of Object.entries(forms)) {
    test(form, () => {
      assert.equal(promoted(head + before, "p.yaml", "py"), head + after);
      const windows = (text: string) => text.replaceAll("\n", "\r\n");
      assert.equal(promoted(windows(head + before), "p.yaml", "py"), windows(head + after));
    });
  }

  test("quotes a name that needs it", () => {
    const text = promoted(`${head}default: { mode: monitor }\n`, "p.yaml", "rust: new");
    assert.ok(typeof text === "string" && text.endsWith('default: { enforce_for: ["rust: new"], mode: monitor }\n'));
  });

  test("what is enforced already is left alone", () => {
    for (const form of ["", "default: { mode: enforce }\n", "default: { mode: monitor, enforce_for: [py] }\n"]) {
      assert.equal(promoted(head + form, "p.yaml", "py"), alreadyEnforced, form);
    }
  });

  test("a source that is not declared, and a file that does not load, are refused", () => {
    assert.throws(
      () => promoted(`${head}default: { mode: monitor }\n`, "p.yaml", "go"),
      /no source “go”.*Declared: py, rust: new/,
    );
    assert.throws(() => promoted("version: 2\n", "p.yaml", "py"), { code: "POLICY_INVALID" });
  });

  test("whatever the layout, the result loads, enforces that source, and says the rest as before", () => {
    const indent = fc.constantFrom("  ", "    ", " ");
    const comment = fc.constantFrom("", " # c", "  #: - x");
    const list = fc.constantFrom("none", "flow", "block", "tight");
    const property = fc.property(
      indent,
      comment,
      list,
      fc.boolean(),
      fc.boolean(),
      (pad, note, kind, isFirst, isLast) => {
        const listed = {
          none: [],
          flow: [`${pad}enforce_for: [ "rust: new" ]${note}`],
          block: [`${pad}enforce_for:${note}`, `${pad}${pad}- "rust: new"${note}`],
          tight: [`${pad}enforce_for:`, `${pad}- 'rust: new'${note}`],
        }[kind];
        const mode = `${pad}mode: monitor${note}`;
        const section = ["default:", ...(isFirst ? [...listed, mode] : [mode, ...listed])].join("\n");
        const text = isLast ? `${head}${section}` : `${section}\n${head.replace("# ours\n", "")}`;
        const after = promoted(text, "p.yaml", "py");
        assert.ok(typeof after === "string");
        const loaded = loadPolicy(after, "p.yaml", new Date(0));
        assert.ok(!isPolicyProblems(loaded), after);
        assert.ok(loaded.engine.enforcedFor(parseAddress("10.1.0.1")!));
        const plain = (yaml: string) => {
          const { default: section, ...rest } = parseDocument(yaml).toJS() as { default: { enforce_for?: string[] } };
          return { rest, others: (section.enforce_for ?? []).filter((name) => name !== "py") };
        };
        assert.deepEqual(plain(after), plain(text));
        // What was there is there still, in its order: only bytes were added, in one place.
        const added = after.length - text.length;
        let same = 0;
        while (same < text.length && text[same] === after[same]) same++;
        assert.equal(after.slice(same + added), text.slice(same));
      },
    );
    fc.assert(property, { numRuns: 200, seed: 1 });
  });
});
