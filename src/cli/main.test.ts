/**
 * The command line as people and scripts meet it: help that fits a screen and names everything, one version, and exit code 2
 * for whatever was not meant. The real launcher, no privileges.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, test } from "node:test";

const root = fileURLToPath(new URL("../../", import.meta.url));
const commands = [
  ...["run", "gateway", "status", "reload", "flows", "metrics", "logs", "query", "policy", "baseline", "config"],
  ...["receipt", "simulate", "workflow", "posture"],
];

function sallyport(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(`${root}sallyport`, args, {
    encoding: "utf8",
    env: { ...process.env, COLUMNS: "80" },
  });
  return { code: status, stdout, stderr };
}

describe("the command line", () => {
  test("--help fits one screen, and names every command and exit code", () => {
    const { code, stdout, stderr } = sallyport("--help");
    assert.deepEqual([code, stderr], [0, ""]);
    const lines = stdout.trimEnd().split("\n");
    assert.ok(lines.length <= 24, `${lines.length} lines`);
    for (const line of lines) assert.ok(line.length <= 80, line);
    for (const command of commands) assert.match(stdout, new RegExp(`^  ${command} +[a-z].{20}`, "m"));
    for (const exit of ["0 fine", "1 our failure", "2 usage", "3 denied", "4 enforcement"])
      assert.ok(stdout.includes(exit), exit);
  });

  test("each command explains itself, with every option", () => {
    for (const command of commands) {
      const { code, stdout } = sallyport(command, "--help");
      assert.equal(code, 0, command);
      assert.match(stdout, new RegExp(`^Usage: sallyport ${command}`));
    }
    const { stdout } = sallyport("run", "--help");
    for (const option of ["--policy", "--allow", "--mode", "--report", "--state", "--fail-on", "--dns", "--quiet"]) {
      assert.ok(stdout.includes(option), option);
    }
  });

  test("--version is the package's", () => {
    const { version } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { version: string };
    assert.deepEqual(sallyport("--version"), { code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("what was not meant is exit 2, on stderr, with where to look", () => {
    for (const args of [
      ["frobnicate"],
      ["--frobnicate"],
      ["run"],
      ["run", "--frobnicate", "--", "true"],
      ["run", "--mode", "loud", "--", "true"],
      ["run", "--fail-on", "sometimes", "--", "true"],
      ["run", "--dns", "not-an-address", "--", "true"],
      ["gateway"],
      ["gateway", "--policy", "p", "--state", "s", "--inside", "eth0", "--queue", "-1"],
      ["status"],
      ["logs"],
      ["run", "--sign-key", "key", "--", "true"],
      ["gateway", "--policy", "p", "--state", "s", "--inside", "eth0", "--keep-for", "ever"],
      ["gateway", "--policy", "p", "--state", "s", "--inside", "eth0", "--keep-size", "10"],
      ["logs", "verify"],
      ["logs", "keygen"],
      ["logs", "prune", "--state", "s"],
      ["receipt", "verify"],
      ["receipt", "verify", "r", "--max-gaps", "-1"],
      ["query"],
      ["policy", "check"],
      ["policy", "plan", "p"],
      ["policy", "promote", "s", "--events", "e"],
      ["baseline"],
      ["simulate", "--live"],
      ["simulate", "--only", "frobnicate"],
      ["workflow"],
      ["workflow", "add"],
      ["workflow", "add", "--uses", "sallyport/sallyport@v1"],
      ["workflow", "add", "--policy", "../sallyport.yaml"],
      ["workflow", "add", "--check", "--write"],
    ]) {
      const { code, stdout, stderr } = sallyport(...args);
      assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
      assert.equal(stdout, "", args.join(" "));
      assert.match(stderr, /--help/, args.join(" "));
    }
  });

  test("with no command at all it shows the help, and exit 2", () => {
    const { code, stdout, stderr } = sallyport();
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^Usage: sallyport/);
  });

  test("options after the command's name are the command's own", () => {
    // Taken for the command's, so that the next thing asked is who we are.
    const asNobody = ["--reuid=65534", "--regid=65534", "--clear-groups", `${root}sallyport`];
    const { status, stdout, stderr } = spawnSync("setpriv", [...asNobody, "run", "ls", "--help"], { encoding: "utf8" });
    assert.deepEqual([status, stdout], [4, ""], stderr);
  });
});
