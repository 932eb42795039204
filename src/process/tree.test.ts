/**
 * Promises about the tree of processes: a number that comes again is another process, what was seen late is
 * not taken for what was, and none of it depends on what /proc says of parents. Events by hand and at random, against a model that keeps everything; the kernel's own are in `table.test.ts`.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { recordBounds } from "./record.ts";
import { planted, SECOND, WORKER } from "./testing/planted.ts";

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
