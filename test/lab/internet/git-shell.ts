/**
 * git over SSH: OpenSSH's own server, one process a connection (`sshd -i`), whose every user may do nothing but run git on
 * the lab's repository. It sees accounts of its own and leaves nothing on the host: both are mounts that end with it.
 */
import { execFile, spawn } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Socket } from "node:net";
import { promisify } from "node:util";
import type { GitServer } from "./git-server.ts";
import { plainAddress } from "./plain-address.ts";

const run = promisify(execFile);

/** What a client needs: a key that is let in, and the server's own, to know it by. */
export type GitShellKeys = { keyFile: string; knownHostsFile: string };

/** The addresses where port 22 is git's. */
const addresses: readonly string[] = ["203.0.113.56", "2001:db8:200::56"];
const name = "git-ssh.example";

/**
 * sshd wants its folder in /run (Debian's service makes it) and looks accounts up in /etc. The lab's own directory is in /run
 * too, and is put back where it was.
 */
const enterScript = `
lab=$(dirname "$1")
mount -n --bind "$lab" /mnt && mount -n -t tmpfs none /run && mkdir -p /run/sshd "$lab" && mount -n --bind /mnt "$lab" &&
mount -n --bind "$1/passwd" /etc/passwd && mount -n --bind "$1/shadow" /etc/shadow || exit 125
exec /usr/sbin/sshd -i -e -f "$1/sshd_config"`;

export class GitShell {
  readonly #directory: string;
  readonly #git: GitServer;
  #keys: Promise<GitShellKeys> | undefined;

  constructor(directory: string, git: GitServer) {
    this.#directory = join(directory, "git-shell");
    this.#git = git;
  }

  /** True when a connection to this socket's address is for here. */
  serves(socket: Socket): boolean {
    return addresses.includes(plainAddress(socket.localAddress));
  }

  /** Made at the first call. */
  keys(): Promise<GitShellKeys> {
    this.#keys ??= this.#prepare();
    return this.#keys;
  }

  async serve(socket: Socket): Promise<void> {
    await this.keys();
    const child = spawn("unshare", ["--mount", "sh", "-c", enterScript, "sshd", this.#directory], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    child.on("error", () => socket.destroy());
    child.stdin.on("error", () => {});
    socket.pipe(child.stdin);
    child.stdout.pipe(socket);
    socket.on("close", () => child.kill());
  }

  async #prepare(): Promise<GitShellKeys> {
    const at = (file: string): string => join(this.#directory, file);
    await mkdir(this.#directory, { recursive: true });
    const repositories = await this.#git.repositories();
    await Promise.all(
      ["host", "client"].map((key) => run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", at(key)])),
    );
    const clientKey = await readFile(at("client.pub"), "utf8");
    const hostKey = await readFile(at("host.pub"), "utf8");
    const files = {
      known_hosts: `${name} ${hostKey}`,
      authorized_keys: clientKey,
      // Root under another name: any other account would need files of its own.
      passwd: "git:x:0:0::/:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n",
      shadow: "git:*:19000:0:99999:7:::\nsshd:!:19000::::::\n",
      // Paths in URLs are absolute, and the repository is somewhere else.
      command: `#!/bin/sh\ncd ${repositories} && exec git-shell -c "$(printf %s "$SSH_ORIGINAL_COMMAND" | sed "s: '/: ':")"\n`,
      sshd_config: [
        `HostKey ${at("host")}`,
        `AuthorizedKeysFile ${at("authorized_keys")}`,
        `ForceCommand ${at("command")}`,
        "PermitRootLogin yes",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UseDNS no",
        "PrintMotd no",
        "PrintLastLog no",
        "DisableForwarding yes",
        "SetEnv GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null",
      ].join("\n"),
    };
    await Promise.all(Object.entries(files).map(([file, text]) => writeFile(at(file), `${text.trimEnd()}\n`)));
    await Promise.all([chmod(at("command"), 0o755), chmod(at("shadow"), 0o600)]);
    return { keyFile: at("client"), knownHostsFile: at("known_hosts") };
  }
}
