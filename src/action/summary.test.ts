/**
 * The summary with nothing, with a job's worth and with a flood: what matters is first, GitHub takes it, and another's Markdown
 * parser sees what was meant. Golden files in `golden/`, to be read as a person would; SALLYPORT_GOLDEN=write writes them anew.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { marked, type Token, type Tokens } from "marked";
import type { JobReport } from "../machine/job-report.ts";
import { jobReport, jobRow, process } from "../machine/testing/job.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { annotationsOf } from "./annotations.ts";
import { adviceOn } from "./rules-for-denied.ts";
import { summaryOf } from "./summary.ts";

const extras = { proposal: null, policyPath: ".github/sallyport.yaml", failures: [] };
const runner = process({ step: null, step_number: null, runner: true, exe: "/r/Runner.Worker", args: [] });
const setup = process({
  ...{ step: "__actions_setup-node", step_number: 1, action: "actions/setup-node" },
  ...{ exe: "/usr/bin/node", args: ["node", "setup.js"] },
});
const test2 = process({
  step: "test",
  step_number: 3,
  exe: "/usr/bin/python3",
  args: ["python3", "-c", "import x | y"],
});

const none = jobReport();
const ten = jobReport({
  connections: [
    jobRow({ verdict: "deny", name: "evil.example", count: 3 }),
    jobRow({ verdict: "deny", name: "new.example", process: test2, port: null, protocol: "dns" }),
    jobRow({ verdict: "deny", name: "webhook.site", process: test2 }),
    jobRow({ verdict: "deny", name: null, ip: "203.0.113.9", reason: "no_name", process: test2 }),
    jobRow({ verdict: "deny", name: "front.example", ip: "203.0.113.7", reason: "name_mismatch" }),
    jobRow({ process: runner, rule: "the runner", name: "results.example", count: 4 }),
    jobRow({ process: setup, rule: "node itself", name: "nodejs.org" }),
    jobRow({ name: "registry.npm.example", count: 57 }),
    jobRow({ name: "files.pythonhosted.org", process: test2 }),
    jobRow({ name: "pypi.org", process: test2, count: 2 }),
  ],
  detections: [
    {
      ...{ time: "2026-01-01T12:01:00.000000Z", type: "denied_names", message: "100 distinct denied names" },
      ...{ process: test2, data: {} },
    },
  ],
});
const flood = jobReport({
  connections: Array.from({ length: 5_000 }, (_, i) =>
    jobRow({ verdict: i < 2_500 ? "deny" : "allow", name: `host-${String(i).padStart(4, "0")}.example` }),
  ),
});
const watched: JobReport = {
  ...jobReport({
    connections: ten.connections.map((row) =>
      row.verdict === "deny" ? { ...row, verdict: "would_deny" as const } : row,
    ),
  }),
  mode: "monitor",
};

function golden(name: string, text: string): void {
  const file = new URL(`golden/${name}.md`, import.meta.url);
  if (globalThis.process.env["SALLYPORT_GOLDEN"] === "write") writeFileSync(file, `${text}\n`);
  else assert.equal(`${text}\n`, readFileSync(file, "utf8"));
}

const tokensOf = (text: string): Token[] => marked.lexer(text, { gfm: true }).filter(({ type }) => type !== "space");
const headings = (text: string) =>
  tokensOf(text)
    .filter((each): each is Tokens.Heading => each.type === "heading")
    .map((each) => each.text);
const tables = (text: string) => tokensOf(text).filter((each): each is Tokens.Table => each.type === "table");

describe("golden files", () => {
  const tooLate = { ...extras, failures: ["7 connections were denied, and fail-on says denied."] };
  test("none", () => golden("none", summaryOf(none, extras)));
  test("ten", () => golden("ten", summaryOf(ten, tooLate)));
  test("watched", () => golden("watched", summaryOf(watched, extras)));
  test("flood, its head", () => golden("flood", summaryOf(flood, extras).split("\n").slice(0, 40).join("\n")));
});

describe("another's parser", () => {
  test("sees the verdict first, then what was refused, then the rest", () => {
    const text = summaryOf(ten, extras);
    const [first] = tokensOf(text);
    assert.equal(first!.type, "heading");
    assert.match((first as Tokens.Heading).text, /^⚠️ Sallyport: egress enforced$/);
    assert.deepEqual(headings(text).slice(1), ["Refused", "Noticed", "Steps", "Who connected where"]);
    const [refused] = tables(text);
    assert.deepEqual(
      refused!.header.map((each) => each.text),
      ["destination", "step", "process", "why", "times"],
    );
    assert.equal(refused!.rows.length, 5);
    assert.equal(refused!.rows[1]!.length, 5, "a bar in an argument ends no cell");
  });

  test("sees in a watched job the policy to commit as the last thing, and it loads", () => {
    const text = summaryOf(watched, extras);
    assert.equal(headings(text).at(-1), "The policy to commit");
    const codes = tokensOf(text).filter((each): each is Tokens.Code => each.type === "code" && each.lang === "yaml");
    assert.equal(codes.length, 1);
    const first = summaryOf({ ...watched, policy: { ...watched.policy, from: "nothing (there is no file)" } }, extras);
    const whole = tokensOf(first).find((each): each is Tokens.Code => each.type === "code" && each.lang === "yaml")!;
    for (const policy of [whole.text, `version: 1\nrules:\n${codes[0]!.text}\n`]) {
      const loaded = loadPolicy(policy, "p.yaml", new Date());
      assert.ok(!isPolicyProblems(loaded), policy);
      assert.match(policy, /new\.example/);
      assert.match(policy, /- name: seen in run 77 of o\/r\n {4}reason: "for build, test"\n/);
      assert.doesNotMatch(policy, /webhook\.site|front\.example|203\.0\.113\.9/);
    }
    assert.match(text, /`webhook\.site`: known as a place where anybody can leave data/);
  });

  test("sees a picture of a bounded size", () => {
    const mermaid = tokensOf(summaryOf(flood, extras)).find(
      (each): each is Tokens.Code => each.type === "code" && each.lang === "mermaid",
    )!;
    assert.ok(mermaid.text.split("\n").length < 150);
  });
});

test("5 000 destinations, with names as long as names can be, are within GitHub's 1 MiB", () => {
  assert.ok(Buffer.byteLength(summaryOf(flood, extras)) < 1 << 20);
  const long = (i: number) =>
    `${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.${String(i).padStart(4, "0")}.example`;
  for (const mode of ["enforce", "monitor"] as const) {
    const verdict = mode === "enforce" ? "deny" : "would_deny";
    const connections = flood.connections.map((row, i) => ({ ...row, verdict, name: long(i) }) as const);
    const text = summaryOf({ ...jobReport({ connections }), mode }, extras);
    assert.ok(Buffer.byteLength(text) < 1 << 20);
    assert.ok(headings(text).length >= 3, "and it is not the headline alone");
    assert.match(text, /and \d+ more, in the report/);
  }
});

describe("what whoever ran in the job is called", () => {
  const evil =
    "</td></table></details><img src=x onerror=a()><script>b()</script> [c](https://evil.example) `x` | y ::error::z\n\n# H\r\n@o #1 \u202egnp <!-- ";
  const who = process({
    step: evil,
    action: `o/${evil}`,
    exe: evil,
    args: [evil],
    container: { id: "01", image: evil },
  });
  const finding = { time: "2026-01-01T12:01:00.000000Z", type: evil, message: evil, process: who, data: {} };
  const report = jobReport({
    connections: [
      jobRow({ verdict: "deny", name: evil, process: who, rule: evil, reason: evil, protocol: evil }),
      jobRow({ name: evil, process: who, rule: evil }),
    ],
    ...{ detections: [finding], tampering: [finding], degraded: [evil], limits: [evil] },
    earlier: [{ ip: evil, port: 1, protocol: evil, exe: evil, runner: false, kept: false }],
    policy: { hash: "ab".repeat(32), file: evil, from: evil },
  });

  test("becomes no markup, no link and no heading, wherever it stands", () => {
    for (const mode of ["enforce", "monitor"] as const) {
      const text = summaryOf(
        { ...report, mode },
        { proposal: `${evil}\n\`\`\`\n# out`, policyPath: evil, failures: [evil] },
      );
      const html = marked.parse(text, { gfm: true }) as string;
      const tags = new Set([...html.matchAll(/<\/?([a-z0-9]+)([^>]*)>/gi)].map(([, tag, rest]) => `${tag}${rest}`));
      const ours =
        /^(?:h[23]|p|strong|ul|li|sub|code|table|thead|tbody|tr|t[hd]|details|summary|pre|span|code class="language-(?:yaml|mermaid)")$/;
      assert.deepEqual(
        [...tags].filter((tag) => !ours.test(tag)),
        [],
      );
      assert.equal(html.match(/<details>/g)?.length, html.match(/<\/details>/g)?.length);
      assert.deepEqual(
        headings(text).filter((each) => /^H\b|out/.test(each)),
        [],
      );
      assert.doesNotMatch(text, /\u202e/);
    }
  });

  test("ends no annotation and begins no other", () => {
    for (const line of annotationsOf(report)) {
      assert.match(line, /^::(?:error|warning|notice) title=Sallyport%3A \w+::/);
      assert.doesNotMatch(line, /[\r\n]/);
    }
  });
});

test("a secret that was to leave in a name is published by nobody who tells of it", () => {
  const label = "mzxw6ytboi4dgnjvgu3dkmrugqztcobr";
  const connections = [jobRow({ verdict: "deny", name: `${label}.evil.example` })];
  const texts = [summaryOf(jobReport({ connections }), extras), ...annotationsOf(jobReport({ connections }))];
  for (const text of texts) {
    assert.doesNotMatch(text, new RegExp(label));
    assert.match(text, /mzxw…\(32\)\.evil\.example/);
  }
});

test("what a pull request wrote does not push the rest out of the summary", () => {
  const text = summaryOf(ten, { ...extras, proposal: "x\n".repeat(1_000_000) });
  assert.ok(Buffer.byteLength(text) < 200_000);
  assert.deepEqual(headings(text).slice(1), ["Refused", "Noticed", "Steps", "Who connected where"]);
  assert.match(text, /and 1950000 bytes more/);
});

test("a name that was asked for and then connected to is one destination", () => {
  const rows = [
    jobRow({ verdict: "would_deny", name: "a.example", protocol: "dns", port: null, count: 2 }),
    jobRow({ verdict: "would_deny", name: "a.example" }),
    jobRow({ verdict: "would_deny", name: "a.example", protocol: "dns", port: null, process: test2 }),
  ];
  const text = summaryOf({ ...jobReport({ connections: rows }), mode: "monitor" }, extras);
  assert.deepEqual(
    tables(text)[0]!.rows.map(([destination, step]) => `${destination!.text} ${step!.text}`),
    ["`a.example:443` tls 2\\. build", "`a.example` dns 3\\. test"],
  );
});

test("what looks like a way out is not proposed: sealed hellos at a shared front, private addresses", () => {
  const rows = [
    jobRow({ verdict: "would_deny", name: "x.cloudfront.net", ech: true }),
    jobRow({ verdict: "would_deny", name: "inside.example", ip: "10.0.0.7" }),
    jobRow({ verdict: "would_deny", name: "ruled.example", rule: "no ruled", reason: "rule" }),
  ];
  const { policy, held } = adviceOn(rows, "run 1");
  assert.equal(policy, null);
  assert.deepEqual(
    held.map(({ host }) => host),
    ["x.cloudfront.net", "inside.example", "ruled.example"],
  );
});

describe("annotations", () => {
  test("are for what was denied, once each; a watched job has none", () => {
    const twice = jobReport({
      connections: [...ten.connections.slice(0, 1), jobRow({ verdict: "deny", name: "evil.example", process: test2 })],
    });
    const lines = annotationsOf(twice);
    assert.equal(lines.length, 1);
    assert.match(
      lines[0]!,
      /^::error title=Sallyport%3A denied::evil\.example:443 .*step 2 “build” and 1 more, 4 times/,
    );
    assert.deepEqual(annotationsOf(watched), []);
  });

  test("tampering and detections are warnings, and a flood is capped", () => {
    const [tampering] = ten.detections.map((each) => ({ ...each, message: "rules gone" }));
    const lines = annotationsOf(
      jobReport({ ...flood, detections: [...ten.detections, ...ten.detections], tampering: [tampering!, tampering!] }),
    );
    assert.deepEqual(
      lines.map((line) => /^::(\w+) title=Sallyport%3A (\w+)/.exec(line)!.slice(1, 3).join(" ")),
      ["warning tampering", ...Array.from({ length: 8 }, () => "error denied"), "notice denied", "warning noticed"],
    );
    assert.match(lines.at(-2)!, /and 2492 more/);
  });
});
