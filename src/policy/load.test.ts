/**
 * A policy that does not mean exactly what it says does not load, and every reason is told at its place with the fix.
 * What loads is what was written.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { parseAddress } from "../address/ip.ts";
import type { Engine } from "./decision.ts";
import { isPolicyProblems, loadPolicy } from "./load.ts";
import type { LoadedPolicy } from "./load.ts";
import { presets } from "./presets.ts";
import { formatProblem } from "./problem.ts";
import type { Problem } from "./problem.ts";
import { policyJsonSchema } from "./schema.ts";

const now = new Date("2030-01-01T00:00:00Z");

function load(text: string, at = now): LoadedPolicy {
  const loaded = loadPolicy(text, "p.yaml", at);
  assert.ok(!isPolicyProblems(loaded), isPolicyProblems(loaded) ? loaded.problems.map(formatProblem).join("\n") : "");
  return loaded;
}

function problems(text: string): readonly Problem[] {
  const loaded = loadPolicy(text, "p.yaml", now);
  assert.ok(isPolicyProblems(loaded), "it loads");
  return loaded.problems;
}

/** `line:column code text` of each problem. */
function brief(text: string): string[] {
  return problems(text).map((p) => `${p.line}:${p.column} ${p.code} ${p.text}`);
}

const address = (text: string) => parseAddress(text)!;
const dns = (engine: Engine, name: string, source = "10.20.1.5") => engine.dns({ source: address(source), name });

const whole = `version: 1
sources:
  python-runners: { subnets: [10.20.1.0/24] }
destinations:
  github: { preset: github-actions@1 }
  pypi: [pypi.org, files.pythonhosted.org]
  ecr: { cidrs: [203.0.113.0/24], ports: [443] }
permits:
  - { name: cloud endpoints, to: ecr, reason: no SNI on the registry endpoints }
rules:
  - { name: no gists, to: [gist.github.com], action: deny, reason: exfiltration sink }
  - { name: python packages, from: python-runners, to: [pypi, github] }
default:
  mode: monitor
  enforce_for: [python-runners]
`;

test("the language's own example loads and decides as it reads", () => {
  const { engine, warnings, nextChange } = load(whole);
  assert.deepEqual(warnings, []);
  assert.equal(nextChange, null);
  assert.equal(engine.hash, createHash("sha256").update(whole).digest("hex"));
  assert.equal(dns(engine, "pypi.org").verdict, "allow");
  assert.deepEqual(dns(engine, "pypi.org").rule, {
    name: "python packages",
    tier: 2,
    mode: "enforce",
    action: "allow",
    reason: null,
    line: 12,
    column: 5,
  });
  assert.equal(dns(engine, "productionresultssa7.blob.core.windows.net").verdict, "allow");
  assert.equal(dns(engine, "productionresultssa50.blob.core.windows.net").verdict, "deny");
  assert.equal(dns(engine, "evil.example").verdict, "deny");
  assert.equal(dns(engine, "evil.example", "10.20.9.9").verdict, "would_deny");
  assert.equal(engine.group(address("10.20.1.5")), "python-runners");
  assert.ok(engine.cidrAllows(address("192.0.2.1"), address("203.0.113.200")));
});

test("all problems of a file are told at once, each at its place", () => {
  const text = `version: 1
sourcez: {}
destinations:
  pypi: [pypi.org]
  bad: { host: [x.example] }
rules:
  - name: a
    to: ["*.example.com", pypj, "example.*", "x.example:99"]
    prots: [1]
  - name: b
    from: [nobody, 10.0.0.1/8]
    to: [pypi, bad]
    expires: 2027-02-30
  - { name: b, to: "**", http: { methods: [GET] } }
  - to: pypi
`;
  assert.deepEqual(brief(text), [
    "2:1 unknown_key sourcez",
    "5:10 unknown_key host",
    "8:27 unknown_reference pypj",
    '8:33 bad_endpoint "example.*"',
    '8:46 protocol_needed "x.example:99"',
    "9:5 unknown_key prots",
    "11:12 unknown_reference nobody",
    "11:20 bad_cidr 10.0.0.1/8",
    "13:14 bad_date 2027-02-30",
    "14:13 duplicate_name b",
    "14:26 not_in_version http",
    "15:5 schema to: pypi",
  ]);
  const fixes = problems(text).map((p) => p.fix);
  assert.ok(fixes.includes("Did you mean sources?") && fixes.includes("Did you mean ports?"));
  assert.ok(fixes.includes("Did you mean hosts?"));
});

