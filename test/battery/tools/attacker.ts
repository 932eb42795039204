/**
 * The attacker's machine: a network namespace behind the lab's internet that has 203.0.113.128/26 and 2001:db8:200::100/120
 * to itself, every port of them free for the servers of real tools. What their tunnels carry comes out here, at the catcher;
 * what the lab's sink counts towards one of these addresses is one tool's alone. It goes away with the lab.
 */
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "../../lab/lab.ts";
import type { Machine, SpawnOptions } from "../../lab/machine.ts";
import type { LabProcess } from "../../lab/process.ts";
import { outsideLink } from "../../lab/topology.ts";
import { runTool } from "../../lab/tools.ts";
import { until } from "../../support/until.ts";

/** Where the catcher listens on every address of the machine, TCP and UDP: the far ends of tunnels lead there. */
export const catcherPort = 7070;

/** Prints what it receives and says so, as an HTTP server would, for tools that want an answer. */
const catcherScript = `
const port = ${catcherPort};
const server = require("net").createServer((socket) => {
  socket.on("error", () => {}).on("data", (data) => {
    process.stdout.write(data + "\\n");
    socket.write("HTTP/1.0 200 OK\\r\\nContent-Length: 7\\r\\n\\r\\ncaught\\n");
  });
});
const udp = require("dgram").createSocket("udp6").on("message", (data) => process.stdout.write(data + "\\n"));
server.listen(port, "::", () => udp.bind(port, "::", () => console.log("catching")));`;

/** The address that sockets without one of their own send from; tools whose servers cannot be told theirs are met here. */
export const unboundNumber = 128;

/**
 * Runs a program with a /run of its own, in the mount namespace that its machine gives it: for tools that keep a folder
 * there which every namespace would share. The first argument is a directory to keep it in, the others are the program.
 */
export const ownRunScript = `
directory=$1/run; shift
mkdir -p "$directory/sallyport-lab" "$directory/sshd" "$directory/wireguard" &&
mount -n --bind /run/sallyport-lab "$directory/sallyport-lab" && mount -n --rbind "$directory" /run || exit 125
exec "$@"`;

const attackers = new WeakMap<Lab, Promise<Attacker>>();

/** The lab's attacker, made when first asked for. */
export function attackerOf(lab: Lab): Promise<Attacker> {
  const known = attackers.get(lab);
  if (known !== undefined) return known;
  const made = Attacker.create(lab);
  attackers.set(lab, made);
  return made;
}

export class Attacker {
  readonly lab: Lab;
  readonly machine: Machine;
  readonly #processes: LabProcess[] = [];
  readonly #started = new Map<string, Promise<unknown>>();

  private constructor(lab: Lab, namespace: string) {
    this.lab = lab;
    this.machine = lab.machine(namespace);
  }

  static async create(lab: Lab): Promise<Attacker> {
    // The lab removes what carries its name.
    const namespace = `${lab.id}-attacker`;
    await connect(lab, namespace);
    const attacker = new Attacker(lab, namespace);
    await attacker.spawn(process.execPath, ["-e", catcherScript], /catching/);
    return attacker;
  }

  /** Starts a server, which lives as long as the lab; resolves when it says that it is ready. */
  async spawn(
    command: string,
    args: readonly string[],
    ready?: RegExp,
    options: SpawnOptions = {},
  ): Promise<LabProcess> {
    const running = this.machine.spawn(command, args, options);
    this.#processes.push(running);
    if (ready !== undefined) await running.waitFor(ready, 20_000);
    return running;
  }

  /** Does what one tool needs done once in a lab: the first caller does it, the others wait. */
  once<T>(key: string, act: () => Promise<T>): Promise<T> {
    const known = this.#started.get(key) as Promise<T> | undefined;
    if (known !== undefined) return known;
    const started = act();
    started.catch(() => {});
    this.#started.set(key, started);
    return started;
  }

  /** Waits until something listens on a port here; rejects when nothing does. */
  async listening(protocol: "tcp" | "udp" | "raw", port: number): Promise<void> {
    const hex = port.toString(16).toUpperCase().padStart(4, "0");
    const end = performance.now() + 15_000;
    while (performance.now() < end) {
      const files = [`/proc/net/${protocol}`, `/proc/net/${protocol}6`];
      const shown = await runTool("ip", ["netns", "exec", this.machine.namespace, "cat", ...files]);
      const isThere = (line: string): boolean =>
        line.trim().split(/\s+/)[1]?.endsWith(`:${hex}`) === true && (protocol !== "tcp" || / 0A /.test(line));
      if (shown.split("\n").some(isThere)) return;
    }
    throw new Error(`nothing listens on ${protocol} port ${port} of the attacker's machine`);
  }

  /** True when a program here has written the marker: the tunnel delivered it. */
  has(marker: string): boolean {
    return this.#processes.some((each) => each.stdout.includes(marker) || each.stderr.includes(marker));
  }

  /** The same, given time. */
  async caught(marker: string, timeoutMs: number): Promise<boolean> {
    return (await until(() => this.has(marker), timeoutMs)) === true;
  }

  /** A directory for a tool's configuration, readable by the users that servers change to. */
  directory(name: string): string {
    const path = join(this.machine.home, name);
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o755);
    return path;
  }
}

async function connect({ id, world: { namespace: internet } }: Lab, namespace: string): Promise<void> {
  const [there, here] = [`${id}-att`, `${id}-atk`];
  const set = (name: string, values: { [key: string]: number }): Promise<string> => {
    const script = Object.entries(values).map(([key, value]) => `echo ${value} > /proc/sys/net/${key}`);
    return runTool("ip", ["netns", "exec", name, "sh", "-ec", script.join("\n")]);
  };
  const batch = (name: string, lines: string[]): Promise<string> =>
    runTool("ip", ["-n", name, "-batch", "-"], lines.map((line) => `${line}\n`).join(""));
  await runTool("ip", ["netns", "add", namespace]);
  await set(namespace, {
    "ipv6/conf/all/disable_ipv6": 0,
    "ipv6/conf/default/disable_ipv6": 0,
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/default/accept_ra": 0,
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
    "ipv6/ip_nonlocal_bind": 1,
  });
  await set(internet, { "ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1 });
  await batch(internet, [
    `link add ${there} type veth peer name ${here} netns ${namespace}`,
    `addr add fe80::1/64 dev ${there} nodad`,
    `link set ${there} up`,
    `route add 203.0.113.128/26 dev ${there} scope link table local`,
    // By way of the machine: it would not say of addresses that no interface carries that they are its own.
    `route add 2001:db8:200::100/120 via fe80::2 dev ${there} table main`,
  ]);
  await batch(namespace, [
    "link set lo up",
    `addr add 2001:db8:200::${unboundNumber}/128 dev ${here} nodad`,
    `addr add fe80::2/64 dev ${here} nodad`,
    `link set ${here} up`,
    "route add local 203.0.113.128/26 dev lo table local",
    "route add local 2001:db8:200::100/120 dev lo table local",
    `route add default via ${outsideLink.internet.v4} dev ${here} onlink src 203.0.113.${unboundNumber}`,
    `route add default via fe80::1 dev ${here}`,
  ]);
}
