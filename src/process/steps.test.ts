/**
 * Promises about steps: one is inherited at fork and kept by orphans, named by the runner alone, lent to no sibling or later job, and
 * over when its last process is. Nobody but the listener's own child is the runner's next worker.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertGrowsLinearly } from "../../test/support/work.ts";
import { planted, SECOND, WORKER } from "./testing/planted.ts";

describe("steps", () => {
  test("are inherited at fork, over generations, and kept when every parent has ended", () => {
    const { tree, step, fork } = planted();
    step(200, "build", 10);
    fork(201, 200, 20);
    fork(202, 201, 30);
    tree.exit(201, 40);
    tree.exit(200, 50);
    assert.equal(tree.get(202)?.step?.name, "build");
    step(300, "test", 60);
    assert.equal(tree.get(202)?.step?.name, "build", "while another step runs");
    assert.deepEqual([tree.get(300)?.step?.name, tree.get(300)?.step?.number], ["test", 2]);
    assert.deepEqual(
      tree.get(202)?.ancestors.map(({ pid }) => pid),
      [201, 200, WORKER, 99],
    );
  });

  test("a post step of the same name has the same number; a child that names none has no number", () => {
    const { tree, step, fork, exec } = planted();
    step(200, "checkout", 10);
    tree.exit(200, 20);
    fork(201, WORKER, 30);
    exec(201, "/bin/true", 31);
    assert.deepEqual([tree.get(201)?.step?.name, tree.get(201)?.step?.number], [null, null]);
    tree.exit(201, 40);
    step(202, "checkout", 50);
    assert.equal(tree.get(202)?.step?.number, 1);
  });

  test("CLONE_PARENT names no other step: beside a living child of the worker a new one belongs to it", () => {
    const { tree, step } = planted();
    step(200, "evil", 10);
    step(201, "actions/checkout", 20);
    assert.equal(tree.get(201)?.step?.name, "evil");
    tree.exit(200, 30);
    step(202, "actions/checkout", 40);
    assert.equal(tree.get(202)?.step?.name, "evil", "by the sibling that it left behind");
    tree.exit(201, 50);
    tree.exit(202, 60);
    step(203, "next", 70);
    assert.equal(tree.get(203)?.step?.name, "next");
  });

  test("what a cancelled job left running takes no step of the runner's next job in, and ends as its own", () => {
    const { tree, step, fork, exec, environments, programs } = planted();
    step(200, "slow", 10);
    tree.exit(WORKER, 20);
    fork(110, 99, 30);
    exec(110, "/Runner.Worker", 31);
    for (const [pid, time] of [
      [201, 40],
      [202, 50],
    ] as const) {
      environments.set(pid, { GITHUB_ACTION: "sallyport" });
      fork(pid, 110, time);
      exec(pid, "/node", time + 1);
      assert.equal(tree.get(pid)?.step?.name, pid === 201 ? "sallyport" : tree.get(201)?.step?.name);
    }
    assert.equal(tree.get(202)?.step, tree.get(201)?.step, "beside a living one of its own job");
    programs.set(200, "/bin/bash");
    assert.equal(tree.get(200)?.step?.name, "slow");
    tree.exit(200, 60);
    assert.deepEqual(
      tree.takeEndedSteps().map(({ name, endedAt }) => [name, endedAt]),
      [["slow", 60]],
    );
  });

  test("nobody makes himself the runner's next worker: not a step's process, not beside one that lives, not by the name alone", () => {
    const { tree, step, fork, exec, programs } = planted();
    programs.set(WORKER, "/Runner.Worker");
    step(200, "evil", 10);
    const isRunner = (pid: number) => tree.isRunner(tree.get(pid)!);
    exec(200, "/Runner.Worker", 12);
    assert.equal(isRunner(200), false, "a child of the worker");
    // Where the listener takes in orphans, an orphan's sibling (CLONE_PARENT) is its child.
    fork(300, 99, 20);
    exec(300, "/Runner.Worker", 21);
    assert.deepEqual([isRunner(300), tree.get(300)!.step], [false, null], "while the worker lives");
    tree.exit(WORKER, 30);
    exec(200, "/Runner.Worker", 31);
    assert.equal(isRunner(200), false, "a child of the worker before");
    fork(301, 99, 32);
    exec(301, "/tmp/Runner.Worker", 33);
    assert.equal(isRunner(301), false, "another program of that name");
    fork(110, 99, 40);
    exec(110, "/Runner.Worker", 41);
    assert.equal(isRunner(110), true);
  });

  test("what many processes of two jobs cost grows with their number", () => {
    const jobs = (size: number) => {
      const { tree, fork, exec } = planted();
      for (let i = 0; i < size; i++) fork(1_000 + i, WORKER, 10 + i);
      tree.exit(WORKER, size + 20);
      fork(110, 99, size + 30);
      exec(110, "/Runner.Worker", size + 31);
      for (let i = 0; i < size; i++) fork(30_000 + i, 110, size + 40 + i);
      for (let i = 0; i < size; i++) tree.exit(1_000 + i, 3 * size + 50 + i);
      for (let i = 0; i < size; i++) tree.exit(30_000 + i, 4 * size + 50 + i);
    };
    assertGrowsLinearly("siblings", 500, (size) => size, jobs);
  });

  test("a process whose first thread has ended can still do so: it lives until its last thread ends", () => {
    const { tree, step } = planted();
    step(200, "evil", 10);
    tree.fork(200, 250, 200, 15);
    tree.exit(200, 20);
    assert.notEqual(tree.get(200), null);
    step(201, "other", 30);
    assert.equal(tree.get(201)?.step?.name, "evil");
  });

  test("only the first exec names the step: a later program's environment is the job's own", () => {
    const { tree, step, environments, exec } = planted();
    step(200, "build", 10);
    environments.set(200, { GITHUB_ACTION: "release" });
    exec(200, "/bin/sh", 20);
    assert.equal(tree.get(200)?.step?.name, "build");
  });

  test("an environment that was read after the next exec is not the runner's word", () => {
    const { tree, environments, programs, fork, at } = planted();
    fork(200, WORKER, 1 * SECOND);
    // GITHUB_ACTION=other exec something, before we have looked.
    environments.set(200, { GITHUB_ACTION: "other" });
    programs.set(200, "/bin/x");
    at(5 * SECOND);
    tree.exec(200, 2 * SECOND);
    tree.exec(200, 3 * SECOND);
    assert.notEqual(tree.get(200)?.step, null);
    assert.deepEqual([tree.get(200)?.step?.name, tree.get(200)?.step?.number], [null, null]);
    fork(201, 200, 6 * SECOND);
    assert.equal(tree.get(201)?.step?.name, null);
  });

  test("what the kernel noted at the first exec names a step that is looked at too late, and nothing noted elsewhen does", () => {
    const { tree, environments, programs, notes, fork, at } = planted();
    const late = (pid: number, time: number, noted: number) => {
      fork(pid, WORKER, time);
      notes.set(pid, { at: noted, environment: { GITHUB_ACTION: "build" } });
      environments.set(pid, { GITHUB_ACTION: "release" });
      programs.set(pid, "/bin/x");
      at(time + 4 * SECOND);
      tree.exec(pid, time + 1e6);
      tree.exec(pid, time + 2e6);
      tree.exit(pid, time + 3e6);
      return tree.lastEnded(pid)?.step;
    };
    assert.deepEqual([late(200, 1 * SECOND, 1 * SECOND + 5e5)?.name], ["build"]);
    assert.deepEqual([late(201, 10 * SECOND, 10 * SECOND + 15e5)?.name], [null], "by its second exec");
    assert.deepEqual([late(200, 20 * SECOND, 1 * SECOND + 5e5)?.name], [null], "by another of its number");
  });

  test("the worker is the runner and has no step; a child of it, before it executes, has one and is not the runner", () => {
    const { tree, fork } = planted();
    fork(200, WORKER, 10);
    assert.equal(tree.isRunner(tree.get(WORKER)!), true);
    assert.equal(tree.get(WORKER)!.step, null);
    assert.equal(tree.isRunner(tree.get(200)!), false);
    assert.notEqual(tree.get(200)!.step, null);
    tree.exit(WORKER, 20);
    fork(WORKER, 1, 30);
    assert.equal(tree.isRunner(tree.get(WORKER)!), false, "its number came again");
  });
});
