/**
 * Who owns a lab, and how all of it goes away: its processes, namespaces (their interfaces go with them) and directory.
 * A lab is removed by `close`, when its process exits or is interrupted, and, if that process was killed outright, by the
 * next process that makes a lab (`pruneStale`). Only what carries a lab's own name is ever touched.
 */
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runTool } from "./tools.ts";

/** Every namespace and interface of a lab begins with this, then the lab's own letters, then a dash. */
export const labPrefix = "splab";

const stateDirectory = "/run/sallyport-lab";
const namespaceDirectory = "/run/netns";

/** The labs of this process that are not closed yet. */
const live = new Set<string>();
let guarded = false;

/** A name for a new lab, short enough that interfaces named after it fit IFNAMSIZ (15 characters): `splab` pid letter. */
export function claimLab(): { id: string; directory: string } {
  let letter = 0;
  const idOf = () => `${labPrefix}${process.pid.toString(36)}${letter.toString(36)}`;
  while (live.has(idOf())) letter++;
  const id = idOf();
  guard();
  // Written apart and renamed, so that a lab without a readable owner is never one that is just being made.
  const draft = join(stateDirectory, `.${id}`);
  const directory = join(stateDirectory, id);
  rmSync(draft, { recursive: true, force: true });
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true, mode: 0o755 });
  writeFileSync(join(draft, "owner.json"), JSON.stringify({ pid: process.pid, started: startTime(process.pid) }));
  renameSync(draft, directory);
  live.add(id);
  return { id, directory };
}

/** Removes a lab of this process: kills what runs in its namespaces, waits for it, deletes namespaces and directory. */
export async function releaseLab(id: string): Promise<void> {
  const namespaces = namespacesOf(id);
  // Processes may fork while they are being killed: until none is left.
  for (let round = 0; round < 200 && killInside(namespaces) > 0; round++) await sleep(5);
  if (namespaces.length > 0) await runTool("ip", ["-force", "-batch", "-"], deletions(namespaces));
  rmSync(join(stateDirectory, id), { recursive: true, force: true });
  live.delete(id);
}

/** Removes the labs whose owner is gone; returns their names. Cheap when there are none. */
export function pruneStale(): string[] {
  const ids = new Set<string>();
  for (const name of list(namespaceDirectory))
    if (name.startsWith(labPrefix)) ids.add(name.slice(0, name.indexOf("-")));
  for (const name of list(stateDirectory)) if (name.startsWith(labPrefix)) ids.add(name);
  const stale = [...ids].filter((id) => id !== "" && !live.has(id) && !ownerLives(id));
  for (const id of stale) removeNow(id);
  return stale;
}

/** The namespaces of a lab that exist now. */
export function namespacesOf(id: string): string[] {
  return list(namespaceDirectory).filter((name) => name.startsWith(`${id}-`));
}

/** The processes whose network namespace is one of these. */
export function processesInside(namespaces: string[]): number[] {
  const inodes = new Set<string>();
  for (const name of namespaces) {
    try {
      inodes.add(`net:[${statSync(join(namespaceDirectory, name)).ino}]`);
    } catch {
      // Deleted in the meantime: nothing is inside.
    }
  }
  return list("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && inodes.has(networkOf(pid)));
}

function networkOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return "";
  }
}

function killInside(namespaces: string[]): number {
  const pids = processesInside(namespaces);
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Already gone.
    }
  }
  return pids.length;
}

/** The synchronous removal, for exit handlers and for labs of others. */
function removeNow(id: string): void {
  const namespaces = namespacesOf(id);
  for (let round = 0; round < 100 && killInside(namespaces) > 0; round++) Atomics.wait(idle, 0, 0, 5);
  if (namespaces.length > 0) spawnSync("ip", ["-force", "-batch", "-"], { input: deletions(namespaces) });
  rmSync(join(stateDirectory, id), { recursive: true, force: true });
  live.delete(id);
}

const idle = new Int32Array(new SharedArrayBuffer(4));

function deletions(namespaces: string[]): string {
  return namespaces.map((name) => `netns del ${name}\n`).join("");
}

function ownerLives(id: string): boolean {
  try {
    const owner: unknown = JSON.parse(readFileSync(join(stateDirectory, id, "owner.json"), "utf8"));
    if (typeof owner !== "object" || owner === null || !("pid" in owner) || !("started" in owner)) return false;
    return typeof owner.pid === "number" && owner.started !== "" && startTime(owner.pid) === owner.started;
  } catch {
    return false;
  }
}

/** Field 22 of /proc/PID/stat (proc(5)): with it a recycled process number is told apart. Empty when there is no such process. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Installs the exit and signal handlers once, at the first lab. */
function guard(): void {
  if (guarded) return;
  guarded = true;
  process.on("exit", () => {
    for (const id of live) removeNow(id);
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    const handler = (): void => {
      for (const id of live) removeNow(id);
      process.removeListener(signal, handler);
      // With no other handler the signal must do what it would have done without us.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    };
    process.on(signal, handler);
  }
}
