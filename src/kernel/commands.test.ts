/** Promises of running tools: no shell, no inherited environment, and a failure that says what failed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { suite, test } from "node:test";
import { Worker } from "node:worker_threads";
import { SallyportError } from "../errors.ts";
import { attempt, attemptAside, CommandError, run, runAside } from "./commands.ts";
import { spawnAside, spawnToEnd } from "./spawn.ts";

suite("commands", () => {
  test("arguments and input arrive as they are", () => {
    assert.equal(run("printf", ["%s", "$(id); `id` | x"]), "$(id); `id` | x");
    assert.equal(run("cat", [], { input: "line\n" }), "line\n");
  });

  test("the environment is not handed on", () => {
    process.env["SALLYPORT_TEST_SECRET"] = "x";
    try {
      assert.equal(run("env", []).includes("SALLYPORT_TEST_SECRET"), false);
    } finally {
      delete process.env["SALLYPORT_TEST_SECRET"];
    }
  });

  test("a tool that is not there is a user's error", () => {
    assert.throws(
      () => run("no-such-tool", []),
      (error) =>
        error instanceof SallyportError && error.code === "MISSING_TOOL" && error.data["tool"] === "no-such-tool",
    );
  });

  test("a tool that fails, or reads no input, tells its own words", () => {
    assert.throws(
      () => run("ip", ["link", "show", "no-such-link"]),
      (error) => error instanceof CommandError && error.status !== 0 && error.stderr.includes("no-such-link"),
    );
    assert.equal(attempt("false", [], { input: "x".repeat(1_000_000) }).status, 1);
  });

  test("a tool that hangs is ended", () => {
    assert.throws(() => run("sleep", ["30"], { timeout: 50 }), /ETIMEDOUT/);
  });

  test("a signal to us ends no tool, whichever way it is waited for", async () => {
    const onSignal = () => {};
    process.on("SIGWINCH", onSignal);
    const other = spawn("sh", ["-c", `while kill -WINCH ${process.pid}; do sleep 0.002; done`], { stdio: "ignore" });
    try {
      await once(other, "spawn");
      const aside = Array.from({ length: 4 }, () => runAside("sh", ["-c", "sleep 0.3; echo whole"]));
      assert.deepEqual(
        await Promise.all(aside),
        Array.from({ length: 4 }, () => "whole\n"),
      );
      assert.equal(run("sh", ["-c", "sleep 0.3; echo whole"]), "whole\n");
    } finally {
      other.kill("SIGKILL");
      await once(other, "exit");
      process.off("SIGWINCH", onSignal);
    }
  });

  test("aside, a tool that hangs is ended, with what it has started", async () => {
    const began = performance.now();
    await assert.rejects(attemptAside("sh", ["-c", "sleep 31.4159 & wait"], "", 50), /ETIMEDOUT/);
    assert.ok(performance.now() - began < 20_000);
    assert.equal(attempt("pgrep", ["-f", "sleep 31.4159"]).stdout, "");
  });

  test("a tool that prints without end is ended before it fills the memory", async () => {
    const how = { input: "", environment: [], timeout: 20_000, maxOutput: 1_000_000 };
    assert.equal(spawnToEnd("/usr/bin/yes", ["yes"], how), "too-much-output");
    assert.equal(await spawnAside("/usr/bin/yes", ["yes"], how), "too-much-output");
  });

  test("in a worker thread nothing is left open, and Node has nothing to warn of", async () => {
    const source = `import { readdirSync } from "node:fs";
      import { run, runAside } from ${JSON.stringify(new URL("./commands.ts", import.meta.url).href)};
      import { parentPort } from "node:worker_threads";
      const open = () => readdirSync("/proc/self/fd").length;
      run("true", []);
      const before = open();
      for (let i = 0; i < 5; i++) { run("true", []); await runAside("true", []); }
      parentPort.postMessage([before, open()]);`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { stderr: true });
    let said = "";
    worker.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const [[before, after]] = (await once(worker, "message")) as [[number, number]];
    await once(worker, "exit");
    assert.equal(after, before);
    assert.doesNotMatch(said, /File descriptor/);
  });

  test("whoever waits aside keeps nobody else's work from being done", async () => {
    const slow = Array.from({ length: 6 }, () => runAside("sleep", ["1"]));
    const began = performance.now();
    await readFile("/proc/self/stat");
    assert.ok(performance.now() - began < 900);
    await Promise.all(slow);
  });

  test("aside, a tool leaves the event loop its turns, and fails with the same words", async () => {
    let turns = 0;
    const turning = setInterval(() => turns++, 1);
    try {
      await runAside("sleep", ["0.2"]);
    } finally {
      clearInterval(turning);
    }
    assert.ok(turns > 5, `${turns} turns`);
    assert.equal(await runAside("printf", ["%s", "$(id)"]), "$(id)");
    await assert.rejects(runAside("ip", ["link", "show", "no-such-link"]), (error) => {
      return error instanceof CommandError && error.status === 1 && error.stderr.includes("no-such-link");
    });
    await assert.rejects(runAside("no-such-tool", []), { code: "MISSING_TOOL" });
  });
});
