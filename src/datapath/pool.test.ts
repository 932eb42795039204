/**
 * A thread that dies is started again, on the queue that it had. A change is said to be in force when every thread has it: also the one that died a moment ago and is being started again, whose queue
 * holds packets by then. Real threads on real queues, in a network namespace; needs root.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Worker } from "node:worker_threads";
import { until } from "../../test/support/until.ts";
import { newProgress } from "../audit/progress.ts";
import { addNamespace, deleteNamespace } from "../kernel/namespace.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import type { PolicyAt } from "./messages.ts";
import { DataPath } from "./pool.ts";

const namespace = `sp-pool-${process.pid}`;
before(() => addNamespace(namespace));
after(() => deleteNamespace(namespace));

function policyOf(name: string): PolicyAt {
  const loaded = loadPolicy(`version: 1\nrules:\n  - { name: web, to: ${name} }\n`, "policy.yaml", new Date(0));
  assert.ok(!isPolicyProblems(loaded));
  return { policy: loaded.policy, at: 0 };
}

async function stand() {
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
