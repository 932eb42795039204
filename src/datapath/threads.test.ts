/** Whoever starts a thread hears from it, or why not: also of one that says nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { firstWord } from "./threads.ts";

const begun = (program: string) => new Worker(program, { eval: true });

test("a thread that never says that it is ready is ended, and whoever waits is told", async () => {
  const worker = begun("for (;;);");
  const exited = new Promise((resolve) => worker.once("exit", resolve));
  await assert.rejects(firstWord(worker, "A thread", 300), { message: "A thread was not ready within 0.3 s." });
  await exited;
});

test("one that is ready is not ended later", async () => {
  const worker = begun("require('node:worker_threads').parentPort.postMessage(7); setInterval(() => {}, 1000);");
  let hasExited = false;
  worker.once("exit", () => (hasExited = true));
  assert.equal(await firstWord(worker, "A thread", 5_000), 7);
  await new Promise((resolve) => setTimeout(resolve, 5_200));
  assert.equal(hasExited, false);
  await worker.terminate();
});

test("what ends it before is told as it was said", async () => {
  await assert.rejects(firstWord(begun("throw new RangeError('too many');"), "A thread"), /RangeError|too many/);
  await assert.rejects(firstWord(begun("process.exit(0);"), "A thread"), {
    message: "A thread ended before it was ready.",
  });
});
