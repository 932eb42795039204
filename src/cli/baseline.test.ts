/** `sallyport baseline`, `policy plan` and `policy promote` as people and scripts use them: files in, text and exit codes out. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Event } from "../audit/event.ts";
import { connection, recorded } from "../baseline/testing/events.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const hour = 3_600;

/** A record as a gateway leaves it; these commands check no chain. */
function writeRecord(directory: string, events: readonly Event[]): void {
  mkdirSync(join(directory, "events"), { recursive: true });
  const lines = events.map((event) => `${JSON.stringify(event)}\n`).join("");
  writeFileSync(join(directory, "events", "events-000000000001.ndjson"), lines);
}

const python = (n: number, name = "pypi.org") =>
  connection({ group: "python", source: "10.1.0.7", name, at: n * hour });
const rust = (n: number, name = "crates.example") =>
  connection({ group: "rust", source: "10.2.0.7", name, at: n * hour });

const gateway = [
  recorded(0, { kind: "lifecycle", message: "started", data: { inside: ["eth1"] } }),
  ...Array.from({ length: 100 }, (_, n) => [python(n), rust(n)]).flat(),
  ...[10, 40, 70].map((n) => rust(n, `new${n}.example`)),
  connection({
    group: "rust",
    source: "10.2.0.7",
    name: null,
    ip: "198.51.100.9",
    port: 5432,
    protocol: "tcp",
    at: 41 * hour,
  }),
  connection({ group: "rust", source: "10.2.0.7", name: "evil.example", verdict: "deny", at: 42 * hour }),
].toSorted((a, b) => (a.time < b.time ? -1 : 1));

const inForce = `version: 1
sources:
  python: { subnets: [10.1.0.0/16] }   # ours
  rust: { subnets: [10.2.0.0/16] }
rules:
  - { name: python, from: python, to: [pypi.org] }
  - { name: rust, from: rust, to: [crates.example] }
default:
  mode: monitor   # for now
`;

