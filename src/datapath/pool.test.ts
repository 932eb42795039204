/**
 * A thread that dies is started again, on the queue that it had; one that hangs is ended for that, and nobody waits for it for ever. A change is said to be in force when every thread has it: also the one that died a moment ago and is being started again, whose queue
 * holds packets by then. Real threads on real queues, in a network namespace; needs root.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { until } from "../../test/support/until.ts";
import { newProgress } from "../audit/progress.ts";
import { addNamespace, deleteNamespace } from "../kernel/namespace.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import type { PolicyAt } from "./messages.ts";
import { DataPath, type DataPathOptions } from "./pool.ts";
import { queueFile, type SpareThreads, threadOf } from "./threads.ts";

const namespace = `sp-pool-${process.pid}`;
before(() => addNamespace(namespace));
after(() => deleteNamespace(namespace));

function policyOf(name: string): PolicyAt {
  const loaded = loadPolicy(`version: 1\nrules:\n  - { name: web, to: ${name} }\n`, "policy.yaml", new Date(0));
  assert.ok(!isPolicyProblems(loaded));
  return { policy: loaded.policy, at: 0 };
}

async function stand(more: Pick<DataPathOptions, "spare" | "every"> = {}) {
  const workers: Worker[] = [];
  const seen = (worker: Worker) => void workers.push(worker);
  process.on("worker", seen);
  const failures: [string, boolean][] = [];
  const path = await DataPath.start({
    namespace,
    queueBase: 0,
    queues: 2,
    policy: policyOf("old.example"),
    bindings: () => [],
    onLink: () => {},
    recorded: newProgress(),
    onTold: () => {},
    onEnded: () => {},
    onFailure: (...failure) => void failures.push(failure),
    ...more,
  }).finally(() => process.off("worker", seen));
  /** Resolves when one of them is dead and the next one begun. */
  const kill = async () => {
    const count = failures.length;
    // The first one begun is the thread that hears of ended connections.
    await workers[1]!.terminate();
    assert.ok(await until(() => failures.length > count, 30_000));
    assert.equal(path.running, 1);
  };
  return { path, failures, kill };
}

for (const [what, change] of [
  ["policy", (path: DataPath) => path.setPolicy(policyOf("new.example"))],
  ["budget that is used up", (path: DataPath) => path.setOverdrawn([])],
] as const)
  test(`a ${what} is in force when a thread that was being started again has it too`, async () => {
    const { path, failures, kill } = await stand();
    try {
      await kill();
      await change(path);
      assert.equal(path.running, 2);
      assert.equal(failures.length, 1);
      assert.match(failures[0]![0], /^data-path thread [01] died/);
    } finally {
      await path.stop();
    }
  });

/** The first queue's thread can be made to go round and round where it asks for the time, as a defect of ours would. */
class Hanging {
  readonly #held = new Int32Array(new SharedArrayBuffer(8));
  readonly #looks: (() => void)[] = [];
  #isBegun = false;

  readonly every = (look: () => void): (() => void) => {
    this.#looks.push(look);
    return () => void this.#looks.splice(this.#looks.indexOf(look), 1);
  };

  readonly take = (file: URL): Worker => {
    if (file !== queueFile || this.#isBegun) return threadOf(file);
    this.#isBegun = true;
    const program = `
      const { workerData } = require("node:worker_threads");
      const now = Date.now;
      Date.now = () => {
        if (Atomics.load(workerData.held, 0) === 1) Atomics.store(workerData.held, 1, 1);
        while (Atomics.load(workerData.held, 0) === 1);
        return now();
      };
      import(workerData.file);`;
    return new Worker(program, { eval: true, workerData: { held: this.#held, file: queueFile.href } });
  };

  /** Resolves when the thread hangs, and that it went on before was seen. */
  async hang(): Promise<void> {
    Atomics.store(this.#held, 0, 1);
    assert.ok(await until(() => Atomics.load(this.#held, 1) === 1, 30_000));
    this.pass(1);
  }

  pass(seconds: number): void {
    for (let i = 0; i < seconds; i++) for (const look of [...this.#looks]) look();
  }
}

async function hangable() {
  const hanging = new Hanging();
  return { hanging, ...(await stand({ spare: hanging as unknown as SpareThreads, every: hanging.every })) };
}

/** There is a sign of life of the thread that does not hang between two looks. */
async function seconds(hanging: Hanging, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await sleep(300);
    hanging.pass(1);
  }
}

test("a thread that hangs is ended and started again, and has the policy that was waiting for it", async () => {
  const { path, failures, hanging } = await hangable();
  try {
    await hanging.hang();
    let isInForce = false;
    const changed = path.setPolicy(policyOf("new.example")).then(() => (isInForce = true));
    await seconds(hanging, 29);
    assert.deepEqual([failures, isInForce, path.running], [[], false, 2], "not before its time");
    await seconds(hanging, 1);
    await changed;
    assert.ok(await until(() => path.running === 2 && failures.length === 1, 30_000));
    assert.match(failures[0]![0], /^data-path thread \d died: it hung, without a sign of life for 30 seconds$/);
    assert.equal(failures[0]![1], false);
    await path.setPolicy(policyOf("newer.example"));
  } finally {
    await path.stop();
  }
});

test("a thread that hangs does not keep the others from stopping", async () => {
  const { path, failures, hanging } = await hangable();
  await hanging.hang();
  // However long it has been silent by then.
  await seconds(hanging, 10);
  let isStopped = false;
  const stopped = path.stop().then(() => (isStopped = true));
  await seconds(hanging, 4);
  assert.equal(isStopped, false, "it has time to end by itself");
  await seconds(hanging, 1);
  await stopped;
  // It may have judged what nobody will read of.
  assert.deepEqual(failures, [["data-path thread 0 hung when it was to end: what it had not told is missing", false]]);
});
