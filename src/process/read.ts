/**
 * Reads one process from /proc. A process may end at any moment, and its number may go to another: whoever reads compares start
 * times. Nothing here throws for a process that is gone. Called by the table.
 */
import { closeSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { containerOf } from "./cgroup.ts";
import { argumentBounds } from "./mask.ts";
import {
  parseArguments,
  parseCgroupPaths,
  parseEffectiveUid,
  parseEnvironment,
  parseStat,
  type Stat,
} from "./proc-text.ts";
import type { ProcessImage } from "./record.ts";

/** Bytes read of a command line, and of anything else but an environment. */
const MOST_CMDLINE = 4096;
const MOST_TEXT = 4096;
/** An environment may be as large as all arguments together; the runner's names may stand anywhere in it. */
const MOST_ENVIRONMENT = 2 * 1024 * 1024;

const scratch = Buffer.alloc(MOST_TEXT);

/** At most `most` bytes of a file of /proc as text; null where it cannot be read. */
function text(path: string, encoding: "latin1" | "utf8", most = MOST_TEXT): string | null {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return null;
  }
  try {
    const into = most <= scratch.length ? scratch : Buffer.alloc(most);
    let length = 0;
    while (length < most) {
      const got = readSync(fd, into, length, most - length, null);
      if (got === 0) break;
      length += got;
    }
    return into.toString(encoding, 0, length);
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}

function link(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

/** Processes that exist, in no order. */
export function listProcesses(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^[1-9]\d*$/.test(name))
    .map(Number);
}

/** `/proc/PID/stat`; null where there is no such process. */
export function statOf(pid: number): Stat | null {
  const content = text(`/proc/${pid}/stat`, "latin1");
  return content === null ? null : parseStat(content);
}

/** The container by the process's cgroups as they are now; undefined where there is no such process. */
export function containerOfProcess(pid: number): string | null | undefined {
  const content = text(`/proc/${pid}/cgroup`, "latin1");
  return content === null ? undefined : containerOf(parseCgroupPaths(content));
}

const ourMounts = link("/proc/self/ns/mnt");
const ourRoot = link("/proc/self/root");

/** What a process is now; `mask` takes the secrets out of its arguments. */
export function imageOf(pid: number, mask: (args: readonly string[]) => string[]): ProcessImage {
  const folder = `/proc/${pid}`;
  const status = text(`${folder}/status`, "latin1");
  const cmdline = text(`${folder}/cmdline`, "utf8", MOST_CMDLINE) ?? "";
  const args = parseArguments(cmdline, argumentBounds.most);
  // Cut in the middle of an argument: half a secret is not recognised.
  if (Buffer.byteLength(cmdline) >= MOST_CMDLINE && args.length < argumentBounds.most) args[args.length - 1] = "…";
  return {
    exe: executableOf(pid),
    args: mask(args),
    uid: status === null ? null : parseEffectiveUid(status),
    container: containerOfProcess(pid) ?? null,
    native: link(`${folder}/ns/mnt`) === ourMounts && link(`${folder}/root`) === ourRoot,
  };
}

/** Its executable now; null where it has ended or may not be asked. */
export function executableOf(pid: number): string | null {
  return link(`/proc/${pid}/exe`);
}

/** Values of a process's initial environment, as far as it left that alone. */
export function environmentOf<Name extends string>(pid: number, names: readonly Name[]): Partial<Record<Name, string>> {
  return parseEnvironment(text(`/proc/${pid}/environ`, "utf8", MOST_ENVIRONMENT) ?? "", names);
}

/** Time since boot (CLOCK_BOOTTIME), ns, to within 10 ms. */
export function uptimeNanoseconds(): number {
  return Number((text("/proc/uptime", "latin1") ?? "").split(" ")[0]) * 1e9;
}
