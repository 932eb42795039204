/**
 * A real Docker daemon on a runner's machine, as a service that was there before the job: in the machine's network and mount namespaces,
 * with its data in memory. Its containers run the host's own programs. Used by tests only.
 */
import { readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { until } from "../support/until.ts";
import type { Runner } from "./harness.ts";

export const docker = "/usr/bin/docker";
export const image = "sallyport.example/empty:1";
const socket = "/run/sallyport/docker.sock";
const folder = "/run/sallyport/docker";
/** Control groups that engines put their containers' into. */
const parents = ["docker", "libpod_parent"];
/** What engines keep besides: not the host's own. */
const kept = ["/var/lib/docker", "/var/lib/containers", "/run/containerd", "/run/containers", "/run/libpod"];

const slow = [
  `#!${folder}/bin/runc`,
  'case " $* " in *" create "* | *" exec "*) sleep 1.5 ;; esac',
  'exec /usr/sbin/runc "$@"',
].join("\n");

/** For every step: who asks the daemon. */
export const environment = { DOCKER_HOST: `unix://${socket}` };

const programs = "-v /usr:/usr:ro -v /bin:/bin:ro -v /lib:/lib:ro -v /lib64:/lib64:ro";

/** `docker run` of a shell's line in a new container. */
export const run = (options: string, script: string): string =>
  `${docker} run ${options} ${programs} ${image} /bin/sh -c '${script}'`;

/** The same by podman, which has no daemon, with limits that a machine allows which is a container itself. */
export const podmanRun = (script: string): string =>
  [
    "sudo podman --cgroup-manager=cgroupfs --events-backend=none --storage-driver=vfs --runtime runc run --rm --network host",
    `--ulimit nofile=1024:1024 --ulimit nproc=1024:1024 ${programs} --rootfs ${folder}/empty /bin/sh -c '${script}'`,
  ].join(" ");

export class Engine {
  readonly #runner: Runner;

  private constructor(runner: Runner) {
    this.#runner = runner;
  }

  /** Starts it on a machine that has run a job before. */
  static async start(runner: Runner): Promise<Engine> {
    const engine = new Engine(runner);
    const options = [
      `--add-runtime slow=${folder}/bin/slow --default-runtime slow`,
      "--storage-driver=vfs --exec-opt native.cgroupdriver=cgroupfs --group=0",
      `--exec-root=${folder}/run --pidfile=${folder}/pid -H unix://${socket}`,
    ].join(" ");
    const lines = [
      "set -e",
      ...kept.map((path) => `mkdir -p ${path} && mount -t tmpfs tmpfs ${path}`),
      `mkdir -p ${folder}/empty ${folder}/bin`,
      // Named as a runtime is, and slow, as a machine may be that is looked at.
      `cp /bin/dash ${folder}/bin/runc`,
      `echo '${slow}' > ${folder}/bin/slow`,
      `chmod 755 ${folder}/bin/slow`,
      `cd ${folder}/empty && mkdir -p bin usr lib lib64 etc tmp proc sys dev`,
      `setsid dockerd ${options} > ${folder}/log 2>&1 < /dev/null &`,
    ];
    runner.root(lines.join("\n"));
    try {
      const answered = await until(
        () => engine.#said(`${docker} version > /dev/null 2>&1 && echo yes || true`),
        60_000,
      );
      if (answered === undefined) throw new Error(`dockerd does not answer: ${runner.root(`tail -5 ${folder}/log`)}`);
      runner.root(
        `chmod 666 ${socket}; tar -C ${folder}/empty -c . | DOCKER_HOST=unix://${socket} ${docker} import - ${image}`,
      );
    } catch (error) {
      await engine.stop();
      throw error;
    }
    return engine;
  }

  /** Ends it and its containers, and takes its control groups away. */
  async stop(): Promise<void> {
    this.#said(`${docker} ps -aq | xargs -r ${docker} rm -f > /dev/null 2>&1 || true`);
    const ended = () => this.#said(`kill $(cat ${folder}/pid 2> /dev/null) 2> /dev/null && echo runs || true`) === null;
    await until(ended, 20_000);
    for (const each of ["", ...readdirSync("/sys/fs/cgroup")])
      for (const parent of parents) removeFolders(join("/sys/fs/cgroup", each, parent));
  }

  #said(script: string): string | null {
    const text = this.#runner.root(`export DOCKER_HOST=unix://${socket}; ${script}`).trim();
    return text === "" ? null : text;
  }
}

/** Control groups from the innermost out; those that somebody else's containers are in stay. */
function removeFolders(path: string): void {
  try {
    for (const each of readdirSync(path, { withFileTypes: true }))
      if (each.isDirectory()) removeFolders(join(path, each.name));
    rmdirSync(path);
  } catch {
    // Never made there, or in use.
  }
}
