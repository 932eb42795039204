/** Promise: our own cgroup is made in a cgroup v2 hierarchy that is mounted whole, joined, told, and left without a trace. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findMount, OwnCgroup } from "./own-cgroup.ts";

test("the hierarchy is found wherever it is mounted, and only a whole one of version 2", () => {
  const v1 = "33 24 0:28 / /sys/fs/cgroup/cpu rw,relatime shared:11 - cgroup cgroup rw,cpu";
  const part = "34 24 0:29 /user.slice /mnt rw,relatime - cgroup2 cgroup2 rw";
  const hybrid = "35 24 0:29 / /sys/fs/cgroup/unified rw,relatime shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate";
  const odd = "36 24 0:29 / /srv/a\\040b rw - cgroup2 none rw";
  assert.equal(findMount([v1, part, hybrid].join("\n")), "/sys/fs/cgroup/unified");
  assert.equal(findMount([v1, odd].join("\n")), "/srv/a b");
  assert.equal(findMount([v1, part, ""].join("\n")), null);
});

test("a process joins a group of its own and goes back to where it was", () => {
  const where = () => /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1];
  const before = where();
  const group = OwnCgroup.join(`sallyport-own-${process.pid}`);
  const directory = join(findMount(readFileSync("/proc/self/mountinfo", "utf8"))!, group.path);
  try {
    assert.equal(where(), `/${group.path}`);
    assert.deepEqual(group.members(), [process.pid]);
  } finally {
    group.leave();
  }
  assert.equal(where(), before);
  assert.equal(existsSync(directory), false);
});
