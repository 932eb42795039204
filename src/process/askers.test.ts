/**
 * Promises about containers that an engine's daemon starts: the step is the one whose process alone was connected as the runtime started,
 * several are none, and what runs inside of a container cannot change whose it is.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inferredStep } from "./askers.ts";
import { type ProcessImage, unseen } from "./record.ts";
import { ProcessTree } from "./tree.ts";

const WORKER = 100;
const SHIM = 300;

/** A machine with steps a (200) and b (210), one after the other but both alive, and an engine's shim. */
function machine() {
  let clients: number[] | null = [];
  let clock = 0;
  let next = 1000;
  let looks = 0;
  const images = new Map<number, ProcessImage>();
  const step = new Map([
    [200, "a"],
    [210, "b"],
  ]);
  const tree = new ProcessTree({
    image: (pid) => images.get(pid) ?? null,
    now: () => clock,
    environment: (pid) => ({ GITHUB_ACTION: step.get(pid)! }),
    told: () => null,
    program: () => null,
    askers: () => {
      looks++;
      return clients?.map((pid) => tree.get(pid)?.step ?? null) ?? null;
    },
  });
  const met = { threads: 1, countedAt: 1, startedAt: 0, native: true, uid: 0, container: null };
  tree.setRunner(WORKER, []);
  tree.meet({ ...met, pid: 1, parent: 0, exe: "/init", args: ["init"] }, true);
  tree.meet({ ...met, pid: WORKER, parent: 1, exe: "/Runner.Worker", args: [] }, true);
  tree.meet({ ...met, pid: SHIM, parent: 1, exe: "/usr/bin/containerd-shim-runc-v2", args: [] }, true);

  const fork = (parent: number, pid = next++): number => {
    tree.fork(pid, pid, parent, (clock += 10));
    return pid;
  };
  const exec = (pid: number, line: string, container: string | null = null): number => {
    const args = line.split(" ");
    images.set(pid, { ...unseen, exe: args[0]!, args, uid: 0, container, native: container === null });
    tree.exec(pid, (clock += 10));
    return pid;
  };
  for (const pid of step.keys()) {
    exec(fork(WORKER, pid), "/bin/bash");
    // What a step left running is what lives beside the next one.
    exec(fork(pid, pid + 1), "/usr/bin/docker");
    tree.exit(pid, (clock += 10));
  }
  const ask = (...asked: number[] | [null]): void => {
    clients = asked[0] === null ? null : (asked as number[]);
  };
  const start = (container: string, ...asked: number[] | [null]): number => {
    ask(...asked);
    const runtime = exec(fork(SHIM), `/usr/sbin/runc create ${container}`);
    return exec(fork(runtime), "/bin/sh", container);
  };
  const join = (container: string, ...asked: number[]): number => {
    clients = asked;
    return exec(fork(exec(fork(SHIM), `/usr/sbin/runc exec ${container}`)), "/bin/ls", container);
  };
  const of = (pid: number): string[] => tree.get(pid)!.asked?.by.map((each) => each?.name ?? "none") ?? [];
  return { tree, fork, exec, ask, start, join, of, looks: () => looks };
}

const A = 201;
const B = 211;
/** Of no step. */
const OTHER = 1;

describe("whose a container is", () => {
  test("the step's whose process was connected; its own children's too; and it is no step of theirs", () => {
    const { start, fork, exec, of, tree } = machine();
    const first = start("one", A);
    const child = exec(fork(first), "/usr/bin/curl", "one");
    assert.deepEqual([of(first), of(child)], [["a"], ["a"]]);
    assert.equal(inferredStep(tree.get(child)!.asked)?.name, "a");
    assert.equal(tree.get(child)?.step, null, "by descent it belongs to none");
  });

  test("of several steps it is nobody's, nor where somebody of no step was connected", () => {
    const { start, of, tree } = machine();
    for (const clients of [
      [A, B],
      [A, OTHER],
    ]) {
      const first = start(`of ${clients.join()}`, ...clients);
      assert.equal(of(first).length, 2);
      assert.equal(inferredStep(tree.get(first)!.asked), null);
    }
  });

  test("where nobody was connected, or it was too late to see, it is nobody's", () => {
    const { start, of } = machine();
    assert.deepEqual([of(start("alone")), of(start("late", null))], [[], []]);
  });

  test("what was not seen in time at the runtime's start is seen as it executes itself; what was seen stays", () => {
    const { fork, exec, ask, of, looks } = machine();
    ask(null);
    const runtime = exec(fork(SHIM), "/usr/sbin/runc create one");
    assert.deepEqual(of(runtime), []);
    ask(A);
    const init = exec(fork(runtime), "runc init");
    ask(B);
    exec(init, "runc init");
    assert.deepEqual(of(exec(init, "/bin/sh", "one")), ["a"]);
    const before = looks();
    exec(fork(SHIM), "/usr/sbin/runc kill one");
    exec(fork(SHIM), "/usr/sbin/runc --version");
    assert.equal(looks(), before, "only what starts something has been asked for");
  });

  test("what is executed in it is the client's of that, and the container stays whose it was", () => {
    const { start, join, of } = machine();
    start("one", A);
    assert.deepEqual(of(join("one", B)), ["b"]);
    assert.deepEqual(of(join("one")), ["a"], "a health check has no client");
    assert.deepEqual(of(join("one", A, B)), ["a", "b"]);
  });

  test("started again unasked it is whose it was; while another is connected, either's", () => {
    const { start, of } = machine();
    start("one", A);
    assert.deepEqual(of(start("one")), ["a"]);
    assert.deepEqual(of(start("one", B)), ["a", "b"]);
  });

  test("a runtime inside of a container, or of a step's own, asks nobody", () => {
    const { start, fork, exec, of, looks, tree } = machine();
    const first = start("outer", A);
    const before = looks();
    const inner = exec(fork(exec(fork(first), "/usr/bin/runc create inner", "outer")), "/bin/sh", "inner");
    assert.deepEqual(of(inner), ["a"]);
    const own = exec(fork(exec(fork(A), "/usr/bin/crun run own")), "/bin/sh", "own");
    assert.deepEqual([tree.get(own)?.step?.name, tree.get(own)?.asked], ["a", null]);
    assert.equal(looks(), before);
  });
});