test("unknown references suggest the nearest name", () => {
  const [problem] = problems("version: 1\ndestinations: { pypi: [pypi.org] }\nrules: [{ name: a, to: pypl }]\n");
  assert.equal(problem!.code, "unknown_reference");
  assert.match(problem!.fix, /Did you mean pypi\?/);
  assert.equal(
    problems('version: 1\nrules: [{ name: a, to: "*.example", from: runners }]')[0]!.code,
    "unknown_reference",
  );
  assert.equal(problems("version: 1\ndefault: { enforce_for: [x] }")[0]!.code, "unknown_reference");
  assert.match(
    problems("version: 1\ndestinations: { a: { preset: github-action } }")[0]!.fix,
    /Did you mean github-actions@1\?/,
  );
});

test("no source is named like an address: a rule from that address would mean somebody else", () => {
  for (const name of ["10.1.0.1", "10.1.0.0/16", "2001:db8::1"]) {
    const [problem] = problems(`version: 1\nsources:\n  "${name}": { subnets: [10.2.0.0/16] }\n`);
    assert.deepEqual([problem?.code, problem?.line], ["bad_name", 3], name);
  }
});

test("an unquoted star is explained, not parsed as an alias", () => {
  const [problem] = problems("version: 1\nrules:\n  - name: a\n    to: [*.example.com]\n");
  assert.equal(problem!.line, 4);
  assert.equal(problem!.fix, 'Put the pattern in quotes: "*.example.com".');
});

test("anchors, aliases, merge keys, tags, duplicate keys and several documents are refused", () => {
  for (const text of [
    "version: 1\nrules: &r []\n",
    "version: 1\npermits: &r []\nrules: *r\n",
    "version: 1\ndefault: { <<: { mode: monitor } }\n",
    "version: 1\nrules: !!seq []\n",
    "version: !!int 1\n",
    "version: 1\nversion: 1\n",
    "version: 1\nrules: [{ name: a, name: b, to: '**' }]\n",
    "version: 1\n---\nversion: 1\n",
    "version: 1\ndestinations: { __proto__: [pypi.org] }\n",
    "version: 1\n? [a]\n: b\n",
    "version: 1\n? !!str rules\n: []\n",
    "&v version: 1\n",
  ]) {
    assert.ok(problems(text).length > 0, text);
  }
});

test("files that would take the loader's memory or stack are refused", () => {
  const bomb = ["version: 1", "a0: &a0 [x,x,x,x,x,x,x,x,x]"];
  for (let i = 1; i < 12; i++)
    bomb.push(
      `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(",")}]`,
    );
  assert.ok(problems(bomb.join("\n")).length > 0);
  assert.equal(problems(`version: 1\n#${"x".repeat(8 * 1024 * 1024)}`)[0]!.code, "too_large");
  assert.ok(problems(`version: 1\nrules: ${"[".repeat(50)}${"]".repeat(50)}`).some((p) => p.code === "yaml"));
  assert.ok(problems(`version: 1\nrules: ${"[".repeat(20_000)}`).length > 0);
  const many = Array.from({ length: 2100 }, (_, i) => `h${i}.example`).join(", ");
  const subnets = Array.from({ length: 2100 }, (_, i) => `10.0.${i >> 8}.${i & 255}`).join(", ");
  assert.equal(
    problems(`version: 1\nrules:\n  - { name: a, from: [${subnets}], to: [${many}] }\n`)[0]!.code,
    "too_large",
  );
});

test("many problems are cut short, and the cut is said", () => {
  const rules = Array.from({ length: 500 }, (_, i) => `  - { name: r${i}, to: nowhere${i} }`).join("\n");
  const list = problems(`version: 1\nrules:\n${rules}\n`);
  assert.equal(list.length, 201);
  assert.match(list.at(-1)!.message, /300 more/);
});

test("what this version cannot hold to is an error, never ignored", () => {
  for (const [text, path] of [
    ["sources: { a: { tags: { role: rust } } }", "tags"],
    ["sources: { a: { github: { repository: acme/app } } }", "github"],
    ["sources: { a: { subnets: [10.0.0.0/8], kubernetes: { namespace: arc } } }", "kubernetes"],
    ["rules: [{ name: a, to: pypi.org, http: {} }]", "http"],
  ] as const) {
    const list = problems(`version: 1\n${text}\n`);
    assert.deepEqual(
      list.map((p) => [p.code, p.text]),
      [["not_in_version", path]],
    );
  }
});

