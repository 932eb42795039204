/**
 * The texts of /proc/PID: `stat`, `status`, `cmdline`, `environ`, `cgroup`. Pure; what they say is the process's own business
 * (a name may hold parentheses and newlines), so a reader takes nothing for granted and its work is bounded by the text.
 */

export interface Stat {
  pid: number;
  /** The thread's name, at most 15 bytes of anything. */
  comm: string;
  /** `R`, `S`, `D`, `Z` (ended, not collected), … */
  state: string;
  parent: number;
  threads: number;
  /** When it started, in clock ticks since boot. */
  startTicks: number;
  /** Processor time of all its threads so far, in clock ticks. */
  cpuTicks: number;
}

/** `/proc/PID/stat` (proc_pid_stat(5)); null where it is not one. The name ends at the last parenthesis: it may hold others. */
export function parseStat(text: string): Stat | null {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 1 || close < open) return null;
  const rest = text
    .slice(close + 1)
    .trimStart()
    .split(" ");
  const stat = {
    pid: whole(text.slice(0, open).trimEnd()),
    comm: text.slice(open + 1, close),
    state: rest[0] ?? "",
    parent: whole(rest[1]),
    threads: whole(rest[17]),
    startTicks: whole(rest[19]),
    cpuTicks: whole(rest[11]) + whole(rest[12]),
  };
  const complete = stat.state.length === 1 && stat.pid >= 0 && stat.parent >= 0 && stat.threads >= 0;
  return complete && stat.startTicks >= 0 ? stat : null;
}

/** The effective user of `/proc/PID/status`; null where it does not say. Newlines of the name are escaped there. */
export function parseEffectiveUid(status: string): number | null {
  const line = /^Uid:\s+\d+\s+(\d{1,10})(?:\s|$)/m.exec(status);
  const uid = whole(line?.[1]);
  return uid >= 0 && uid <= 0xffff_ffff ? uid : null;
}

/**
 * The arguments of `/proc/PID/cmdline`, at most `most` of them. A process may have overwritten its own with anything; the
 * last one lacks its NUL where the text was cut.
 */
export function parseArguments(cmdline: string, most: number): string[] {
  const args = cmdline.split("\0", most + 1);
  if (args.length <= most && args.at(-1) === "") args.pop();
  return args.slice(0, most);
}

/** The first value of each of `names` in `/proc/PID/environ`; an empty value counts as none. */
export function parseEnvironment<Name extends string>(
  environ: string,
  names: readonly Name[],
): Partial<Record<Name, string>> {
  const found: Partial<Record<Name, string>> = {};
  for (const entry of environ.split("\0")) {
    const equals = entry.indexOf("=");
    const name = names.find((each) => each.length === equals && entry.startsWith(each));
    if (name !== undefined && !(name in found) && entry.length > equals + 1) found[name] = entry.slice(equals + 1);
  }
  return found;
}

/** The paths of `/proc/PID/cgroup` (cgroups(7)), the unified hierarchy's first. */
export function parseCgroupPaths(text: string): string[] {
  const unified: string[] = [];
  const others: string[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d+):([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    (match[1] === "0" && match[2] === "" ? unified : others).push(match[3]!);
  }
  return [...unified, ...others];
}

/** A non-negative integer, or -1. */
function whole(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : -1;
}
