/**
 * What the command's namespaces look like from inside, as the shell script that makes them and then becomes the command.
 * A network namespace alone is not enough: whoever can ask a process outside to do it for him has a way out. So processes
 * outside are out of sight (pid namespace), sockets of daemons that resolve names, run jobs or start programs are covered,
 * and the capabilities that could undo it are given up. What stays open is in `docs/run.md`.
 *
 * Pure text; `command.ts` runs it.
 */
import { dirname } from "node:path";
import type { User } from "./user.ts";

export interface Enclosure {
  /** Null: stay who we are (root). */
  user: User | null;
  /** The command's own search path; null: none. The script's own is the system's. */
  path: string | null;
  /** A file to show as `target`, where /etc/resolv.conf leads; null leaves the host's. */
  resolvConf: { file: string; target: string } | null;
  /** The folders and sockets of {@link covered} that this host has. */
  folders: readonly string[];
  sockets: readonly string[];
  /** The host has its control groups (version 2) where everybody looks for them. */
  cgroup: boolean;
}

/** File descriptor on which the script writes one byte when everything is in place and the command is next. */
export const readyDescriptor = 3;

/** Each user's own folder for sockets (XDG_RUNTIME_DIR): an empty one inside. */
const runtimeFolders = "/run/user";

/** What is out of sight inside, where it exists. */
export const covered = {
  folders: [
    // Name service daemons: glibc would ask them instead of the network, and they would ask the host's resolver.
    "/run/nscd",
    "/run/systemd/resolve",
    "/run/avahi-daemon",
    // The system bus: systemd-resolved answers on it, systemd starts units on it.
    "/run/dbus",
    // Session buses, user managers (`systemd-run --user`), dirmngr, rootless container daemons: each acts outside.
    runtimeFolders,
    // Jobs that cron and at would run outside.
    "/var/spool/cron",
  ],
  sockets: ["/run/systemd/private"],
} as const;

/**
 * What root may keep. Left out: whatever could enter another namespace or have the kernel do it (SYS_ADMIN, SYS_PTRACE,
 * SYS_MODULE, SYS_RAWIO, SYS_BOOT, BPF, PERFMON, MKNOD) and what could move the link or make another (NET_ADMIN). A list of
 * what stays, so that a capability of a later kernel is given up as well.
 */
const kept = [
  ...["chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"],
  ...["linux_immutable", "net_bind_service", "net_raw", "ipc_lock", "ipc_owner", "sys_chroot", "sys_nice"],
  ...["sys_resource", "lease", "audit_write", "setfcap"],
];

/** The script; its arguments are the command and its arguments, each whole. */
export function enclosureScript(enclosure: Enclosure): string {
  const { user, path, resolvConf, folders, sockets, cgroup } = enclosure;
  const lines = ["set -e"];
  const mount = (...words: string[]) => lines.push(`mount -n ${words.map(quoted).join(" ")}`);
  const readOnly = (target: string) => mount("-o", "remount,bind,ro", target);
  for (const folder of folders) mount("-t", "tmpfs", "-o", "mode=755,nosuid,nodev", "sallyport", folder);
  for (const socket of sockets) mount("--bind", "/dev/null", socket);
  if (folders.includes(runtimeFolders)) {
    const [uid, gid] = [user?.uid ?? 0, user?.gid ?? 0];
    lines.push(`mkdir -m 700 ${runtimeFolders}/${uid}`, `chown ${uid}:${gid} ${runtimeFolders}/${uid}`);
  }
  if (resolvConf !== null) {
    // Where it leads into a folder just covered, there is nothing to mount over yet.
    const target = quoted(resolvConf.target);
    lines.push(`[ -e ${target} ] || { mkdir -p ${quoted(dirname(resolvConf.target))}; : > ${target}; }`);
    mount("--bind", resolvConf.file, resolvConf.target);
    readOnly(resolvConf.target);
  }
  for (const folder of folders) {
    if (folder !== runtimeFolders) mount("-o", "remount,ro,mode=755,nosuid,nodev", folder);
  }
  // `ip netns exec` shows the namespace's own /sys, and with the old one the control groups went.
  if (cgroup) mount("-t", "cgroup2", "-o", "nosuid,nodev,noexec", "cgroup2", "/sys/fs/cgroup");
  if (user === null) {
    // Root needs no capability to name a program that the kernel starts outside (core_pattern, modprobe).
    mount("--bind", "/proc/sys/kernel", "/proc/sys/kernel");
    readOnly("/proc/sys/kernel");
  }
  const inner = [
    path === null ? "unset PATH" : `PATH=${quoted(path)}`,
    `printf . >&${readyDescriptor}`,
    `exec ${readyDescriptor}>&-`,
    // `exec` takes programs only, where a bare word could be a builtin of the shell. The shell stays, as the first
    // process of the pid namespace, which gets no signals but those it handles, and waits for orphans. A Ctrl-C that the
    // command survives must not become the shell's own end.
    "trap '' INT",
    '(trap - INT; exec "$@")',
    "exit $?",
  ].join("\n");
  lines.push(`exec setpriv ${privileges(user).join(" ")} -- sh -c ${quoted(inner)} sallyport "$@"`);
  return lines.join("\n");
}

function privileges(user: User | null): string[] {
  const bounding = `--bounding-set=-all,${kept.map((name) => `+${name}`).join(",")}`;
  const own = [bounding, "--inh-caps=-all"];
  if (user === null) return own;
  return [
    ...own,
    `--reuid=${user.uid}`,
    `--regid=${user.gid}`,
    user.name === null ? "--clear-groups" : "--init-groups",
  ];
}

/** One word for the shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