test("a rule that an earlier one covers can never decide, and is an error", () => {
  const unreachable = (...rules: string[]): string[] =>
    problemsOf(`version: 1
sources: { py: { subnets: [10.20.1.0/24] }, all: { subnets: [10.0.0.0/8, 192.0.2.0/24] } }
rules:
${rules.map((rule, i) => `  - { name: r${i}, ${rule} }`).join("\n")}
`).map((p) => p.text);
  assert.deepEqual(unreachable('to: "**.example.com"', "to: a.example.com"), ["r1"]);
  assert.deepEqual(unreachable('to: "*.github.com"', "to: gist.github.com, action: deny"), ["r1"]);
  assert.deepEqual(unreachable("to: 203.0.113.0/24", "to: 203.0.113.7"), ["r1"]);
  assert.deepEqual(unreachable("from: all, to: a.example", "from: py, to: a.example"), ["r1"]);
  assert.deepEqual(unreachable("from: 10.20.0.0/16, to: a.example", "from: py, to: a.example"), ["r1"]);
  assert.deepEqual(unreachable('to: "a.example:*", protocol: tcp', "to: a.example"), ["r1"]);
  assert.deepEqual(unreachable("to: [a.example, b.example]", "to: a.example", "to: [b.example, a.example]"), [
    "r1",
    "r2",
  ]);
  assert.deepEqual(unreachable("to: a.example", "to: b.example", "to: [b.example, a.example]"), ["r2"]);
  assert.deepEqual(unreachable("to: a.example", "to: a.example, mode: monitor"), ["r1"]);
  for (const reachable of [
    ["to: a.example, mode: monitor", "to: a.example"],
    ["to: a.example, expires: 2031-01-01", "to: a.example"],
    ["to: a.example, mode: monitor, monitor_until: 2029-01-01", "to: a.example"],
    ["from: py, to: a.example", "to: a.example"],
    ["from: py, to: a.example", "from: all, to: a.example"],
    ['to: "*.example"', "to: a.b.example"],
    ["to: a.example", "to: [a.example, b.example]"],
    ["to: a.example", "to: a.example:8443, protocol: tls"],
    ["to: a.example", "to: a.example, protocol: tcp"],
    ["to: a.example", "to: a.example, protocol: quic"],
    ["to: 203.0.113.7", "to: 203.0.113.0/24"],
    ['to: "**"', "to: 203.0.113.7"],
  ]) {
    assert.deepEqual(unreachable(...reachable), [], reachable.join(" / "));
  }
});

function problemsOf(text: string): readonly Problem[] {
  const loaded = loadPolicy(text, "p.yaml", now);
  const list = isPolicyProblems(loaded) ? loaded.problems : [];
  assert.ok(
    list.every((p) => p.code === "unreachable"),
    list.map(formatProblem).join("\n"),
  );
  return list;
}

test("times decide at the time given, and the next change is known", () => {
  const text = `version: 1
rules:
  - { name: trial, to: a.example, monitor_until: 2030-01-31 }
  - { name: guest, to: b.example, expires: "2030-02-01T12:00:00+02:00" }
default: { mode: enforce }
`;
  const verdicts = (at: string): unknown[] => {
    const { engine, nextChange } = load(text, new Date(at));
    return [dns(engine, "a.example").verdict, dns(engine, "b.example").verdict, nextChange?.toISOString() ?? null];
  };
  assert.deepEqual(verdicts("2030-01-01T00:00:00Z"), ["deny", "allow", "2030-02-01T00:00:00.000Z"]);
  assert.deepEqual(verdicts("2030-01-31T23:59:59Z"), ["deny", "allow", "2030-02-01T00:00:00.000Z"]);
  assert.deepEqual(verdicts("2030-02-01T00:00:00Z"), ["allow", "allow", "2030-02-01T10:00:00.000Z"]);
  assert.deepEqual(verdicts("2030-02-01T10:00:00Z"), ["allow", "deny", null]);
  const codes = load(text, new Date("2031-01-01T00:00:00Z")).warnings.map((w) => w.code);
  assert.deepEqual(codes, ["promoted", "expired"]);
});

test("a default that is left out enforces: nothing downgrades by itself", () => {
  for (const text of ["version: 1\n", "version: 1\ndefault: {}\n", "version: 1\nrules: []\n"]) {
    assert.equal(dns(load(text).engine, "a.example").verdict, "deny");
  }
  for (const text of [
    "",
    "null",
    "[]",
    "version: 2",
    "rules: []",
    "version: 1\nrules:\n",
    "version: 1\ndefault: { mode: audit }",
  ]) {
    assert.ok(problems(text).length > 0, text);
  }
});

