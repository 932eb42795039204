/**
 * Starts the command inside its namespace: as the invoking user where sudo was used, without the capabilities that could
 * leave the namespace, with the host's name service daemons out of reach (they would resolve names behind our back).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";

export interface CommandOptions {
  namespace: string;
  argv: readonly string[];
  /** A file to show the command as /etc/resolv.conf; null leaves the host's. */
  resolvConf: string | null;
}

/**
 * With any of these a process of root could enter the host's network namespace, or have the kernel or another process do
 * it: setns and mount (SYS_ADMIN), moving a link by pid (NET_ADMIN), another process's memory (SYS_PTRACE), modules, raw
 * devices, BPF.
 */
const dropped = ["sys_admin", "net_admin", "sys_ptrace", "sys_module", "sys_rawio", "sys_boot", "bpf", "perfmon", "mknod"];

/** Name service daemons with a socket in the file system: glibc would ask them instead of the network. */
const nameServices = ["/run/nscd", "/run/systemd/resolve", "/run/avahi-daemon"];

/** The user to run as: the one behind sudo, or null for the current one. */
export function invokingUser(env: NodeJS.ProcessEnv): { uid: number; gid: number; name: string; home: string } | null {
  const uid = Number(env["SUDO_UID"]);
  const gid = Number(env["SUDO_GID"]);
  if (process.getuid?.() !== 0 || !Number.isInteger(uid) || !Number.isInteger(gid) || uid <= 0) return null;
  const entry = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .find((fields) => fields[2] === String(uid));
  return { uid, gid, name: entry?.[0] ?? String(uid), home: entry?.[5] ?? "/" };
}

/** Spawns the command with our standard streams. Its exit is the caller's to wait for. */
export function startCommand(options: CommandOptions): ChildProcess {
  const user = invokingUser(process.env);
  const env: NodeJS.ProcessEnv = { ...process.env };
  const drop = dropped.map((name) => `-${name}`).join(",");
  const privileges = ["setpriv", `--bounding-set=${drop}`, "--inh-caps=-all"];
  if (user !== null) {
    privileges.push(`--reuid=${user.uid}`, `--regid=${user.gid}`, "--init-groups");
    Object.assign(env, { USER: user.name, LOGNAME: user.name, HOME: user.home });
    for (const name of ["SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND"]) delete env[name];
  }
  const mounts = ["set -e"];
  for (const folder of nameServices) if (existsSync(folder)) mounts.push(`mount -t tmpfs -o ro,mode=755 tmpfs ${folder}`);
  if (options.resolvConf !== null) {
    mounts.push(...resolvConfMount(options.resolvConf));
  }
  // `ip netns exec` gives a private mount namespace; "$@" keeps every argument whole.
  const script = `${mounts.join("\n")}\nexec "$@"`;
  return spawn(
    "ip",
    ["netns", "exec", options.namespace, "sh", "-c", script, "sallyport", ...privileges, "--", ...options.argv],
    { stdio: "inherit", env },
  );
}

/**
 * Shows `file` as /etc/resolv.conf. Where that is a link into a folder just hidden, the link itself is covered by mounting
 * over its target's place, made anew.
 */
function resolvConfMount(file: string): string[] {
  let target = "/etc/resolv.conf";
  try {
    target = realpathSync(target);
  } catch {
    return [];
  }
  const hidden = nameServices.find((folder) => target.startsWith(`${folder}/`));
  if (hidden === undefined) return [`mount --bind '${file}' '${target}'`];
  return [
    `mount -o remount,rw ${hidden}`,
    `: > '${target}'`,
    `mount --bind '${file}' '${target}'`,
    `mount -o remount,ro ${hidden}`,
  ];
}

