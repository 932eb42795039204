/**
 * The promise of a verdict that is the agent's own (threat R8): a phase of ours that ends well must have asked the agent, and `post`
 * of a job that must be red cannot end well.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StepTag } from "../process/record.ts";
import { type Asked, PostGuard } from "./post-guard.ts";

const worker = 10;
const tag = (name: string | null, pid = 77) => ({ name, pid }) as StepTag;
const exit = (code: number) => code << 8;

function phase(
  {
    args = ["node", "/a/dist/post.mjs"],
    parent = worker,
    step = "own",
  }: { args?: string[]; parent?: number; step?: string },
  meanwhile: Partial<Asked>,
  status: number,
  before: Partial<Asked> = {},
  isFirst = false,
): string[] {
  let asked: Asked = { status: 1, reports: 0, reasons: [], ...before };
  const lies: string[] = [];
  const guard = new PostGuard({ worker, step: "own", asked: () => asked, onLie: (message) => lies.push(message) });
  if (!isFirst) guard.executed({ pid: 76, parent: worker, args: ["node", "/a/dist/main.mjs"], step: tag("own", 76) });
  guard.executed({ pid: 77, parent, args, step: tag(step) });
  asked = { ...asked, ...meanwhile };
  guard.ended(78, exit(0));
  guard.ended(77, status);
  guard.ended(77, exit(0));
  return lies;
}

test("post that asked for the report of a good job, and main that asked how it stands, may end well", () => {
  assert.deepEqual(phase({}, { reports: 1 }, exit(0)), []);
  assert.deepEqual(phase({ args: ["node", "/a/dist/main.mjs"] }, { status: 2 }, exit(0)), []);
});

test("ended well without a question is a lie, also by one that was gone before it could be looked at", () => {
  for (const args of [["node", "/a/dist/post.mjs"], []]) {
    assert.match(phase({ args }, { status: 2 }, exit(0)).join(), /post phase said that all is well without asking/);
  }
  assert.match(phase({ args: ["node", "/a/dist/main.mjs"] }, {}, exit(0)).join(), /main phase .* without asking/);
  // A report that somebody had made earlier is none of this process's.
  assert.equal(phase({}, {}, exit(0), { reports: 3 }).length, 1);
});

test("main on a machine so busy that it is gone before it is looked at is known by its place", () => {
  assert.deepEqual(phase({ args: [] }, { status: 2 }, exit(0), {}, true), []);
  assert.match(phase({ args: [] }, {}, exit(0), {}, true).join(), /main phase .* without asking/);
});

test("ended well in spite of the verdict is a lie, and whatever ends badly is none", () => {
  const red = { reports: 1, reasons: ["2 connections were denied, and fail-on says denied."] };
  assert.match(phase({}, red, exit(0)).join(), /it is not: 2 connections/);
  for (const status of [exit(1), 9]) assert.deepEqual(phase({}, red, status), []);
});

test("one whose step's name was not heard, or is another child's that lives beside it, is known by what it runs", () => {
  const unsure: (StepTag | null)[] = [null, tag(null), tag("other", 76), tag("own", 76)];
  for (const step of unsure) {
    for (const [file, isOurs] of [
      ["/runner/_actions/o/sallyport/v1/action/dist/post.mjs", true],
      ["/runner/_actions/o/other/v1/dist/post.mjs", false],
    ] as const) {
      const lies: string[] = [];
      const asked = { status: 1, reports: 0, reasons: [] };
      const guard = new PostGuard({ worker, step: "own", asked: () => asked, onLie: (message) => lies.push(message) });
      guard.executed({ pid: 77, parent: worker, args: ["node", file], step });
      guard.ended(77, exit(0));
      assert.equal(lies.length, isOurs ? 1 : 0, JSON.stringify([step, file]));
    }
  }
});

test("one whose fork was not heard is known by what it runs, and one that was found later is not told that it has not asked", () => {
  const file = "/runner/_actions/o/sallyport/v1/action/dist/post.mjs";
  const reasons = ["2 connections were denied, and fail-on says denied."];
  const found = (how: "executed" | "met", parent: number, meanwhile: Partial<Asked>, args = ["node", file]) => {
    let asked: Asked = { status: 1, reports: 0, reasons: [] };
    const lies: string[] = [];
    const guard = new PostGuard({ worker, step: "own", asked: () => asked, onLie: (message) => lies.push(message) });
    guard[how]({ pid: 77, parent, args, step: null });
    asked = { ...asked, ...meanwhile };
    // News of a loss again, while it runs.
    guard.met({ pid: 77, parent: parent === 0 ? worker : parent, args, step: null });
    guard.ended(77, exit(0));
    return lies.length;
  };
  assert.deepEqual([found("executed", 0, {}), found("executed", 0, { reports: 1 })], [1, 0]);
  assert.equal(found("executed", 0, {}, ["node", "/elsewhere/post.mjs"]), 0);
  assert.deepEqual([found("met", worker, {}), found("met", worker, { reports: 1, reasons })], [0, 1]);
  assert.equal(found("met", 55, { reasons }), 0);
});

test("one whose end was not heard is found to be gone, and judged by what it asked", () => {
  let asked: Asked = { status: 1, reports: 0, reasons: [] };
  const lies: string[] = [];
  const guard = new PostGuard({ worker, step: "own", asked: () => asked, onLie: (message) => lies.push(message) });
  const begin = (pid: number) =>
    guard.executed({ pid, parent: worker, args: ["node", "/a/dist/post.mjs"], step: tag("own", pid) });
  begin(77);
  guard.look(() => true);
  assert.deepEqual(lies, []);
  guard.look((pid) => pid !== 77);
  assert.match(lies.join(), /without asking/);
  guard.look(() => false);
  guard.ended(77, exit(0));
  assert.equal(lies.length, 1, "once");
  begin(78);
  asked = { ...asked, reports: 1 };
  guard.look(() => false);
  assert.equal(lies.length, 1, "asked, and nothing is wrong");
});

test("what is not our step's, or not the worker's child, is nobody's phase", () => {
  assert.deepEqual(phase({ step: "other" }, {}, exit(0)), []);
  assert.deepEqual(phase({ parent: 11 }, {}, exit(0)), []);
});
