/** `sallyport policy preset` as scripts use it, and the profiles that ship: they load, and are what the presets come to. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { profiles, profileText } from "../presets/profiles.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));

describe("sallyport policy preset", () => {
  let work: string;

  before(() => {
    work = mkdtempSync(join(tmpdir(), "sallyport-preset-"));
    writeFileSync(join(work, ".npmrc"), "registry=https://npm.corp.example/\n");
    writeFileSync(join(work, "Dockerfile"), "FROM registry.corp.example/base\n");
  });

  after(() => rmSync(work, { recursive: true, force: true }));

  // Without npm on PATH: the file says it.
  const run = (args: string[], cwd = work) =>
    spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", main, "policy", "preset", ...args], {
      cwd,
      encoding: "utf8",
      env: { HOME: work, PATH: "/nonexistent" },
    });

  test("what the project's own settings name is a policy on stdout that loads", () => {
    const made = run(["npm", "docker", "github-actions"]);
    assert.deepEqual([made.status, made.stderr], [0, ""]);
    const loaded = loadPolicy(made.stdout, "made.yaml", new Date());
    assert.ok(!isPolicyProblems(loaded), made.stdout);
    assert.deepEqual(loaded.warnings, []);
    assert.match(made.stdout, /# \.\/\.npmrc:1, registry\n {4}- npm\.corp\.example\n/);
    assert.equal(run(["npm", "docker", "github-actions", "--folder", work], "/").stdout, made.stdout);
    const report = JSON.parse(run(["npm", "docker", "github-actions", "--json"]).stdout) as {
      policy: string;
      presets: unknown[];
    };
    assert.deepEqual([report.policy, report.presets.length], [made.stdout, 3]);
  });

  test("what is not whole is 1 and says so; what does not exist is 2 with nothing on stdout", () => {
    const empty = mkdtempSync(join(work, "empty-"));
    const none = spawnSync(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", main, "policy", "preset", "npm"],
      {
        cwd: empty,
        encoding: "utf8",
        env: { HOME: empty, PATH: "/nonexistent" },
      },
    );
    assert.equal(none.status, 1);
    assert.match(none.stderr, /^npm: nothing names npm's registry/);
    assert.doesNotMatch(none.stdout, /^rules:/m);
    for (const [name, message] of [
      ["nmp", /no preset “nmp”/],
      ["aws:eu:s3", /is no region/],
      ["npm:x", /nothing behind a colon/],
    ] as const) {
      const failed = run([name]);
      assert.deepEqual([failed.status, failed.stdout], [2, ""]);
      assert.match(failed.stderr, message);
    }
  });

  test("without a name: the list of them, also as JSON", () => {
    const list = run([]);
    assert.deepEqual([list.status, list.stderr], [0, ""]);
    for (const name of [
      "npm",
      "pypi",
      "go",
      "cargo",
      "maven",
      "apt",
      "docker",
      "aws:REGION:SERVICES",
      "github-actions@1",
      "ghcr@1",
    ])
      assert.match(list.stdout, new RegExp(`^${name} `, "m"));
    assert.equal((JSON.parse(run(["--json"]).stdout) as { schema: string }).schema, "sallyport.presets/1");
  });

  test("the profiles load without a warning and are what is written beside the code", () => {
    assert.deepEqual(Object.keys(profiles).toSorted(), ["docker", "minimal", "node", "python"]);
    for (const name of Object.keys(profiles)) {
      const text = readFileSync(join(root, "profiles", `${name}.yaml`), "utf8");
      assert.equal(text, profileText(name));
      const loaded = loadPolicy(text, name, new Date());
      assert.ok(!isPolicyProblems(loaded), name);
      assert.deepEqual(loaded.warnings, []);
      assert.equal(loaded.policy.default.mode, "enforce");
    }
  });
});
