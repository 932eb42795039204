/**
 * Promises about the tree of processes: a step is inherited at fork and kept by orphans, a number that comes again is another
 * process, what was seen late is not taken for what was, and none of it depends on what /proc says of parents. Events by hand
 * and at random, against a model that keeps everything; the kernel's own are in `table.test.ts`.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type ProcessImage, recordBounds } from "./record.ts";
import type { StepEnvironment } from "./steps.ts";
import { ProcessTree } from "./tree.ts";
import { assertGrowsLinearly } from "../../test/support/work.ts";

const WORKER = 100;
const SECOND = 1e9;

/** A tree whose processes run what `programs` says, at the time it is looked at. */
function planted() {
  const programs = new Map<number, string>();
  const images = new Map<number, ProcessImage>();
  const environments = new Map<number, StepEnvironment>();
  const ran = new Map<number, { at: number; exe: string; args?: string[] }>();
  const notes = new Map<number, { at: number; environment: StepEnvironment }>();
  let clock = 0;
  const image = (exe: string): ProcessImage => ({ exe, args: [exe], uid: 1000, container: null, native: true });
  const tree = new ProcessTree({
    image: (pid) => images.get(pid) ?? (programs.has(pid) ? image(programs.get(pid)!) : null),
    environment: (pid) => environments.get(pid) ?? {},
    program: (pid, since, time) => {
      const run = ran.get(pid);
      return run !== undefined && run.at > since && run.at <= time ? { exe: run.exe, args: run.args ?? [] } : null;
    },
    told: (pid, since, time) => {
      const note = notes.get(pid);
      return note !== undefined && note.at >= since && note.at <= time ? note.environment : null;
    },
    now: () => clock,
    askers: () => null,
  });
  tree.setRunner(WORKER, [99]);
  const met = (pid: number, parent: number, exe: string) => ({
    pid,
    parent,
    startedAt: 0,
    threads: 1,
    countedAt: 1,
    ...image(exe),
  });
  tree.meet(met(99, 1, "/Runner.Listener"), true);
  tree.meet(met(WORKER, 99, "/Runner.Worker"), true);
  return {
    tree,
    programs,
    images,
    environments,
    notes,
    ran,
    at: (time: number) => (clock = time),
    fork: (pid: number, parent: number, time: number) => tree.fork(pid, pid, parent, time),
    exec: (pid: number, exe: string, time: number) => {
      programs.set(pid, exe);
      clock = Math.max(clock, time + 1);
      tree.exec(pid, time);
    },
    step: (pid: number, name: string, time: number) => {
      environments.set(pid, { GITHUB_ACTION: name });
      tree.fork(pid, pid, WORKER, time);
      programs.set(pid, "/bin/bash");
      clock = Math.max(clock, time + 2);
      tree.exec(pid, time + 1);
    },
  };
}

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