describe("sallyport baseline", () => {
  let work: string;

  before(() => {
    work = mkdtempSync(join(tmpdir(), "sallyport-baseline-"));
    writeRecord(join(work, "state"), gateway);
    writeFileSync(join(work, "sallyport.yaml"), inForce);
    const report = (events: Event[]) => JSON.stringify({ schema: "sallyport.run/1", command: ["npm", "ci"], events });
    writeFileSync(
      join(work, "one.json"),
      report([connection({ name: "pypi.org" }), connection({ name: "a.example" })]),
    );
    writeFileSync(join(work, "two.json"), report([connection({ name: "pypi.org", at: 60 })]));
    writeFileSync(join(work, "broken.json"), '{"schema":"sallyport.run/1"}');
  });

  after(() => rmSync(work, { recursive: true, force: true }));

  const run = (...args: string[]) => {
    const given = ["--disable-warning=ExperimentalWarning", main, ...args];
    const { status, stdout, stderr } = spawnSync(process.execPath, given, { cwd: work, encoding: "utf8" });
    return { status, stdout, stderr };
  };
  const json = (...args: string[]) => JSON.parse(run(...args, "--json").stdout) as Record<string, unknown>;

  test("reports: the policy on standard output, what to think of it beside; each report is a run of its command", () => {
    const { status, stdout, stderr } = run("baseline", "one.json", "two.json", "one.json");
    assert.equal(status, 0, stderr);
    assert.match(
      stdout,
      /^# Proposed.*\nversion: 1\n\nrules:\n {2}- name: seen while monitoring\n {4}to:\n {6}- a\.example\n {6}- pypi\.org\n/,
    );
    assert.match(
      stderr,
      /^3 events from 1 source, 2026-05-01 to 2026-05-01\n\n\(no declared source\): 2 runs \(1 that count: begun together is one\), 1 address\n/,
    );
    assert.match(stderr, /KEEP MONITORING: about \d+ more runs/);
    writeFileSync(join(work, "made.yaml"), stdout);
    assert.equal(run("policy", "check", "made.yaml").status, 0);
  });

  test("a gateway's record: who is ready, who is not, what is held back and what was refused", () => {
    const { status, stdout, stderr } = run("baseline", "state", "--span", "1d");
    assert.equal(status, 0, stderr);
    assert.match(stdout, / {2}python: \{ subnets: \[10\.1\.0\.7\] \}\n/);
    assert.match(
      stderr,
      /python: 100 runs, 1 address\n {2}proposed: 1 endpoint; held back: 0; refused: 0\n.*\n {2}READY TO ENFORCE: at most 3\.\d %/,
    );
    assert.match(
      stderr,
      /rust: 100 runs[^]*KEEP MONITORING[^]*held back[^\n]*\n {4}198\.51\.100\.9:5432 +tcp[^]*refused[^\n]*\n {4}evil\.example:443/,
    );
    assert.doesNotMatch(stdout, /evil|^ *-.*198\.51/m);
    assert.match(stdout, /^# {3}198\.51\.100\.9:5432 tcp: a bare address/m);
    assert.match(run("baseline", "state").stderr, /its runs are from 4\.1 of 7 days/);
    assert.match(run("baseline", "state", "--accept", "198.51.100.9:5432").stdout, /198\.51\.100\.9\/32:5432/);
  });

  test("--policy: its subnets, not the addresses seen; --risk asks for less or more", () => {
    assert.match(run("baseline", "state", "-p", "sallyport.yaml").stdout, /python: \{ subnets: \[10\.1\.0\.0\/16\] \}/);
    const verdicts = (...args: string[]) =>
      (json("baseline", "state", "--span", "1d", ...args)["sources"] as { advice: { verdict: string } }[]).map(
        ({ advice }) => advice.verdict,
      );
    assert.deepEqual(verdicts(), ["ready", "keep_monitoring"]);
    assert.deepEqual(verdicts("--risk", "1%"), ["keep_monitoring", "keep_monitoring"]);
    assert.deepEqual(verdicts("--risk", "0.3"), ["ready", "review"]);
  });

  test("--out and --docs write, --check complains of what is no longer so, and writes nothing", () => {
    const files = ["-o", "out.yaml", "-d", "list.md"];
    assert.equal(run("baseline", "one.json", "two.json", ...files).status, 0);
    const before = ["out.yaml", "list.md"].map((file) => readFileSync(join(work, file), "utf8"));
    assert.equal(run("baseline", "one.json", "two.json", ...files, "--check").status, 0);
    writeFileSync(join(work, "windows.yaml"), before[0]!.replaceAll("\n", "\r\n"));
    assert.equal(run("baseline", "one.json", "two.json", "-o", "windows.yaml", "--check").status, 0);
    // Fewer runs, the same endpoints: only the figures differ.
    assert.equal(run("baseline", "one.json", ...files, "--check").status, 0);
    const drift = run("baseline", "two.json", ...files, "--check");
    assert.equal(drift.status, 1);
    assert.match(drift.stderr, /out\.yaml is not what would be proposed\.\nsallyport: list\.md: - `a\.example` tls/);
    assert.deepEqual(
      ["out.yaml", "list.md"].map((file) => readFileSync(join(work, file), "utf8")),
      before,
    );
    assert.equal(run("baseline", "one.json", "--check", "-d", "none.md").status, 1);
    assert.ok(!existsSync(join(work, "none.md")));
  });

  test("what cannot be read is exit 2, with what to do; it is never left out", () => {
    for (const [args, expected] of [
      [["nowhere"], /RECORD_UNREADABLE/],
      [["one.json", "nowhere"], /RECORD_UNREADABLE/],
      [["broken.json"], /REPORT_INVALID/],
      [["one.json", "--check"], /--check needs/],
      [["one.json", "--since", "yesterday"], /RFC 3339/],
      [["one.json", "--risk", "2"], /share/],
      [["."], /RECORD_UNREADABLE/],
    ] as const) {
      const { status, stdout, stderr } = run("baseline", ...args);
      assert.deepEqual([status, stdout], [2, ""], args.join(" "));
      assert.match(stderr, expected);
    }
  });

  test("the record of runs with --state: each start is a run", () => {
    const start = (n: number) =>
      recorded(n * 60, { kind: "lifecycle", message: "started", data: { inside: ["inside"] } });
    const stop = (n: number) =>
      recorded(n * 60 + 30, { kind: "lifecycle", message: "stopped", data: { leave: "gone" } });
    const events = [0, 1, 2].flatMap((n) => [start(n), connection({ at: n * 60 + 1 }), stop(n)]);
    writeRecord(join(work, "runs"), events);
    assert.match(run("baseline", "runs").stderr, /: 3 runs \(1 that count: begun together is one\), 1 address/);
    assert.match(run("baseline", "runs", "--together", "20s").stderr, /: 3 runs, 1 address/);
  });

  test("plan: what the candidate would have refused; --exit-code says it to scripts", () => {
    const plan = run("policy", "plan", "sallyport.yaml", "--events", "state");
    assert.deepEqual([plan.status, plan.stderr], [0, ""]);
    assert.match(
      plan.stdout,
      /^Passes only while the default monitors[^]*~ 198\.51\.100\.9:5432 tcp +rust[^]*205 connections of 206 events replayed/,
    );
    writeFileSync(join(work, "enforcing.yaml"), inForce.replace("mode: monitor", "mode: enforce"));
    const denying = run("policy", "plan", "enforcing.yaml", "--events", "state", "--exit-code");
    assert.equal(denying.status, 1);
    assert.match(denying.stdout, /^Newly denied[^]*- new10\.example:443 tls +rust +1 connection, 2026-05-01/);
    const kinds = (json("policy", "plan", "enforcing.yaml", "--events", "state")["changes"] as { kind: string }[]).map(
      ({ kind }) => kind,
    );
    assert.deepEqual(new Set(kinds), new Set(["denied", "covered"]));
    assert.equal(run("policy", "plan", "made.yaml").status, 2);
  });

  test("promote: shows and writes nothing, then writes one name, keeps the file's rights, and goes through a link", () => {
    const file = join(work, "sallyport.yaml");
    chmodSync(file, 0o640);
    symlinkSync("sallyport.yaml", join(work, "link.yaml"));
    const dry = run("policy", "promote", "python", "-p", "link.yaml", "--events", "state");
    assert.deepEqual([dry.status, dry.stderr], [0, ""]);
    assert.match(
      dry.stdout,
      /Nothing that passed would be refused\. Rules allow 100 connections that passed only because the default monitors\. In 100 runs; sallyport baseline [^\n]+\n\nNothing was written; --write adds python/,
    );
    assert.equal(readFileSync(file, "utf8"), inForce);
    const written = run("policy", "promote", "python", "-p", "link.yaml", "--events", "state", "--write");
    assert.equal(written.status, 0, written.stderr);
    assert.equal(
      readFileSync(file, "utf8"),
      inForce.replace("  mode: monitor", "  enforce_for: [python]\n  mode: monitor"),
    );
    assert.equal(statSync(file).mode & 0o777, 0o640);
    assert.match(run("policy", "promote", "python", "-p", "link.yaml", "--events", "state").stdout, /enforced already/);
    writeFileSync(file, inForce);
  });

  test("promote refuses where recorded traffic would be refused, or none is recorded; --force does it all the same", () => {
    const file = join(work, "sallyport.yaml");
    const refused = run("policy", "promote", "rust", "-p", "sallyport.yaml", "--events", "state", "--write");
    assert.equal(refused.status, 1);
    assert.match(refused.stdout, /^With enforcement, rust would have been refused\n[^]*new10\.example/);
    assert.doesNotMatch(refused.stdout, /before, would be denied/);
    assert.match(refused.stderr, /PLAN_DENIES/);
    const unknown = run("policy", "promote", "rust", "-p", "sallyport.yaml", "--events", "one.json", "--write");
    assert.deepEqual([unknown.status, /nothing of rust is recorded/.test(unknown.stderr)], [1, true]);
    assert.equal(readFileSync(file, "utf8"), inForce);
    // The traffic that it would refuse is long ago.
    const recent = run(
      "policy",
      "promote",
      "rust",
      "-p",
      "sallyport.yaml",
      "--events",
      "state",
      "--since",
      "2026-05-04T00:00:00Z",
    );
    assert.equal(recent.status, 0, recent.stderr);
    const forced = run("policy", "promote", "rust", "-p", "sallyport.yaml", "--events", "state", "--write", "--force");
    assert.equal(forced.status, 0, forced.stderr);
    assert.match(readFileSync(file, "utf8"), /enforce_for: \[rust\]/);
    writeFileSync(file, inForce);
    assert.equal(run("policy", "promote", "go", "-p", "sallyport.yaml", "--events", "state").status, 2);
    assert.equal(
      run("policy", "promote", "rust", "-p", "sallyport.yaml", "--events", "state", "--dry-run", "--write").status,
      2,
    );
  });
});
