/**
 * A machine of the lab: a network namespace with its own resolver, hosts file, home directory and trust in the lab's
 * certificate authority, in which real programs run. Nothing of the host's configuration (proxies, registries, name
 * services) reaches them. `mount -n` leaves the mounts out of libmount's own books in the host's /run.
 */
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LabProcess } from "./process.ts";
import type { Outcome } from "./process.ts";

export type SpawnOptions = {
  /** Added to the machine's environment; undefined removes a variable. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** Name servers for this program instead of the machine's. */
  resolver?: string[];
};

export type ExecOptions = SpawnOptions & {
  input?: string | Buffer;
  /** The program's group is killed after this long; 30 s when absent. */
  timeoutMs?: number;
};

export type MachineParts = {
  /** The network namespace. */
  namespace: string;
  /** The machine's own directory; made here. */
  directory: string;
  resolver: string[];
  caFile: string;
};

/**
 * Runs in the private mount namespace that `ip netns exec` makes. Name service caches of the host are hidden, because
 * they would answer from the host's network.
 */
const enterScript = `
mount -n --bind "$1" /etc/resolv.conf && mount -n --bind "$2/hosts" /etc/hosts &&
mount -n --bind "$2/nsswitch.conf" /etc/nsswitch.conf || exit 125
[ ! -d /run/nscd ] || mount -n -t tmpfs none /run/nscd || exit 125
shift 2
exec "$@"`;

export class Machine {
  readonly namespace: string;
  /** The home directory of its programs; gone when the lab closes. */
  readonly home: string;
  readonly #directory: string;
  readonly #environment: Record<string, string>;

  constructor({ namespace, directory, resolver, caFile }: MachineParts) {
    this.namespace = namespace;
    this.#directory = directory;
    this.home = join(directory, "home");
    mkdirSync(this.home, { recursive: true });
    writeFileSync(join(directory, "hosts"), "127.0.0.1 localhost\n::1 localhost\n");
    writeFileSync(join(directory, "nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n");
    this.#resolverFile(resolver, "resolv.conf");
    this.#environment = {
      PATH: process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: this.home,
      LC_ALL: "C.UTF-8",
      TERM: "dumb",
      SSL_CERT_FILE: caFile,
      CURL_CA_BUNDLE: caFile,
      GIT_SSL_CAINFO: caFile,
      NODE_EXTRA_CA_CERTS: caFile,
      // A host may give npm a set of its own that hides the variable above; the environment outranks its files.
      npm_config_cafile: caFile,
      npm_config_update_notifier: "false",
      GIT_TERMINAL_PROMPT: "0",
    };
  }

  /** Starts a program and leaves it running; it ends with the lab, and with the process that owns the lab. */
  spawn(command: string, args: readonly string[] = [], options: SpawnOptions = {}): LabProcess {
    const resolver =
      options.resolver === undefined
        ? join(this.#directory, "resolv.conf")
        : this.#resolverFile(options.resolver, `resolv-${options.resolver.join("-").replaceAll(":", "_")}.conf`);
    const child = spawn(
      "setpriv",
      [
        ...["--pdeathsig", "KILL", "ip", "netns", "exec", this.namespace],
        ...["sh", "-c", enterScript, "enter", resolver, this.#directory, command, ...args],
      ],
      {
        cwd: options.cwd ?? this.home,
        env: { ...this.#environment, ...options.env },
        stdio: ["pipe", "pipe", "pipe"],
        detached: true,
      },
    );
    return new LabProcess(child);
  }

  /** Runs a program to its end, whatever its exit code. 125: the machine could not be entered; 127: no such program. */
  async exec(command: string, args: readonly string[] = [], options: ExecOptions = {}): Promise<Outcome> {
    const running = this.spawn(command, args, options);
    running.limit(options.timeoutMs ?? 30_000);
    running.endInput(options.input);
    return running.exited;
  }

  #resolverFile(servers: string[], name: string): string {
    const path = join(this.#directory, name);
    // Two tries of two seconds: a lost query must not make a test wait as long as the defaults of resolv.conf(5).
    const lines = [...servers.map((server) => `nameserver ${server}`), "options timeout:2 attempts:2"];
    writeFileSync(path, `${lines.join("\n")}\n`);
    return path;
  }
}
