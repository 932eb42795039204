/**
 * A policy's text under fuzz: it loads or says why not, at a place that is in the file, and never throws. What loads is the same
 * policy each time it is read.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { assertGrowsLinearly } from "../../test/support/work.ts";
import { readCases, runCases } from "./cases.ts";
import { endpointTexts, caseTexts, policyTexts } from "./file.arbitrary.ts";
import { isEndpointDefect, parseEndpoint, type EndpointDefect } from "./endpoint.ts";
import { isPolicyProblems, loadPolicy, readPolicy } from "./load.ts";
import type { Problem, PolicyProblemCode } from "./problem.ts";
import { setScene } from "./question.ts";
import { parseTime } from "./resolve.ts";
import { parseDuration } from "./duration.ts";
import { parseSize, sizeText } from "./size.ts";

const now = new Date(Date.UTC(2026, 0, 1));

function checkProblems(problems: readonly Problem[], text: string): void {
  const lines = text.split("\n").length;
  assert.ok(problems.length <= 201);
  for (const problem of problems) {
    assert.ok(problem.line >= 1 && problem.line <= lines + 1 && problem.column >= 1, JSON.stringify(problem));
    assert.ok(problem.message !== "" && problem.text.length <= 130);
    assert.doesNotMatch(problem.text, /\p{Cc}/u);
  }
}

type LoadWord =
  | "loads"
  | Exclude<
      PolicyProblemCode,
      | "expired"
      | "promoted"
      | "opaque_name"
      | "any_name"
      | "public_suffix"
      | "reaches_special"
      | "exfiltration_host"
      | "frontable_host"
      | "missing_reason"
      | "unused"
      | "ech_allowed"
      | "needs_process"
      | "writable_exe"
    >;

/** What the first of its problems is; warnings keep no policy from loading. */
fuzzTarget<LoadWord>({
  name: "policy",
  grammar: [asBytes(policyTexts), asBytes(policyTexts), asBytes(fc.string({ maxLength: 30 }))],
  outcomes: {
    loads: true,
    yaml: true,
    yaml_alias: true,
    too_large: true,
    duplicate_key: true,
    schema: true,
    unknown_key: true,
    unknown_reference: true,
    duplicate_name: true,
    bad_name: true,
    bad_endpoint: true,
    bad_cidr: true,
    bad_date: true,
    protocol_needed: true,
    port_needed: true,
    empty: true,
    not_in_version: true,
    bad_size: true,
    bad_process: true,
    unreachable: true,
  },
  large: { too_large: new Uint8Array(8 * 1024 * 1024 + 1).fill(0x23) },
  check: (bytes) => {
    const text = textOf(bytes);
    const loaded = loadPolicy(text, "fuzz.yaml", now);
    if (isPolicyProblems(loaded)) {
      checkProblems(loaded.problems, text);
      return loaded.problems[0]!.code as LoadWord;
    }
    checkProblems(loaded.warnings, text);
    assert.deepEqual(readPolicy(text, "fuzz.yaml"), loaded.policy);
    return "loads";
  },
});

fuzzTarget<EndpointDefect["code"] | "name" | "cidr">({
  name: "policy-endpoint",
  grammar: [
    asBytes(endpointTexts),
    asBytes(
      fc.array(fc.constantFrom(...Array.from("ab1:.*{}[]/-,443")), { maxLength: 14 }).map((chars) => chars.join("")),
    ),
  ],
  outcomes: { name: true, cidr: true, bad_endpoint: true, bad_cidr: true },
  check: (bytes) => {
    const text = textOf(bytes);
    const parsed = parseEndpoint(text);
    if (isEndpointDefect(parsed)) {
      assert.ok(parsed.message !== "" && parsed.fix !== "");
      return parsed.code;
    }
    const { endpoint, ports } = parsed;
    if (Array.isArray(ports)) assert.ok(ports.length > 0 && ports.every((port) => port >= 1 && port <= 65_535));
    // An IPv6 prefix needs brackets or a length to be read again; the text of a record has neither.
    const again = parseEndpoint(endpoint.kind === "cidr" ? `[${endpoint.text}]` : endpoint.text);
    assert.ok(!isEndpointDefect(again), endpoint.text);
    assert.deepEqual(again.endpoint, endpoint);
    return endpoint.kind;
  },
});

const scenePolicy = loadPolicy(
  'version: 1\nsources: { builders: { subnets: [10.20.1.0/24] } }\nrules:\n  - { name: one, from: builders, to: ["a.example", "*.example.com:443", "203.0.113.0/24"] }\ndefault: { mode: enforce }\n',
  "scene.yaml",
  now,
);
assert.ok(!isPolicyProblems(scenePolicy));
const scene = setScene(scenePolicy.policy, scenePolicy.engine);

fuzzTarget<
  | "passed"
  | "failed"
  | "yaml"
  | "yaml_alias"
  | "duplicate_key"
  | "schema"
  | "unknown_key"
  | "unknown_reference"
  | "bad_endpoint"
  | "bad_process"
  | "empty"