describe("time", () => {
  test("a number that comes again is another process, and the old one is found by its time", () => {
    const { tree, step, fork, exec } = planted();
    step(200, "build", 1 * SECOND);
    tree.exit(200, 2 * SECOND);
    fork(200, 1, 3 * SECOND);
    exec(200, "/usr/sbin/cron", 3 * SECOND + 1);
    assert.equal(tree.at(200, 1.5 * SECOND)?.step?.name, "build");
    assert.deepEqual([tree.at(200, 4 * SECOND)?.exe, tree.at(200, 4 * SECOND)?.step], ["/usr/sbin/cron", null]);
    assert.equal(tree.at(200, 2.5 * SECOND), null);
  });

  test("who had a number when it was given again within a moment is found by its time", () => {
    const { tree, fork, step } = planted();
    step(200, "build", 1 * SECOND);
    tree.exit(200, 2 * SECOND);
    fork(200, 99, 2 * SECOND + 2e6);
    assert.equal(tree.at(200, 2 * SECOND - 1e6)?.step?.name, "build", "its last millisecond is its own");
    assert.equal(
      tree.at(200, 2 * SECOND + 1e6)?.step,
      null,
      "between the two, the clocks' difference is the new one's",
    );
    assert.equal(tree.at(200, 2 * SECOND + 3e6)?.step, null);
  });

  test("who called and then executed another program was the first one", () => {
    const { tree, step, exec } = planted();
    step(200, "build", 1 * SECOND);
    exec(200, "/tmp/evil", 2 * SECOND);
    exec(200, "/usr/bin/git", 3 * SECOND);
    assert.equal(tree.at(200, 2.5 * SECOND)?.exe, "/tmp/evil");
    assert.equal(tree.at(200, 3.5 * SECOND)?.exe, "/usr/bin/git");
    for (let i = 0; i < 8; i++) exec(200, `/bin/${i}`, (4 + i) * SECOND);
    assert.equal(tree.at(200, 2.5 * SECOND)?.exe, null, "longer ago than is remembered");
  });

  test("what was looked at after the next exec is not known, nor are those who were forked meanwhile", () => {
    const { tree, step, fork, programs, at } = planted();
    step(200, "build", 1 * SECOND);
    programs.set(200, "/usr/bin/git");
    at(5 * SECOND);
    tree.exec(200, 2 * SECOND);
    fork(201, 200, 2.5 * SECOND);
    assert.equal(tree.get(201)?.exe, "/usr/bin/git");
    tree.exec(200, 3 * SECOND);
    assert.equal(tree.at(200, 2.2 * SECOND)?.exe, null);
    assert.equal(tree.get(201)?.exe, null);
    assert.equal(tree.get(201)?.step?.name, "build");
    assert.equal(tree.get(200)?.exe, "/usr/bin/git");
  });

  test("who is gone when it is looked at runs what the kernel noted at that very exec, and nothing it noted elsewhen", () => {
    const { tree, fork, ran, at } = planted();
    fork(200, WORKER, 1 * SECOND);
    ran.set(200, { at: 2 * SECOND - 1e5, exe: "/usr/bin/git", args: ["git", "push"] });
    at(9 * SECOND);
    tree.exec(200, 2 * SECOND);
    assert.deepEqual(
      [tree.get(200)?.exe, tree.get(200)?.native, tree.get(200)?.args],
      ["/usr/bin/git", true, ["git", "push"]],
    );
    tree.exec(200, 3 * SECOND);
    assert.deepEqual([tree.get(200)?.exe, tree.get(200)?.native], [null, false], "the note is of the exec before");
    ran.set(200, { at: 9 * SECOND, exe: "/usr/bin/ls" });
    tree.exec(200, 4 * SECOND);
    assert.equal(tree.get(200)?.exe, null, "the note is of a later exec");
    assert.deepEqual(
      [tree.at(200, 2.5 * SECOND)?.exe, tree.at(200, 2.5 * SECOND)?.args],
      ["/usr/bin/git", ["git", "push"]],
    );
  });

  test("who has ended and is not collected shows nothing of itself: what the kernel noted counts", () => {
    const { tree, fork, ran, images } = planted();
    fork(200, WORKER, 1 * SECOND);
    images.set(200, { exe: null, args: [], uid: 0, container: null, native: false });
    ran.set(200, { at: 2 * SECOND - 1e5, exe: "/usr/sbin/sysctl", args: ["sysctl", "-w", "a=1"] });
    tree.exec(200, 2 * SECOND);
    const { exe, args, uid } = tree.get(200)!;
    assert.deepEqual([exe, args, uid], ["/usr/sbin/sysctl", ["sysctl", "-w", "a=1"], 0]);
  });

  test("ended ones are forgotten after a while, and the oldest first where there are many", () => {
    const { tree, fork } = planted();
    fork(200, 1, 0);
    tree.exit(200, 1 * SECOND);
    tree.sweep(2 * SECOND);
    assert.notEqual(tree.at(200, 1 * SECOND), null);
    tree.sweep(1 * SECOND + recordBounds.endedFor);
    assert.equal(tree.at(200, 1 * SECOND), null);
    for (let i = 0; i < 3 * recordBounds.ended; i++) {
      fork(1000 + i, 1, 20 * SECOND + i);
      tree.exit(1000 + i, 20 * SECOND + i);
    }
    assert.ok(tree.size.ended <= 2 * recordBounds.ended + 1, String(tree.size.ended));
    assert.notEqual(tree.at(1000 + 3 * recordBounds.ended - 1, 20 * SECOND + 3 * recordBounds.ended), null);
  });

  test("a step is over when its last process is, though the table was full when it came", () => {
    const { tree, step, fork } = planted();
    step(200, "evil", 10);
    for (let i = 0; i < recordBounds.living; i++) fork(1_000 + i, 200, 20);
    fork(90_000, WORKER, 30);
    for (let i = 0; i < recordBounds.living; i++) tree.exit(1_000 + i, 40);
    tree.exit(90_000, 41);
    tree.exit(200, 42);
    step(300, "next", 50);
    assert.equal(tree.get(300)?.step?.name, "next");
    assert.deepEqual(
      tree.takeEndedSteps().map(({ name }) => name),
      ["evil"],
    );
  });

  test("a sibling that even the room of steps has no place for lends nobody another name when the others have ended", () => {
    const { tree, step, fork } = planted();
    step(200, "evil", 10);
    for (let i = 0; i < 2 * recordBounds.living; i++) fork(1_000 + i, WORKER, 20);
    assert.ok(tree.overflow > 0);
    const last = 1_000 + 2 * recordBounds.living - 1;
    assert.equal(tree.get(last), null);
    for (let i = 0; 1_000 + i < last; i++) tree.exit(1_000 + i, 30);
    tree.exit(200, 40);
    // By the one that is left and not known.
    step(300, "actions/checkout", 50);
    assert.equal(tree.get(300)?.step?.name, "evil");
  });

  test("more living ones than fit are counted and not kept", () => {
    const { tree, step, fork } = planted();
    step(200, "many", 1);
    for (let i = 0; i < recordBounds.living + 10; i++) fork(1000 + i, 200, 10 + i);
    assert.equal(tree.size.living, recordBounds.living);
    assert.equal(tree.overflow, 13);
  });
});

