/** Promises of running tools: no shell, no inherited environment, and a failure that says what failed. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { SallyportError } from "../errors.ts";
import { attempt, CommandError, run, runAside } from "./commands.ts";

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