test("warnings name what a rule opens", () => {
  const codes = (rule: string): string[] =>
    load(`version: 1\nrules: [{ name: a, ${rule} }]\n`).warnings.map((w) => w.code);
  assert.deepEqual(codes("to: a.example"), []);
  assert.deepEqual(codes("to: a.example:5432, protocol: tcp"), ["opaque_name"]);
  assert.deepEqual(codes('to: "**"'), ["any_name", "missing_reason"]);
  assert.deepEqual(codes('to: "**.internal.example"'), ["missing_reason"]);
  assert.deepEqual(codes('to: "**.internal.example", reason: build farm'), []);
  assert.deepEqual(codes('to: "*.github.io"'), ["public_suffix"]);
  assert.deepEqual(codes('to: "sa*.blob.core.windows.net"'), ["public_suffix"]);
  assert.deepEqual(codes('to: "sa{0-9}.blob.core.windows.net"'), []);
  assert.deepEqual(codes('to: "**.github.io", action: deny'), []);
  assert.deepEqual(codes("to: 0.0.0.0/0"), ["reaches_special", "missing_reason"]);
  assert.deepEqual(codes("to: 203.0.113.0/24, reason: registry mirror"), []);
  assert.deepEqual(codes("to: gist.github.com"), ["exfiltration_host"]);
  assert.deepEqual(codes("to: gist.github.com, action: deny"), []);
  assert.deepEqual(codes('to: "*.github.com"'), ["exfiltration_host"]);
  assert.deepEqual(codes("to: abc.trycloudflare.com"), ["exfiltration_host"]);
  assert.deepEqual(codes("to: d111111abcdef8.cloudfront.net"), ["frontable_host"]);
  assert.deepEqual(codes("to: notcloudfront.net"), []);
  assert.deepEqual(codes('to: "169.254.169.254:80"'), []);
});

test("a source that no rule names is told", () => {
  const text = "version: 1\nsources:\n  a: { subnets: [10.0.0.0/8] }\n  b: { subnets: [10.1.0.0/16] }\n";
  const { warnings } = load(`${text}rules: [{ name: r, from: a, to: x.example }]\n`);
  assert.deepEqual(
    warnings.map((w) => [w.code, w.line, w.text]),
    [["unused", 4, "b"]],
  );
});

test("presets load without a warning about what strangers register", () => {
  for (const [name, versions] of Object.entries(presets)) {
    for (const i of versions.keys()) {
      const preset = `${name}@${i + 1}`;
      const { warnings, policy } = load(
        `version: 1\ndestinations: { d: { preset: ${preset} } }\nrules: [{ name: a, to: d }]\n`,
      );
      assert.deepEqual(warnings, [], preset);
      assert.equal(policy.rules[0]!.targets.length, versions[i]!.length);
    }
    for (const { reason } of versions.flat()) assert.ok(reason.length > 10, `${name} has a host without a reason`);
  }
});

test("a preset is named with a version that exists: what it means never grows", () => {
  const fix = (preset: string) => problems(`version: 1\ndestinations: { a: { preset: "${preset}" } }`)[0]!;
  for (const preset of ["pypi", "pypi@", "pypi@0", "pypi@01", "pypi@2", "pypi@1.0", "pypi@1 ", "pypi@latest"]) {
    const { code, fix: text } = fix(preset);
    assert.equal(code, "unknown_reference", preset);
    assert.match(text, /^Write pypi@1;/, preset);
  }
  for (const preset of ["npm@1", "apt", "__proto__@1", "constructor@1", "@1", ""])
    assert.match(fix(preset).message, /no preset named/);
});

test("no text makes the loader throw", () => {
  const words = [
    "version: 1\n",
    "rules:",
    "\n",
    "  - ",
    "{",
    "}",
    "[",
    "]",
    "name: ",
    "to: ",
    "*a",
    "&a ",
    "a.example",
    ": ",
    "'",
    '"',
    "|",
    "\0",
    "? ",
    "!!x ",
    "---",
    "{0-9}",
    "10.0.0.0/8",
    "%",
    "\t",
    "\u{feff}",
  ];
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary", maxLength: 60 }),
        fc.array(fc.constantFrom(...words), { maxLength: 30 }).map((w) => w.join("")),
      ),
      (text) => {
        const loaded = loadPolicy(text, "p.yaml", now);
        if (!isPolicyProblems(loaded)) return;
        assert.ok(loaded.problems.length > 0);
        for (const p of loaded.problems) {
          assert.ok(p.line >= 1 && p.column >= 1 && p.fix.length > 0);
          assert.doesNotMatch(p.text, /\p{Cc}/u, "control characters would drive a terminal");
        }
      },
    ),
    { numRuns: 1500 },
  );
});

test("the JSON Schema describes every field", () => {
  const seen: string[] = [];
  const walk = (node: unknown, path: string): void => {
    if (typeof node !== "object" || node === null) return;
    const { properties } = node as { properties?: Record<string, { description?: string }> };
    for (const [key, value] of Object.entries(properties ?? {})) {
      seen.push(key);
      assert.ok(
        value.description !== undefined || key === "default" || JSON.stringify(value).includes("description"),
        `${path}.${key}`,
      );
    }
    for (const [key, value] of Object.entries(node)) walk(value, `${path}.${key}`);
  };
  walk(policyJsonSchema(), "");
  for (const key of ["version", "sources", "monitor_until", "enforce_for", "preset"])
    assert.ok(seen.includes(key), key);
});