describe("a scan", () => {
  const met = { exe: "/bin/x", args: [], uid: 0, container: null, native: true, threads: 1 };

  test("that met a process before its fork was read learns the parent from the event, not from /proc", () => {
    const { tree, step } = planted();
    step(200, "build", 1 * SECOND);
    // Orphaned at once: /proc says 1.
    tree.meet({ ...met, pid: 201, parent: 1, startedAt: 2 * SECOND, countedAt: 3 * SECOND }, true);
    assert.equal(tree.get(201)?.step, null);
    tree.fork(201, 201, 200, 2 * SECOND + 4e6);
    tree.exit(200, 2 * SECOND + 5e6);
    assert.deepEqual([tree.get(201)?.step?.name, tree.get(201)?.exe], ["build", "/bin/x"]);
  });

  test("knows the end that it counted already: an old thread's end does not end the process", () => {
    const { tree } = planted();
    tree.meet({ ...met, pid: 201, parent: 1, startedAt: 0, countedAt: 3 * SECOND }, true);
    tree.exit(201, 2 * SECOND);
    assert.notEqual(tree.get(201), null);
    tree.exit(201, 4 * SECOND);
    assert.equal(tree.get(201), null);
  });

  test("after a loss does not place an orphan, and does place what a known parent has", () => {
    const { tree, step } = planted();
    step(200, "build", 1 * SECOND);
    tree.meet({ ...met, pid: 201, parent: 200, startedAt: 2 * SECOND, countedAt: 9 * SECOND }, false);
    tree.meet({ ...met, pid: 202, parent: 1, startedAt: 2 * SECOND, countedAt: 9 * SECOND }, false);
    assert.deepEqual([tree.get(201)?.placed, tree.get(201)?.step?.name], [true, "build"]);
    assert.deepEqual([tree.get(202)?.placed, tree.get(202)?.step], [false, null]);
    tree.keepOnly(new Set([99, WORKER, 201]), 10 * SECOND);
    assert.deepEqual([tree.get(202), tree.get(200)], [null, null]);
  });
});

test("against a model that never forgets: any order of forks, execs and ends", () => {
  type Act = { kind: "fork" | "exec" | "exit"; who: number; pid: number };
  const act: fc.Arbitrary<Act> = fc.record({
    kind: fc.constantFrom("fork", "fork", "exec", "exit"),
    who: fc.nat(30),
    pid: fc.integer({ min: 200, max: 215 }),
  });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 80 }), (acts) => {
      const { tree, fork, exec, environments } = planted();
      const model = new Map<number, { parent: number; root: number | null; exe: string }>([
        [WORKER, { parent: 99, root: null, exe: "/Runner.Worker" }],
      ]);
      // Roots of one group of living children of the worker belong to the first of it.
      let time = SECOND;
      for (const { kind, who, pid } of acts) {
        time += 100e6;
        const living = [...model.keys()];
        const chosen = living[who % living.length]!;
        if (kind === "fork" && !model.has(pid)) {
          const beside = living.find((each) => model.get(each)!.parent === WORKER);
          const from = model.get(chosen)!;
          const root = chosen === WORKER ? (beside === undefined ? pid + time : model.get(beside)!.root) : from.root;
          environments.set(pid, { GITHUB_ACTION: String(pid + time) });
          model.set(pid, { parent: chosen, root, exe: from.exe });
          fork(pid, chosen, time);
          if (chosen === WORKER) {
            model.get(pid)!.exe = `/first/${pid}`;
            exec(pid, `/first/${pid}`, time + 1);
          }
        } else if (kind === "exec" && chosen !== WORKER) {
          model.get(chosen)!.exe = `/${time}`;
          exec(chosen, `/${time}`, time);
        } else if (kind === "exit" && chosen !== WORKER) {
          model.delete(chosen);
          tree.exit(chosen, time);
        }
      }
      for (const [pid, { root, exe, parent }] of model) {
        const record = tree.get(pid);
        assert.ok(record !== null, `${pid} is not known`);
        assert.deepEqual([record.exe, record.parent], [exe, parent]);
        assert.equal(record.step?.name ?? null, root === null ? null : String(root));
      }
      assert.equal(tree.size.living, model.size + 1);
    }),
    { numRuns: 500 },
  );
});
