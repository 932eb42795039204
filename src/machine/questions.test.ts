/**
 * The promise that a phase of ours which asks is known to have asked, however soon after its start that is, and one which does not is
 * not taken for one that did. Real processes and the kernel's own events; needs root and the initial namespaces.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ProcessTable } from "../process/table.ts";
import { PostGuard } from "./post-guard.ts";
import { Questions } from "./questions.ts";

/** A phase that ends well when it is told to; nothing of it has been taken in. */
async function phase(): Promise<ChildProcess> {
  const child = spawn("bash", ["--norc", "-c", "echo begun; read", "/action/dist/main.mjs"], {
    env: { PATH: "/usr/bin:/bin", SHLVL: "1", GITHUB_ACTION: "own" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return child;
}

async function liesOf(use: (questions: Questions, table: ProcessTable) => Promise<ChildProcess>): Promise<string[]> {
  let guard: PostGuard | null = null;
  const ended = new Set<number>();
  const table = new ProcessTable({
    worker: process.pid,
    onExec: (record) => guard?.executed(record),
    onEnd: (pid, status) => {
      guard?.ended(pid, status);
      ended.add(pid);
    },
  });
  const questions = new Questions(table);
  const lies: string[] = [];
  guard = new PostGuard({
    worker: process.pid,
    step: "own",
    asked: () => questions.asked,
    onLie: (message) => lies.push(message),
  });
  try {
    const child = await use(questions, table);
    child.stdin!.write("\n");
    await once(child, "exit");
    for (let looks = 0; !ended.has(child.pid!) && looks < 1_000; looks++) {
      table.drain();
      await sleep(10);
    }
    assert.ok(ended.has(child.pid!));
    return lies;
  } finally {
    table.close();
  }
}

test("main that asks before anybody has heard of its start has asked", async () => {
  const lies = await liesOf(async (questions) => {
    const child = await phase();
    questions.status();
    return child;
  });
  assert.deepEqual(lies, []);
});

test("main that asks nothing has not asked by what somebody asked before it", async () => {
  const lies = await liesOf(async (questions) => {
    questions.status();
    return await phase();
  });
  assert.match(lies.join(), /main phase said that all is well without asking/);
});
