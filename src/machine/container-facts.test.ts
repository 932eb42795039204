/** Promises about runtimes: which bundle a command line means, and that nothing but a plain file is read. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { dangersOfBundleAt, dangersOfContainer, runtimeCall, surroundings } from "./container-facts.ts";

const folder = mkdtempSync(join(tmpdir(), "sp-bundle-"));
after(() => rmSync(folder, { recursive: true }));

test("what a runtime is told to make, in the words of containerd, podman and people", () => {
  const call = (line: string) => runtimeCall(line.split(" "), "/here");
  const containerd =
    "runc --root /var/run/docker/runtime-runc/moby --log /run/x/log.json --log-format json create --bundle /run/x --pid-file /run/x/init.pid abc";
  assert.deepEqual(call(containerd), { id: "abc", bundle: "/run/x" });
  assert.deepEqual(call("crun --cgroup-manager=disabled run --bundle b c1"), { id: "c1", bundle: "/here/b" });
  assert.deepEqual(call("/usr/bin/crun create -b=/b c2"), { id: "c2", bundle: "/b" });
  assert.deepEqual(call("runc run c3"), { id: "c3", bundle: "/here" });
  for (const line of [
    "runc init",
    "runc --root /r state abc",
    "crun --version",
    "runc exec --pid-file /p abc sh",
    "runc",
  ])
    assert.equal(call(line), null, line);
});

test("any command line has an answer", () => {
  const word = fc.oneof(fc.constantFrom("run", "create", "--bundle", "-b", "--bundle=", "--root", ""), fc.string());
  fc.assert(
    fc.property(fc.array(word), (words) => {
      const call = runtimeCall(words, "/here");
      assert.ok(call === null || call.bundle.startsWith("/"));
    }),
    { numRuns: 300 },
  );
});

test("a bundle is read, a pipe in its place is not waited for", () => {
  const around = surroundings([folder]);
  const read = (name: string) => dangersOfBundleAt(join(folder, name), process.pid, around);
  const config = (mounts: object[], path: string) => ({
    root: { path: "rootfs" },
    mounts,
    linux: { namespaces: [{ type: "pid" }, { type: "ipc" }, { type: "network", path }] },
  });
  for (const name of ["own", "host", "pipe", "torn"]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, "own/config.json"), JSON.stringify(config([], "/nowhere")));
  const mounts = [{ type: "bind", source: join(folder, "own"), options: [] }];
  writeFileSync(join(folder, "host/config.json"), JSON.stringify(config(mounts, "/proc/self/ns/net")));
  execFileSync("mkfifo", [join(folder, "pipe/config.json")]);
  writeFileSync(join(folder, "torn/config.json"), "{");
  assert.deepEqual(read("own"), []);
  assert.deepEqual(read("host"), [
    { kind: "namespace", what: "network" },
    { kind: "mount", what: join(folder, "own") },
  ]);
  assert.equal(read("pipe"), null);
  assert.equal(read("torn"), null);
  assert.equal(read("absent"), null);
  assert.equal(dangersOfContainer("../../etc", around), null);
});