>({
  name: "policy-cases",
  grammar: [asBytes(caseTexts)],
  outcomes: {
    passed: true,
    failed: true,
    yaml: true,
    yaml_alias: true,
    duplicate_key: true,
    schema: true,
    unknown_key: true,
    unknown_reference: true,
    bad_endpoint: true,
    bad_process: true,
    empty: true,
  },
  check: (bytes) => {
    const text = textOf(bytes);
    const cases = readCases(scene, text, "fuzz.yaml");
    if (isPolicyProblems(cases)) {
      checkProblems(cases.problems, text);
      return cases.problems[0]!.code as "schema";
    }
    const report = runCases(scene, cases, "fuzz.yaml");
    assert.equal(report.passed + report.failed, cases.length);
    return report.failed === 0 ? "passed" : "failed";
  },
});

fuzzTarget<"time" | "size" | "none">({
  name: "time",
  grammar: [
    asBytes(
      fc
        .tuple(
          fc.constantFrom("2026-01-31", "2027-02-29", "2028-02-29", "0000-00-00", "9999-12-31", "+02026-01-01"),
          fc.constantFrom(
            "",
            "T12:00:00Z",
            "t23:59:60z",
            "T24:00:00Z",
            "T12:00:00.123456Z",
            "T12:00:00+25:00",
            " 12:00",
            "T12:00:00-00:00",
          ),
        )
        .map((parts) => parts.join("")),
    ),
    asBytes(
      fc
        .tuple(
          fc.oneof(
            fc.nat(1_000_000_000).map(String),
            fc.constantFrom("0", "00", "0.0001", "0.4", "1.5", "1.0005", "-1", "1e3", "", "999999999.999", "１"),
          ),
          fc.constantFrom("", " ", "  ", "\t"),
          fc.constantFrom("kB", "MB", "GB", "KiB", "MiB", "GiB", "KB", "B", "", "MB\n", "s", "m", "h", "d", "d "),
        )
        .map((parts) => parts.join("")),
    ),
  ],
  outcomes: { time: true, size: true, none: true },
  check: (bytes) => {
    const text = textOf(bytes);
    const time = parseTime(text);
    assert.ok(time === null || Number.isSafeInteger(time), text);
    const length = parseDuration(text);
    assert.ok(length === null || (Number.isSafeInteger(length) && length >= 0 && /^\d+[smhd]$/.test(text)), text);
    const size = parseSize(text);
    if (size === null) return time === null ? "none" : "time";
    assert.ok(time === null && Number.isInteger(size) && size > 0, text);
    if (!Number.isSafeInteger(size)) return "size";
    // An amount as people are shown it is the amount that counts.
    const [amount, unit] = sizeText(size).split(" ");
    const power = "bkmg".indexOf(unit![0]!.toLowerCase());
    assert.equal(Math.round(Number(amount) * (unit!.endsWith("iB") ? 1024 : 1000) ** power), size);
    return "size";
  },
});

test("the work on a policy grows with its length", () => {
  const many = (size: number, line: (i: number) => string) =>
    Array.from({ length: size }, (_, i) => line(i)).join("\n");
  const families: Record<string, (size: number) => string> = {
    rules: (size) => `version: 1\nrules:\n${many(size, (i) => `  - { name: r${i}, to: [h${i}.example] }`)}\n`,
    "one rule's endpoints": (size) =>
      `version: 1\nrules:\n  - name: r\n    to:\n${many(size, (i) => `      - h${i}.example`)}\n`,
    "unknown keys": (size) => `version: 1\n${many(size, (i) => `k${i}: 1`)}\n`,
    "unknown references": (size) =>
      `version: 1\nrules:\n${many(size, (i) => `  - { name: r${i}, from: nobody${i}, to: [a.example] }`)}\n`,
    processes: (size) =>
      `version: 1\nrules:\n${many(size, (i) => `  - { name: r${i}, from: { process: { step: s${i} } }, to: [a.example] }`)}\n`,
    "one long key": (size) => `version: 1\n${"k".repeat(size * 20)}: 1\n`,
    "one long endpoint": (size) => `version: 1\nrules:\n  - { name: r, to: ["${"a.".repeat(size * 10)}example"] }\n`,
    brackets: (size) => `version: 1\nrules: ${"[".repeat(size)}\n`,
    "flow maps": (size) => `version: 1\nrules: ${"{a: ".repeat(size)}\n`,
    "empty lines and comments": (size) => `version: 1\n${"#\n\n".repeat(size * 10)}rules: []\n`,
    quotes: (size) => `version: 1\nrules: ${'"a" '.repeat(size)}\n`,
    "colons and dashes": (size) => `version: 1\n${"- : - ".repeat(size)}\n`,
    aliases: (size) => `version: 1\nrules: [${"*a, ".repeat(size)}]\n`,
    "the same key": (size) => `version: 1\n${"rules: []\n".repeat(size)}`,
    "hosts of one rule by rules that come before": (size) =>
      `version: 1\nrules:\n${many(size, (i) => `  - { name: r${i}, to: ["*.example"] }`)}\n`,
  };
  for (const [title, make] of Object.entries(families)) {
    assertGrowsLinearly(title, 600, make, (text) => loadPolicy(text, "fuzz.yaml", now));
  }
});
