/**
 * `sallyport posture` as people and CI meet it, twice by the real launcher and else by the command alone: a folder, GitHub's API by
 * way of a server made from its own description, each format, exit codes, and what is hostile or missing.
 */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, test, type TestContext } from "node:test";
import { Command } from "commander";
import { github, Odd } from "../../test/support/github.ts";
import type { PostureReport } from "../posture/report/report.ts";
import { addPostureCommand } from "./posture.ts";
import { plainEnv, postureHere as posture } from "./testing/in-process.ts";
import type { Ended } from "./testing/in-process.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const sha = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
const job = (step: string) =>
  `on: push\npermissions: {}\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - ${step}\n`;
const bare = job("run: make");
const guarded = job(`uses: sallyport/sallyport@${sha}`);

function folder(t: TestContext, files: Record<string, string | Buffer>): string {
  const at = mkdtempSync(join(tmpdir(), "sallyport-posture-"));
  t.after(() => rmSync(at, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(at, path)), { recursive: true });
    writeFileSync(join(at, path), text);
  }
  return at;
}

/** By the real launcher. */
function launched(words: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { ...process.env, ...plainEnv };
    execFile(`${root}sallyport`, ["posture", ...words], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const reportOf = (stdout: string) => JSON.parse(stdout) as PostureReport;

describe("a folder", () => {
  test("fails where a job has no control, says where, and passes where it has", async (t) => {
    const at = folder(t, { ".github/workflows/ci.yml": bare });
    const { code, stdout, stderr } = await launched(["-C", at]);
    assert.deepEqual([code, stderr], [1, ""]);
    assert.match(
      stdout,
      /FAIL high: \.github\/workflows\/ci\.yml#build: no step of 1.*\n {4}at: \.github\/workflows\/ci\.yml:6:5\n {4}fix: sallyport workflow add/,
    );
    assert.equal((await posture(["-C", at, "--fail-on", "critical"])).code, 0);
    const good = folder(t, { ".github/workflows/ci.yml": guarded });
    assert.equal((await posture(["-C", good, "--unknown-fails", "--fail-on", "info"])).code, 1);
  });

  test("as JSON, SARIF and a document; the age of a mode is git's", async (t) => {
    const at = folder(t, { ".github/workflows/ci.yml": `${guarded}        with:\n          egress-policy: audit\n` });
    const who = ["-c", "user.name=x", "-c", "user.email=x@a.example", "-c", "commit.gpgsign=false"];
    const date = "2026-01-01T00:00:00Z";
    const env = { ...process.env, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
    for (const words of [
      ["init", "-q"],
      ["add", "-A"],
      ["commit", "-qm", "x"],
    ])
      execFileSync("git", ["-C", at, ...who, ...words], { env, stdio: "pipe" });
    const report = reportOf((await posture(["-C", at, "--json"])).stdout);
    assert.equal(report.schema, "sallyport.posture/1");
    const [age] = report.findings.filter(({ rule }) => rule === "RG-11");
    assert.match(age!.seen, /only watches \(egress-policy: audit\), for \d+ days; 30 are allowed/);
    assert.equal(age!.severity, "medium");
    for (const [format, pattern] of [
      ["sarif", /^\{"\$schema"/],
      ["runner-policy", /^# Runner policy[\s\S]*\*\*Does not hold\.\*\*[\s\S]*RG-11/],
    ] as const)
      assert.match((await posture(["-C", at, "--format", format])).stdout, pattern, format);
  });

  test("what is accepted does not fail; a file of such that is wrong does, with its line", async (t) => {
    const at = folder(t, { ".github/workflows/ci.yml": bare });
    const { findings } = reportOf((await posture(["-C", at, "--json"])).stdout);
    const ids = findings.filter(({ status }) => status === "fail").map(({ id }) => id);
    const entries = ids.map((id) => `  - { id: ${id}, owner: sec, reason: soon, expires: 2999-12-31 }\n`).join("");
    const file = join(at, "accepted.yaml");
    writeFileSync(file, `version: 1\naccepted:\n${entries}`);
    const { code, stdout } = await posture(["-C", at, "--accept", file]);
    assert.equal(code, 0);
    assert.match(stdout, / 0 fail, .* 1 accepted$/m);
    // What lapsed is back, whatever reads the report: it fails, and it is said where a person looks.
    writeFileSync(file, `version: 1\naccepted:\n${entries.replaceAll("2999-12-31", "2020-01-31")}`);
    const back = await posture(["-C", at, "--accept", file, "--format", "sarif"]);
    assert.equal(back.code, 1);
    assert.match(back.stderr, /accepted\.yaml:3: RG-10-[0-9a-f]{12} lapsed on 2020-01-31 \(sec\): it counts again/);
    writeFileSync(file, "version: 1\naccepted: [{ id: x }]\n");
    const wrong = await posture(["-C", at, "--accept", file]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /accepted\.yaml:2: .*ACCEPTED_INVALID/s);
  });

  test("hostile workflows end, are unknown, and leave the others checked", async (t) => {
    const bomb = `x0: &a0 [1]\n${Array.from({ length: 40 }, (_, i) => `x${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]\n`).join("")}`;
    const bad = {
      "alias.yml": `${bomb}on: push\njobs: { a: { runs-on: x, steps: *a40 } }\n`,
      "self.yml": "on: push\njobs: { a: &a { runs-on: x, steps: [*a] } }\n",
      "twice.yml": "on: push\njobs: { a: { runs-on: x } }\njobs: { b: { runs-on: x } }\n",
      "tabs.yml": "on: push\njobs:\n\ta: {}\n",
      "huge.yml": `on: push\njobs: { a: { runs-on: x } }\n${"# x\n".repeat(2_600_000)}`,
      "deep.yml": `on: push\njobs: ${"[".repeat(100_000)}\n`,
      "bytes.yml": Buffer.from([0xff, 0xfe, 0x00]),
      "documents.yml": "on: push\njobs: {}\n---\non: push\njobs: {}\n",
      "wide.yml": `${bare}x:\n${"- 1\n".repeat(201_000)}`,
    };
    /** What is said of each, on one line. */
    const lines: Record<keyof typeof bad, RegExp> = {
      "alias.yml": /its aliases come to more than 100000 values/,
      "self.yml": /has no anchor before it|its aliases come to more/,
      "twice.yml": /the key jobs is written twice/,
      "tabs.yml": /tab/i,
      "huge.yml": /it has \d+ characters/,
      "deep.yml": /nested too deeply/,
      "bytes.yml": /it is not UTF-8/,
      "documents.yml": /more than one document/,
      "wide.yml": /it has more than 200000 values/,
    };
    const files = Object.fromEntries(Object.entries(bad).map(([name, text]) => [`.github/workflows/${name}`, text]));
    const at = folder(t, { ...files, ".github/workflows/ci.yml": bare });
    const before = process.cpuUsage();
    const { findings } = reportOf((await posture(["-C", at, "--json"])).stdout);
    assert.ok(findings.some(({ subject, status }) => subject.endsWith("ci.yml#build") && status === "fail"));
    for (const [name, line] of Object.entries(lines)) {
      const own = findings.filter(({ where }) => where.kind === "file" && where.path.endsWith(`/${name}`));
      const said = own.filter(({ status }) => status !== "pass").map(({ seen }) => seen);
      assert.ok(
        said.some((seen) => line.test(seen)),
        `${name}: ${said.slice(0, 5).join("\n")}`,
      );
    }
    // Processor time, which a busy machine does not stretch; they take a tenth of it.
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 30e6, `${(user + system) / 1e6} s`);
  });

  test("a folder that is not there is an error, not a report", async () => {
    const { code, stderr } = await launched(["-C", "/nowhere/at/all"]);
    assert.deepEqual([code, /WORKFLOW_UNREADABLE/.test(stderr)], [2, true]);
  });
});

describe("the help", () => {
  test("is a screen of what is mostly wanted, one of what fixes, and all of it with --all", async () => {
    const program = new Command();
    addPostureCommand(program);
    const options = program.commands[0]!.options.map(({ long }) => long!);
    const help = async (...words: string[]) => {
      const { code, stdout } = await posture([...words, "--help"]);
      assert.equal(code, 0);
      return { lines: stdout.trimEnd().split("\n"), missing: options.filter((each) => !stdout.includes(` ${each} `)) };
    };
    const usual = await help();
    assert.ok(usual.lines.length <= 40, `${usual.lines.length} lines`);
    for (const line of usual.lines) assert.ok(line.length <= 80, line);
    assert.deepEqual((await help("--all")).missing, []);
    const { missing } = await help("--fix");
    const fixes = [
      "--apply",
      "--undo",
      "--undo-file",
      "--pin",
      "--version-comment",
      "--select-group",
      "--restrict-group",
    ];
    assert.deepEqual(
      fixes.filter((each) => missing.includes(each)),
      [],
    );
    assert.ok(missing.includes("--subnet") && usual.missing.includes("--pin"));
  });
});

describe("GitHub's API", () => {
  test("an organisation, with the token from the environment", async (t) => {
    const answers = {
      "/orgs/octo/repos": [],
      "/orgs/octo/actions/permissions/fork-pr-contributor-approval": new Odd(404, "{}"),
    };
    const server = await github(t, { answers, token: "secret-token" });
    const words = ["--no-repository", "--github", "octo", "--api-url", server.url];
    const { code, stdout, stderr } = await posture(words, { GH_TOKEN: "secret-token" });
    assert.equal(code, 1);
    assert.match(stdout, /^RG-05 {2}unknown/m);
    assert.match(stdout, /^ {2}GET \/orgs\/octo\/actions\/permissions\/fork-pr-contributor-approval: not there/m);
    assert.match(stdout, /fix: Give a token that may read it: admin:org/);
    assert.ok(!`${stdout}${stderr}`.includes("secret-token"));
    const wrong = await posture(words, { GITHUB_TOKEN: "another" });
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /does not know the token.*POSTURE_UNSEEN/s);
  });

  test("words that are wrong are said", async () => {
    for (const words of [
      ["--github", "../x"],
      ["--no-repository", "--github", "a", "--api-url", "http://api.example"],
    ])
      assert.equal((await posture(words)).code, 2, words.join(" "));
  });
});
