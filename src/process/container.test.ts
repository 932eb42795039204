/**
 * Promises about containers: who connects inside one, with a network and files of its own, is known as that process in that
 * container; its path names no program of the machine. A container made by crun; needs root and the initial namespaces.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { requireTools } from "../../test/lab/tools.ts";
import { run } from "../kernel/commands.ts";
import { unifiedCgroup } from "../kernel/ebpf.ts";
import { addresses } from "../kernel/testing/lab.ts";
import { describeOwner, factsOf } from "./facts.ts";
import { OwnerLookup } from "./owner.ts";
import { ProcessTable } from "./table.ts";
import { Stage } from "./testing/stage.ts";

const server = addresses[4].server;
/** As docker names them without systemd, below a folder that is ours to take away. */
const above = `/sp-process-${process.pid}`;
const id = process.pid.toString(16).padStart(8, "0").repeat(8);
const cgroup = `${above}/docker/${id}`;

/** An OCI bundle that shows the machine's programs under a root of its own. */
function bundle(folder: string, namespace: string, script: string): void {
  mkdirSync(join(folder, "rootfs"), { recursive: true });
  const shown = ["usr", "bin", "lib", "lib64", "etc", "dev"].map((name) => ({
    destination: `/${name}`,
    type: "bind",
    source: `/${name}`,
    options: ["rbind", "ro"],
  }));
  const config = {
    ociVersion: "1.0.0",
    process: {
      user: { uid: 65_534, gid: 65_534 },
      args: ["/bin/bash", "--norc", "-c", script],
      env: ["PATH=/usr/bin:/bin"],
      cwd: "/",
    },
    root: { path: "rootfs" },
    mounts: [{ destination: "/proc", type: "proc", source: "proc" }, ...shown],
    linux: {
      cgroupsPath: cgroup,
      namespaces: [
        { type: "pid" },
        { type: "mount" },
        { type: "ipc" },
        { type: "network", path: `/run/netns/${namespace}` },
      ],
    },
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
}

suite("a container", { timeout: 120_000 }, () => {
  let stage: Stage;
  let table: ProcessTable;
  let draining: NodeJS.Timeout;
  const containers: string[] = [];

  before(async () => {
    requireTools(["crun"]);
    stage = await Stage.create();
    table = new ProcessTable({ worker: process.pid });
    draining = setInterval(() => table.drain(), 2);
  });
  after(async () => {
    clearInterval(draining);
    for (const name of containers) run("crun", ["delete", "--force", name]);
    table.close();
    await stage.close();
    for (const part of [`${above}/docker`, above]) rmdirSync(join(unifiedCgroup()!, part));
  });

  /**
   * Starts a container. An engine's daemon does this: it is no child of the runner's. crun wants the unified hierarchy where hosts
   * have it; this one may have both.
   */
  function contain(script: string): ChildProcess {
    const name = `sp-${process.pid}-${containers.length}`;
    const folder = join(stage.folder, name);
    bundle(folder, stage.namespace, script);
    containers.push(name);
    const start = `mount -t cgroup2 none /sys/fs/cgroup && exec crun --cgroup-manager=cgroupfs run -b ${folder} ${name}`;
    return spawn("setsid", ["unshare", "-m", "sh", "-c", start], { stdio: "ignore" });
  }

  for (const witness of [true, false]) {
    test(`is known by its cgroup, ${witness ? "with" : "without"} programs in the kernel`, async () => {
      const lookup = new OwnerLookup(table, { witness, searchFor: 10_000 });
      const port = witness ? 5001 : 5002;
      const engine = contain(`curl -s -m 20 http://${server}:${port}/; true`);
      const packet = await stage.packet(port);
      const owner = lookup.find(packet);
      stage.drop(packet);
      lookup.close();
      assert.equal(owner?.certain, true);
      const told = describeOwner(owner, table)!;
      assert.deepEqual([told.exe, told.uid, told.container], ["/usr/bin/curl", 65_534, { id, image: null }]);
      assert.equal(factsOf(owner, table).exe, null, "a container's /usr/bin/curl is any file");
      if (engine.exitCode === null) {
        engine.kill("SIGKILL");
        await once(engine, "exit");
      }
    });
  }
});
