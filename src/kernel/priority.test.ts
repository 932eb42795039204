/** Work that others wait for goes before the rest, for as long as it takes and for its own thread alone. */
import assert from "node:assert/strict";
import { getPriority, setPriority } from "node:os";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { hurriedly, hurry } from "./priority.ts";

test("a thread goes before others while it works, and no longer, whatever comes of the work", () => {
  const before = getPriority(0);
  assert.equal(
    hurriedly(() => getPriority(0)),
    -10,
  );
  assert.equal(getPriority(0), before);
  assert.throws(() =>
    hurriedly(() => {
      throw new Error("it failed");
    }),
  );
  assert.equal(getPriority(0), before);
});

test("inside of itself it ends with the outer one", () => {
  const before = getPriority(0);
  const done = hurry();
  assert.equal(
    hurriedly(() => getPriority(0)),
    -10,
  );
  assert.equal(getPriority(0), -10);
  done();
  assert.equal(getPriority(0), before);
});

test("another thread's time is its own", async () => {
  const done = hurry();
  try {
    const worker = new Worker(
      `const { getPriority, setPriority } = require("node:os");
       setPriority(0, 3); require("node:worker_threads").parentPort.postMessage(getPriority(0));`,
      { eval: true },
    );
    const theirs = await new Promise((resolve) => worker.once("message", resolve));
    assert.deepEqual([theirs, getPriority(0)], [3, -10]);
    await worker.terminate();
  } finally {
    done();
  }
});

test("who may not go before others works as before", { skip: process.getuid!() !== 0 }, async () => {
  const before = getPriority(0);
  const seteuid = process.seteuid!;
  // The kernel asks for CAP_SYS_NICE, which another effective user has not.
  seteuid.call(process, 65534);
  try {
    assert.throws(() => setPriority(0, -10), /EACCES|EPERM/);
    assert.equal(
      hurriedly(() => getPriority(0)),
      before,
    );
  } finally {
    seteuid.call(process, 0);
  }
});
