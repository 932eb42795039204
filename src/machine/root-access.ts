/**
 * Takes root away from the job: sudo, and the daemons whose socket is as good as root. What is taken is not given back; a
 * runner that serves one job needs it no more. Each measure is checked by asking the tool that would use it.
 *
 * Group memberships of processes that run already cannot be taken away (credentials(7)): a socket is closed by its mode, not
 * by removing the user from its group.
 */
import { execFile, spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { SallyportError } from "../errors.ts";

export type RootAccess = "kept" | "no-sudo" | "no-sudo-no-containers";

/** Who the runner's steps run as. */
export interface JobUser {
  name: string;
  uid: number;
}

/** Sockets of daemons that start a process as root for whoever may speak to them. */
export const rootSockets: readonly string[] = [
  "/run/docker.sock",
  "/run/containerd/containerd.sock",
  "/run/buildkit/buildkitd.sock",
  "/run/podman/podman.sock",
  "/run/crio/crio.sock",
  "/var/snap/lxd/common/lxd/unix.socket",
  "/var/lib/lxd/unix.socket",
  "/run/incus/unix.socket",
  "/run/libvirt/libvirt-sock",
];

/** Where sudo reads additions, in the order of their names; the last matching entry decides (sudoers(5)). */
export const sudoersFile = "/etc/sudoers.d/zzz-sallyport";

/** What was done, in words. Throws AGENT where something asked for could not be done. */
export function takeRootAccess(access: RootAccess, { name: user, uid }: JobUser): string[] {
  const done: string[] = [];
  if (access === "kept") return done;
  if (uid === 0) {
    throw new SallyportError(
      "AGENT",
      "The job runs as root: sudo cannot be taken away from it. Run the runner as another user, or leave disable-sudo out.",
    );
  }
  if (takeSudo(user, uid)) done.push(`sudo is refused to ${user}`);
  if (access === "no-sudo-no-containers") {
    for (const socket of rootSockets) if (closeSocket(socket)) done.push(`${socket} is closed to all but root`);
  }
  return done;
}

/** True where `user` may become root by way of a daemon's socket: its groups are those it has now. */
export function openRootSockets(uid: number, groups: readonly number[]): string[] {
  return rootSockets.filter((path) => {
    try {
      const { mode, uid: owner, gid } = statSync(path);
      if ((mode & 0o002) !== 0) return true;
      if (owner === uid && (mode & 0o200) !== 0) return true;
      return groups.includes(gid) && (mode & 0o020) !== 0;
    } catch {
      return false;
    }
  });
}

/** False where there is no sudo. */
function takeSudo(user: string, uid: number): boolean {
  if (!/^[a-z_][a-z0-9_.-]*\$?$/i.test(user))
    throw new SallyportError("AGENT", `Not a user's name: ${JSON.stringify(user)}.`);
  if (!existsSync("/etc/sudoers")) return false;
  const text = [
    "# Written by Sallyport: this job has no use for root. The last matching entry decides.",
    `${user} ALL=(ALL:ALL) !ALL`,
    "",
  ].join("\n");
  writeFileSync(sudoersFile, text, { mode: 0o440, flag: "w", flush: true });
  chownSync(sudoersFile, 0, 0);
  if (canBecomeRoot(uid)) {
    throw new SallyportError(
      "AGENT",
      `sudo still lets ${user} become root; /etc/sudoers does not read ${sudoersFile}.`,
    );
  }
  return true;
}

/** For a start that failed: nothing is half applied. What a socket's mode was is not known any more; closed is the safe side. */
export function giveBackSudo(access: RootAccess): void {
  if (access !== "kept") rmSync(sudoersFile, { force: true });
}

/** Asks sudo itself, as the user. It looks groups up by the user's name, so the child's own do not matter. */
export function canBecomeRoot(uid: number): boolean {
  return spawnSync("sudo", sudoTest, { ...asUser(uid), stdio: "ignore" }).status === 0;
}

/** The same while the rest goes on. */
export function askWhetherRoot(uid: number): Promise<boolean> {
  return new Promise((resolve) => execFile("sudo", sudoTest, asUser(uid), (error) => resolve(error === null)));
}

const sudoTest = ["-n", "true"];
const asUser = (uid: number) => ({ uid, gid: uid, env: { PATH: "/usr/bin:/bin" }, timeout: 10_000 });

function closeSocket(path: string): boolean {
  if (!existsSync(path)) return false;
  chownSync(path, 0, 0);
  chmodSync(path, 0o600);
  return true;
}
