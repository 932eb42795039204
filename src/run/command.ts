/**
 * Starts the command inside its namespace and hands it signals. Whatever it started ends with it: its pid namespace does,
 * also when this process is killed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, type Stats, statSync } from "node:fs";
import { constants } from "node:os";
import type { Readable } from "node:stream";
import { SallyportError } from "../errors.ts";
import { attempt } from "../kernel/commands.ts";
import { closeOnExec } from "../kernel/libc.ts";
import { covered, enclosureScript } from "./enclosure.ts";
import { environmentOf, type User } from "./user.ts";

export interface CommandOptions {
  namespace: string;
  argv: readonly string[];
  user: User | null;
  /** A file to show as /etc/resolv.conf; null leaves the host's. */
  resolvConf: string | null;
}

/** Where the tools are that make the enclosure, whatever the command's own path is. */
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Sockets of daemons that start programs outside for whoever may open them: not covered, but said. */
const outsideHelpers = [
  "/run/docker.sock",
  "/run/containerd/containerd.sock",
  "/run/podman/podman.sock",
  "/run/crio/crio.sock",
  "/run/libvirt/libvirt-sock",
  "/var/lib/lxd/unix.socket",
];

/** A command that was started. */
export class Running {
  readonly #child: ChildProcess;
  /** Everything is in place and the command is next (or had its turn). */
  #started = false;
  #ended = false;
  readonly #early: NodeJS.Signals[] = [];
  /**
   * The exit code: the command's own, 128 plus the number of the signal that ended it as shells say it, 127 when there is
   * no such program. Rejects with PLACE when the enclosure could not be made; then the command was not started.
   */
  readonly exited: Promise<number>;

  constructor(child: ChildProcess) {
    this.#child = child;
    (child.stdio[3] as Readable).once("data", () => {
      this.#started = true;
      for (const signal of this.#early) this.signal(signal);
    });
    this.exited = new Promise((resolve, reject) => {
      const refuse = (why: string, cause?: unknown) =>
        reject(new SallyportError("PLACE", `The command was not started: ${why}.`, {}, cause));
      child.once("error", (error) => refuse(error.message, error));
      child.once("close", (code, signal) => {
        this.#ended = true;
        if (!this.#started) refuse(`its namespaces could not be made (${signal ?? `exit code ${code}`})`);
        else resolve(signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0));
      });
    });
  }

  /** Sends the command a signal; not to the rest of what it started, which is the command's affair. */
  signal(signal: NodeJS.Signals): void {
    if (this.#ended) return;
    if (!this.#started) return void this.#early.push(signal);
    const command = commandUnder(this.#child.pid!);
    // Between the byte and the command's own process there is a moment.
    if (command === null) setTimeout(() => this.signal(signal), 5);
    else kill(command, signal);
  }
}

/** Spawns the command with our standard streams. */
export function startCommand(options: CommandOptions): Running {
  const { user, argv, namespace } = options;
  const env = environmentOf(user, process.env);
  if (env["SALLYPORT_OWN_CACHE"] !== undefined) {
    for (const name of ["SALLYPORT_OWN_CACHE", "NODE_COMPILE_CACHE"]) delete env[name];
  }
  const target = resolvConfTarget();
  const script = enclosureScript({
    user,
    path: env["PATH"] ?? null,
    resolvConf: options.resolvConf === null || target === null ? null : { file: options.resolvConf, target },
    folders: covered.folders.filter((folder) => existsSync(folder)),
    sockets: covered.sockets.filter((socket) => existsSync(socket)),
    cgroup: /^\S+ \/sys\/fs\/cgroup cgroup2 /m.test(readFileSync("/proc/self/mounts", "utf8")),
  });
  closeInherited();
  const child = spawn(
    "setpriv",
    [
      ...["--pdeathsig", "KILL", "ip", "netns", "exec", namespace],
      ...["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "slave"],
      ...["sh", "-c", script, "sallyport", ...argv],
    ],
    { stdio: ["inherit", "inherit", "inherit", "pipe"], env: { ...env, PATH: systemPath } },
  );
  return new Running(child);
}

/**
 * The command gets its standard streams and nothing else that whoever started us left open: a connected socket among that
 * would be a way out that no packet filter sees.
 */
function closeInherited(): void {
  for (const fd of readdirSync("/proc/self/fd").map(Number)) if (fd > 2) closeOnExec(fd);
}

/** Sockets of daemons that could act outside for the command, because it may write to them. */
export function helpersOutside(user: User | null): string[] {
  return outsideHelpers.filter((path) => existsSync(path) && mayWrite(user, statSync(path)));
}

function mayWrite(user: User | null, { uid, gid, mode }: Stats): boolean {
  if (user === null || (mode & 0o002) !== 0) return true;
  if (uid === user.uid) return (mode & 0o200) !== 0;
  const groups = attempt("id", ["-G", user.name ?? String(user.uid)]).stdout;
  return (mode & 0o020) !== 0 && (gid === user.gid || groups.split(/\s+/).includes(String(gid)));
}

/** Where /etc/resolv.conf leads on this host; null when it leads nowhere. */
function resolvConfTarget(): string | null {
  try {
    return realpathSync("/etc/resolv.conf");
  } catch {
    return null;
  }
}

/** True when the host's resolv.conf is out of sight inside, so that a copy has to be shown. */
export function isResolvConfCovered(): boolean {
  const target = resolvConfTarget();
  return target !== null && covered.folders.some((folder) => target.startsWith(`${folder}/`));
}

/**
 * The command's process, as this process sees it: `unshare` has one child, the first process of the pid namespace, and
 * that one's oldest child is the command. Null when it is not there (yet, or any more).
 */
function commandUnder(unshare: number): number | null {
  const first = childrenOf(unshare)[0];
  return first === undefined ? null : (childrenOf(first)[0] ?? null);
}

/** Children in order of age (proc(5), /proc/pid/task/tid/children). */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended between the look and the call.
  }
}
