/** The generated documents say what the code says, and every link between the documents leads somewhere. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { schemaTables } from "../scripts/docs/json-schema.ts";
import { loadConfig } from "../src/config/config.ts";
import { configKeysAt } from "../src/config/schema.ts";
import { defaultLimits } from "../src/dns/types.ts";
import { limits } from "../src/flow/limits.ts";
import { dnsRates, rates } from "../src/kernel/rates.ts";
import { isPolicyProblems, loadPolicy } from "../src/policy/load.ts";
import { root } from "./support/modules.ts";

test("generated documents are not stale", () => {
  const result = spawnSync(process.execPath, ["scripts/docs.ts", "--check"], { cwd: root, encoding: "utf8" });
  assert.equal(result.stderr, "");
  assert.equal(result.status, 0);
});

test("links between documents lead to files and headings that exist", () => {
  const pages = globSync(["*.md", "docs/**/*.md"], { cwd: root });
  assert.ok(pages.includes("README.md"));
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(/\s/g, "-");
  const broken = pages.flatMap((page) => {
    const text = readFileSync(join(root, page), "utf8").replaceAll(/^```[\s\S]*?^```/gm, "");
    return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map((match) => match[1]!)
      .filter((link) => !/^(https?|mailto):/.test(link))
      .filter((link) => {
        const [path, anchor] = link.split("#");
        const target = path === "" ? page : join(dirname(page), path!);
        if (!existsSync(join(root, target))) return true;
        if (anchor === undefined) return false;
        const headings = readFileSync(join(root, target), "utf8").matchAll(/^#{1,6} (.+)$/gm);
        return ![...headings].some((heading) => slug(heading[1]!) === anchor);
      })
      .map((link) => `${page}: ${link}`);
  });
  assert.deepEqual(broken, []);
});

test("a schema becomes one table for each kind of object, with types, defaults and meanings", () => {
  const markdown = schemaTables({
    type: "object",
    required: ["rules"],
    properties: {
      rules: { type: "array", items: { $ref: "#/$defs/rule" } },
      sources: { type: "object", additionalProperties: { type: "object", properties: { tags: { type: "string" } } } },
    },
    $defs: {
      rule: {
        type: "object",
        description: "A rule.",
        properties: { action: { enum: ["allow", "deny"], default: "allow", description: "One | two\nlines." } },
      },
    },
  });
  assert.match(markdown, /\| `rules` \| list of object \| required \|/);
  assert.match(markdown, /## `rules\[\]`\n\nA rule\./);
  assert.match(markdown, /\| `action` \| `allow`, `deny` \| default `"allow"` \| One \\\| two lines\. \|/);
  assert.match(markdown, /## `sources\.<name>`/);
});

test("every policy shown in a document loads", () => {
  const shown = globSync(["*.md", "docs/**/*.md"], { cwd: root }).flatMap((page) =>
    [...readFileSync(join(root, page), "utf8").matchAll(/^```yaml\n([\s\S]*?)^```/gm)]
      .map((match) => match[1]!)
      .filter((text) => /^version:/m.test(text) && !isConfig(text))
      .map((text) => ({ page, text })),
  );
  assert.ok(shown.length >= 2);
  for (const { page, text } of shown) {
    const loaded = loadPolicy(text, page, new Date("2026-01-01T00:00:00Z"));
    assert.deepEqual(isPolicyProblems(loaded) ? loaded.problems : [], []);
  }
});

/** What only a configuration has at its first level. */
const isConfig = (text: string) => /^(export|metrics|record):/m.test(text);

test("every configuration shown in a document loads", () => {
  const text = ["export", "record"].map((name) => readFileSync(join(root, `docs/${name}.md`), "utf8")).join("\n");
  const shown = [...text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map((match) => match[1]!);
  assert.ok(shown.some(isConfig));
  for (const each of shown) {
    // Certificates are read when a gateway starts; a document has none.
    const plain = each.replaceAll(/^ *(ca|certificate|key|sign_key): .*\n/gm, "");
    const secrets = {
      readFile: () => "secret",
      variable: () => "secret",
      signingKey: () => assert.fail("a document has no key"),
    };
    const loaded = loadConfig(plain, "export.md", secrets);
    assert.deepEqual("problems" in loaded ? loaded.problems : [], []);
  }
});

test("docs/record.md has every key of the configuration's section", () => {
  const text = readFileSync(join(root, "docs/record.md"), "utf8");
  const told = [...text.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]!);
  for (const key of configKeysAt(["record"], undefined)) assert.ok(told.includes(key), key);
});

test("docs/export.md has every key of every sink", () => {
  const text = readFileSync(join(root, "docs/export.md"), "utf8");
  for (const to of ["file", "webhook", "syslog", "otlp", "splunk"]) {
    const row = new RegExp(`^\\| \`${to}\` \\| (.*?) \\|`, "m").exec(text)?.[1];
    const told = [...(row ?? "").matchAll(/`(\w+)`/g)].map((match) => match[1]);
    const own = configKeysAt(["export", 0], to).filter((key) => !["name", "to", "kinds"].includes(key));
    assert.deepEqual(new Set(told), new Set(own), to);
  }
});

test("docs/metrics.md has every metric, and no other", () => {
  const page = readFileSync(join(root, "docs/metrics.md"), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| `"));
  const told = rows.flatMap((line) => [...line.split("|")[1]!.matchAll(/`(\w+)`/g)].map((match) => match[1]));
  const source = readFileSync(join(root, "src/enforcer/metrics.ts"), "utf8");
  const made = [...source.matchAll(/"((?:sallyport|process)_\w+)"/g)].map((match) => match[1]);
  assert.deepEqual(new Set(told), new Set(made));
  assert.equal(told.length, made.length);
});

test("docs/limits.md has every bound of the code, with its value", () => {
  const text = readFileSync(join(root, "docs/limits.md"), "utf8");
  const told = Object.fromEntries(
    [...text.matchAll(/\| `(\w+\.\w+)` \| (\d+) \|/g)].map((match) => [match[1]!, Number(match[2])]),
  );
  const held = Object.fromEntries([
    ...Object.entries(limits).map(([key, value]) => [`flow.${key}`, value]),
    ...Object.entries(defaultLimits).map(([key, value]) => [`dns.${key}`, value]),
    ...Object.entries(rates).map(([key, value]) => [`rate.${key}`, value]),
    ...Object.entries(dnsRates).map(([key, value]) => [`dnsRate.${key}`, value]),
  ]);
  assert.deepEqual(told, held);
});
