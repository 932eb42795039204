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
/** The daemon's own; what a job's containers are in has the name of the engine. */
const parent = "/docker";

const slow = [
  `#!${folder}/bin/runc`,
  'case " $* " in *" create "* | *" exec "*) sleep 1.5 ;; esac',
  'exec /usr/sbin/runc "$@"',
].join("\n");

/** For every step: who asks the daemon. */
export const environment = { DOCKER_HOST: `unix://${socket}` };

/** `docker run` of a shell's line in a new container. */
export const run = (options: string, script: string): string =>
  `${docker} run ${options} -v /usr:/usr:ro -v /bin:/bin:ro -v /lib:/lib:ro -v /lib64:/lib64:ro ${image} /bin/sh -c '${script}'`;

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
      "mkdir -p /var/lib/docker /run/containerd",
      "mount -t tmpfs tmpfs /var/lib/docker",
      "mount -t tmpfs tmpfs /run/containerd",
      `mkdir -p ${folder}/empty ${folder}/bin`,
      // Named as a runtime is, and slow, as a machine may be that is looked at.
      `cp /bin/dash ${folder}/bin/runc`,
      `echo '${slow}' > ${folder}/bin/slow`,
      `chmod 755 ${folder}/bin/slow`,
      `cd ${folder}/empty && mkdir -p bin usr lib lib64 etc tmp`,
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
    const ended = () => this.#said(`kill $(cat ${folder}/pid) 2> /dev/null && echo runs || true`) === null;
    await until(ended, 20_000);
    for (const hierarchy of ["", ...readdirSync("/sys/fs/cgroup")]) {
      try {
        rmdirSync(join("/sys/fs/cgroup", hierarchy, parent));
      } catch {
        // Never made there, or somebody else's daemon uses it too.
      }
    }
  }

  #said(script: string): string | null {
    const text = this.#runner.root(`export DOCKER_HOST=unix://${socket}; ${script}`).trim();
    return text === "" ? null : text;
  }
}
