/** The promise: whoever reaches into the memory is told; who only lists processes is not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isLister, lookKind } from "./lookers.ts";

test("memory is one thing, what tells of it another", () => {
  for (const way of ["mem", "process_vm_readv", "process_vm_writev", "ptrace"]) assert.equal(lookKind(way), "memory");
  for (const way of ["maps", "environ", "smaps"]) assert.equal(lookKind(way), "environment");
});

test("ps of the machine's own is a lister, something that calls itself so is not", () => {
  assert.ok(isLister({ exe: "/usr/bin/ps", isOfJob: true }));
  assert.ok(!isLister({ exe: "/home/runner/work/ps", isOfJob: true }));
  assert.ok(!isLister({ exe: null, isOfJob: true }));
  assert.ok(!isLister({ exe: "/usr/bin/cat", isOfJob: true }));
});

test("what is not the job's looks for the machine", () => {
  assert.ok(isLister({ exe: "/usr/bin/cat", isOfJob: false }));
});
