/**
 * A control group (cgroup v2) that only our own process is in, by which the ruleset of a machine tells our DNS questions from
 * everybody's. A mark, a user or a port could be anybody's; a group of root's can be joined by root alone. Sockets count
 * for the group that their process was in when it opened them, so join before anything is opened. Called by the enforcer.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SallyportError } from "../errors.ts";

export class OwnCgroup {
  /** In the hierarchy, without a slash in front: what `-m cgroup --path` takes. */
  readonly path: string;
  readonly #directory: string;
  readonly #mount: string;
  /** The group this process was in before. */
  readonly #former: string;

  private constructor(mount: string, path: string, former: string) {
    this.#mount = mount;
    this.#directory = join(mount, path);
    this.path = path;
    this.#former = former;
  }

  /** Makes the group and moves this process into it. Throws KERNEL_FEATURE where there is no cgroup v2 to make it in. */
  static join(name: string): OwnCgroup {
    const mount = findMount(readFileSync("/proc/self/mountinfo", "utf8"));
    if (mount === null) {
      throw new SallyportError(
        "KERNEL_FEATURE",
        "No cgroup v2 hierarchy is mounted; without it our own DNS questions cannot be told from a job's.",
      );
    }
    const former = /^0::\/(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1] ?? "";
    const group = new OwnCgroup(mount, name, former === name ? "" : former);
    try {
      mkdirSync(group.#directory, { recursive: true, mode: 0o755 });
      writeFileSync(join(group.#directory, "cgroup.procs"), String(process.pid));
    } catch (error) {
      const text = `This process cannot have a cgroup of its own (${group.#directory}): ${(error as Error).message}`;
      throw new SallyportError("KERNEL_FEATURE", text, { directory: group.#directory }, error);
    }
    return group;
  }

  /** The processes in it, by number: this one, and programs it runs at the moment. */
  members(): number[] {
    const text = readFileSync(join(this.#directory, "cgroup.procs"), "utf8");
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map(Number);
  }

  /** Moves a child of this process, which has opened nothing yet, to where this process was before. */
  release(pid: number): void {
    writeFileSync(join(this.#mount, this.#former, "cgroup.procs"), String(pid));
  }

  /** Goes back to the former group and removes this one. Never throws: a group that is left over is empty and harmless. */
  leave(): void {
    try {
      writeFileSync(join(this.#mount, this.#former, "cgroup.procs"), String(process.pid));
      rmdirSync(this.#directory);
    } catch {
      // The former group is gone, or a program of ours still runs.
    }
  }
}

/** Removes the group of a process that has ended; one that is not there, or not empty, is left. */
export function removeCgroup(path: string): void {
  const mount = findMount(readFileSync("/proc/self/mountinfo", "utf8"));
  try {
    if (mount !== null) rmdirSync(join(mount, path));
  } catch {
    // Root put somebody there: the next agent's rules do not know the group.
  }
}

/** Where a cgroup v2 hierarchy is mounted whole, from /proc/PID/mountinfo (proc_pid_mountinfo(5)); null where none is. */
export function findMount(mountinfo: string): string | null {
  for (const line of mountinfo.split("\n")) {
    const [place, kind] = line.split(" - ");
    const [, , , root, mountPoint] = (place ?? "").split(" ");
    if (kind?.startsWith("cgroup2 ") === true && root === "/" && mountPoint !== undefined) {
      return mountPoint.replaceAll(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));
    }
  }
  return null;
}
