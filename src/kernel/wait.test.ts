/** Promises of the wait: it ends for data, for a wake from any thread, and for its time; and says which. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Worker } from "node:worker_threads";
import * as libc from "./libc.ts";
import { wake, Waiter } from "./wait.ts";

suite("wait", { timeout: 20_000 }, () => {
  test("time passes without anything: nothing is ready", () => {
    const waiter = new Waiter([]);
    const start = performance.now();
    assert.equal(waiter.wait(50), 0);
    assert.ok(performance.now() - start >= 45);
    assert.equal(waiter.woken, false);
    waiter.close();
  });

  test("a wake before the wait is not lost, and is used up by it", () => {
    const waiter = new Waiter([]);
    wake(waiter.wakeDescriptor);
    wake(waiter.wakeDescriptor);
    assert.equal(waiter.wait(-1), 0);
    assert.equal(waiter.woken, true);
    assert.equal(waiter.wait(0), 0);
    assert.equal(waiter.woken, false);
    waiter.close();
  });

  test("readable descriptors are told apart", () => {
    const [first, second] = [libc.eventfd(), libc.eventfd()];
    const waiter = new Waiter([first, second]);
    wake(second);
    assert.equal(waiter.wait(-1), 1);
    assert.deepEqual([waiter.ready(0), waiter.ready(1), waiter.woken], [false, true, false]);
    libc.close(first);
    libc.close(second);
    // A closed descriptor is in error, which is not silence.
    assert.equal(waiter.wait(0), 2);
    waiter.close();
    waiter.close();
  });

  test("another thread ends a wait without a time limit", async () => {
    const code = `
      const { workerData, parentPort } = require("node:worker_threads");
      import(workerData).then(({ Waiter }) => {
        const waiter = new Waiter([]);
        parentPort.postMessage(waiter.wakeDescriptor);
        waiter.wait(-1);
        parentPort.postMessage(waiter.woken);
      });`;
    const worker = new Worker(code, { eval: true, workerData: new URL("wait.ts", import.meta.url).href });
    const messages: unknown[] = [];
    await new Promise<void>((resolve) => {
      worker.on("message", (message) => {
        messages.push(message);
        if (typeof message === "number") setTimeout(() => wake(message), 20);
        else resolve();
      });
    });
    assert.equal(messages[1], true);
    await worker.terminate();
  });
});
