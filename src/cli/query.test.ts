/**
 * `sallyport query` as people and scripts use it: answers on stdout and nothing else there, exit codes, what is said where
 * DuckDB is missing, and that no other command pays for it.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { connection, epoch, Recorder, temporary } from "../query/testing/records.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const root = fileURLToPath(new URL("../../", import.meta.url));
const flags = ["--disable-warning=ExperimentalWarning"];

describe("sallyport query", () => {
  const work = temporary();
  const scratch = join(work, "tmp");
  const env = { ...process.env, TMPDIR: scratch };

  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, main, "query", ...args], {
      cwd: work,
      encoding: "utf8",
      env,
    });
    return { status, stdout, stderr };
  };

  before(() => {
    mkdirSync(scratch);
    const one = new Recorder(join(work, "gw1"));
    one.segment([
      connection("pypi.org", { count: 41 }),
      connection("pypi.org", { kind: "flow_end", bytes: { up: 61_234, down: 8_400_000 } }),
      connection("telemetry.example", {
        verdict: "would_deny",
        reason: "default",
        rule: { name: null, tier: 3, mode: "monitor", policy: "5d" },
        time: epoch + 3_600_000_000,
      }),
    ]);
    one.segment([connection("late\u001b[31m.example", { time: epoch + 7_200_000_000 })]);
    const two = new Recorder(join(work, "gw2"));
    two.segment([connection("pypi.org", { source: { ip: "10.9.9.9", group: "others" } })]);
    const events = [...one.events, { schema: "other" }];
    const report = { schema: "sallyport.run/1", command: ["true"], events };
    writeFileSync(join(work, "seen.json"), JSON.stringify(report));
    writeFileSync(join(work, "not.json"), "{}");
  });

  test("shows a table, in which no name moves the cursor", () => {
    const { status, stdout, stderr } = run("destinations", "--state", "gw1", "-q");
    assert.deepEqual([status, stderr], [0, ""]);
    assert.equal(
      stdout,
      [
        "DESTINATION             PORT  PROTOCOL  CONNS  ALLOWED  WOULD DENY  DENIED     UP    DOWN  LAST",
        "pypi.org                 443  tls          41       41           0       0  61 kB  8.4 MB  2026-05-04T09:00:00Z",
        "late\\u{1b}[31m.example   443  tls           1        1           0       0    0 B     0 B  2026-05-04T11:00:00Z",
        "telemetry.example        443  tls           1        0           1       0    0 B     0 B  2026-05-04T10:00:00Z",
        "",
      ].join("\n"),
    );
  });

  test("answers over several gateways, as JSON lines and CSV", () => {
    const both = ["--state", "gw1", "--state", "gw2"];
    const runners = run("runners", ...both, "--json")
      .stdout.trim()
      .split("\n");
    assert.deepEqual(
      runners
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .map((row) => [row["gateway"], row["source_ip"], row["connections"]]),
      [
        ["gw1", "10.0.0.1", 43],
        ["gw2", "10.9.9.9", 1],
      ],
    );
    const rules = run("rules", ...both, "--csv").stdout.split("\n");
    assert.equal(rules[0], "rule,rule_tier,connections,allowed,would_deny,denied,bytes_up,bytes_down,last");
    assert.equal(rules[1], "packages,2,43,43,0,0,61234,8400000,2026-05-04T11:00:00.000000Z");
    assert.equal(rules[2], ",3,1,0,1,0,0,0,2026-05-04T10:00:00.000000Z");
  });

  test("takes bounds and limits, and says when there is more", () => {
    const bounded = run(
      "destinations",
      "--state",
      "gw1",
      "--json",
      "--since",
      "2026-05-04T10:00:00Z",
      "--until",
      "2026-05-04T11:00:00Z",
    );
    assert.deepEqual(
      bounded.stdout
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { destination: string }).destination),
      ["telemetry.example"],
    );
    const limited = run("destinations", "--state", "gw1", "--csv", "--limit", "1");
    assert.equal(limited.stdout.split("\n").length, 3);
    assert.match(limited.stderr, /more rows than these 1; --limit/);
    assert.match(run("destinations", "--state", "gw1", "--since", "1d").stdout, /Nothing was recorded/);
  });

  test("reads a run's report, and the same place once", () => {
    const { status, stdout, stderr } = run(
      "--state",
      "seen.json",
      "--state",
      "./seen.json",
      "--sql",
      "SELECT sum(count) FROM events",
      "--csv",
    );
    assert.deepEqual([status, stdout], [0, "sum(count)\n44\n"]);
    assert.match(stderr, /seen\.json: 1 line is no event/);
    const twice = run(
      "--state",
      "gw1",
      "--state",
      join(work, "gw1"),
      "--sql",
      "SELECT sum(count) AS n FROM events",
      "--json",
    );
    assert.equal(twice.stdout, '{"n":44}\n');
  });

  test("compact copies what is sealed, and asks nothing", () => {
    assert.deepEqual(run("compact", "--state", "gw1", "-q"), { status: 0, stdout: "", stderr: "" });
    assert.equal(readdirSync(join(work, "gw1/query")).length, 2);
    assert.deepEqual(run("clear", "--state", "gw1"), { status: 0, stdout: "Deleted 2 copies.\n", stderr: "" });
    assert.equal(run("clear", "--state", "gw1", "--json").stdout, '{"deleted":0}\n');
  });

  test("what was not meant is exit 2, with where to look", () => {
    for (const args of [
      [],
      ["--state", "gw1"],
      ["frobnicate", "--state", "gw1"],
      ["destinations"],
      ["destinations", "--state", "gw1", "--sql", "SELECT 1"],
      ["destinations", "--state", "gw1", "--json", "--csv"],
      ["destinations", "--state", "gw1", "--since", "yesterday"],
      ["destinations", "--state", "gw1", "--limit", "0"],
      ["destinations", "--state", "gw1", "--memory", "1 kB"],
      ["destinations", "--state", "nowhere"],
      ["destinations", "--state", "not.json"],
      ["--state", "gw1", "--sql", "DROP VIEW events"],
      ["--state", "gw1", "--sql", "SELECT * FROM read_text('/etc/passwd')"],
    ]) {
      const { status, stdout, stderr } = run(...args);
      assert.deepEqual([status, stdout], [2, ""], `${args.join(" ")}: ${stderr}`);
      assert.match(stderr, /--help|docs\/query\.md|state director/, args.join(" "));
    }
  });

  test("Ctrl-C, once or twice, ends it, and nothing is left", async () => {
    const slow = "SELECT count(*) FROM range(100000000000) a, events";
    const child = spawn(process.execPath, [...flags, main, "query", "--state", "gw1", "--sql", slow], {
      cwd: work,
      env,
    });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (text.includes("asking") && !said.includes("asking")) for (let i = 0; i < 2; i++) child.kill("SIGINT");
      said += text;
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    assert.equal(code, 130, said);
    assert.deepEqual(readdirSync(scratch), []);
  });
});

describe("DuckDB", () => {
  test("is loaded by nothing but a question", () => {
    const hook = `import { registerHooks } from "node:module";
      registerHooks({ resolve(name, context, next) { if (name.includes("duckdb")) console.error("loaded " + name); return next(name, context); } });`;
    const hooked = ["--import", `data:text/javascript,${encodeURIComponent(hook)}`];
    const loaded = (...args: string[]) =>
      spawnSync(process.execPath, [...flags, ...hooked, main, ...args], { encoding: "utf8" }).stderr.includes(
        "loaded @duckdb",
      );
    for (const args of [
      ["--help"],
      ["query", "--help"],
      ["query"],
      ["logs", "--state", "nowhere"],
      ["status", "--state", "x"],
    ]) {
      assert.equal(loaded(...args), false, args.join(" "));
    }
    assert.equal(loaded("query", "rules", "--state", "nowhere"), true);
  });

  test("missing: a question says what to do, and other commands work", () => {
    // An installation without optional packages: all that npm would have installed but the binaries.
    const work = temporary();
    cpSync(join(root, "src"), join(work, "src"), { recursive: true });
    cpSync(join(root, "package.json"), join(work, "package.json"));
    for (const name of Object.keys(packages(root))) {
      if (name.startsWith("@duckdb/node-bindings-")) continue;
      const target = join(work, "node_modules", name);
      mkdirSync(dirname(target), { recursive: true });
      if (name.startsWith("@duckdb/")) cpSync(join(root, "node_modules", name), target, { recursive: true });
      else symlinkSync(join(root, "node_modules", name), target);
    }
    const recorder = new Recorder(join(work, "state"));
    recorder.segment([connection("a.example")]);
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [...flags, join(work, "src/cli/main.ts"), ...args], { encoding: "utf8" });
    const asked = run("query", "rules", "--state", recorder.directory);
    assert.deepEqual([asked.status, asked.stdout], [1, ""]);
    assert.match(asked.stderr, /DuckDB.*cannot be loaded on linux.*\n.*--include=optional.*QUERY_ENGINE/);
    assert.equal(run("logs", "--state", recorder.directory).stdout.split("\n").length, 2);
    rmSync(work, { recursive: true, force: true });
  });
});

/** Production packages of package-lock.json that are installed here, by name. */
function packages(directory: string): Record<string, unknown> {
  const lock = JSON.parse(readFileSync(join(directory, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean; optional?: boolean }>;
  };
  return Object.fromEntries(
    Object.entries(lock.packages)
      .filter(([path, { dev }]) => path.startsWith("node_modules/") && dev !== true)
      .map(([path, entry]) => [path.replace("node_modules/", ""), entry]),
  );
}
