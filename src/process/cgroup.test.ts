/** Promises about cgroup paths and process texts: containers of every engine are recognised, companions are not, and a name lies to nobody. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { containerOf } from "./cgroup.ts";
import { parseDockerImage, parseStoredImage } from "./images.ts";
import { parseArguments, parseCgroupPaths, parseEffectiveUid, parseEnvironment, parseStat } from "./proc-text.ts";
import { parsePasswd } from "./users.ts";
import { findRunner } from "./worker.ts";

const id = "0123456789abcdef".repeat(4);
const containerIn = (text: string) => containerOf(parseCgroupPaths(text));

describe("a container by its cgroup", () => {
  for (const [engine, text, expected] of [
    ["docker, v2 with systemd", `0::/system.slice/docker-${id}.scope`, id],
    ["docker, v2 without systemd", `0::/docker/${id}`, id],
    ["docker, v1", `12:pids:/docker/${id}\n1:name=systemd:/docker/${id}\n0::/system.slice/containerd.service`, id],
    [
      "podman, rootless",
      `0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${id}.scope/container`,
      id,
    ],
    ["podman without systemd", `0::/libpod_parent/libpod-${id}`, id],
    [
      "containerd under Kubernetes",
      `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a.slice/cri-containerd-${id}.scope`,
      id,
    ],
    ["Kubernetes, v1", `4:memory:/kubepods/burstable/pod1a-2b/${id}`, id],
    ["crun by name", "0::/system.slice/crun-my-job.scope", "my-job"],
    ["BuildKit in docker", "0::/docker/buildkit/abcdefghijklmnop", "abcdefghijklmnop"],
    [
      "a container in a container: the inner one",
      `0::/docker/${id}/docker/${id.replaceAll("0", "f")}`,
      id.replaceAll("0", "f"),
    ],
    ["podman's companion outside", `0::/machine.slice/libpod-conmon-${id}.scope`, null],
    ["a service", "0::/system.slice/docker.service", null],
    ["docker's own folder", "0::/docker", null],
    ["a session", "0::/user.slice/user-1000.slice/session-2.scope", null],
    ["nothing", "", null],
  ] as const) {
    test(engine, () => assert.equal(containerIn(text), expected));
  }
});

describe("texts of /proc", () => {
  const rest = "S 7 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 12345 1 1";

  test("a name may hold parentheses, spaces and newlines; it is no field", () => {
    for (const comm of ["sh", "a) S 1 (b", ") R 99 99", "a\nb", "((", "))"]) {
      assert.deepEqual(parseStat(`42 (${comm}) ${rest}\n`), {
        pid: 42,
        comm,
        state: "S",
        parent: 7,
        threads: 3,
        startTicks: 12_345,
        cpuTicks: 0,
      });
    }
    for (const text of ["", "42", "42 (a", "x (a) S 1", `42 (a) ${rest.slice(0, 20)}`])
      assert.equal(parseStat(text), null);
  });

  test("the effective user is the second of four", () => {
    assert.equal(parseEffectiveUid("Name:\tUid:\t9\t9\nUmask:\t0\nUid:\t1000\t0\t0\t0\n"), 0);
    assert.equal(parseEffectiveUid("Name:\tx\n"), null);
  });

  test("arguments end at a NUL, and are bounded", () => {
    assert.deepEqual(parseArguments("a\0\0b c\0", 9), ["a", "", "b c"]);
    assert.deepEqual(parseArguments("", 9), []);
    assert.deepEqual(parseArguments("a\0b\0c\0", 2), ["a", "b"]);
  });

  test("of two values the first counts, as for getenv; a name's beginning is not the name", () => {
    const names = ["A", "AB"] as const;
    assert.deepEqual(parseEnvironment("AB=1\0A=2\0A=3\0ABC=4\0=5\0A", names), { AB: "1", A: "2" });
    assert.deepEqual(parseEnvironment("A=\0", names), {});
  });
});

describe("names", () => {
  test("of users: the first of several, and no line that is not one", () => {
    const text = "root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:\n# c\nrunner:x:1001:1001::\n+::::\nbad name:x:5:";
    assert.deepEqual(
      [...parsePasswd(text)],
      [
        [0, "root"],
        [1001, "runner"],
      ],
    );
  });

  test("of images, as docker and containers-storage keep them", () => {
    assert.equal(parseDockerImage('{"Config":{"Image":"alpine:3.20"},"Image":"sha256:1"}'), "alpine:3.20");
    const stored = [{ id, metadata: JSON.stringify({ "image-name": "ghcr.io/a/b:1" }) }, { id: "x" }];
    assert.equal(parseStoredImage(JSON.stringify(stored), id), "ghcr.io/a/b:1");
    for (const text of ["", "[]", "{}", "null", '{"Config":1}', '{"Config":{"Image":""}}']) {
      assert.equal(parseDockerImage(text), null);
      assert.equal(parseStoredImage(text, id), null);
    }
  });
});

test("the runner is the nearest worker above; a loop of parents ends", () => {
  const process = (pid: number, parent: number, exe: string | null) => [pid, { pid, parent, exe }] as const;
  const tree = new Map([
    process(1, 0, null),
    process(10, 1, "/a/Runner.Listener"),
    process(11, 10, "/a/Runner.Worker"),
    process(12, 11, "/bin/bash"),
    process(20, 12, "/b/Runner.Listener (deleted)"),
    process(21, 20, "/b/Runner.Worker (deleted)"),
    process(22, 21, "/usr/bin/node"),
    process(30, 31, null),
    process(31, 30, null),
  ]);
  assert.deepEqual(findRunner(tree, 22), { worker: 21, listeners: [20, 10] });
  assert.deepEqual(findRunner(tree, 12), { worker: 11, listeners: [10] });
  for (const pid of [1, 30, 99]) assert.equal(findRunner(tree, pid), null);
});
