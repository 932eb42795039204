/**
 * The range: two network namespaces of our own, a machine and a world in which every address is the sink's. Nothing in it
 * has a way out of it, so no probe can meet anybody. Named for the process that made it: what a killed one left behind is
 * found by the next and taken away.
 */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SallyportError } from "../../errors.ts";
import { run } from "../../kernel/commands.ts";
import { deleteNamespace, inNamespace, listNamespaces, namespacePath } from "../../kernel/namespace.ts";
import { writeSysctl } from "../../kernel/sysctl.ts";
import { hasV6 } from "../../run/network.ts";
import { runRoot, startOf } from "../../run/slot.ts";
import { hostsMarker } from "../technique.ts";
import { link, resolver } from "./addresses.ts";

const root = "/run/sallyport/simulate";
const prefix = "sallyport-sim-";

/** A shell that shows the range's own configuration in place of the machine's, and becomes the command. */
const enterScript = `
for each in hosts resolv.conf nsswitch.conf; do
  [ ! -e "/etc/$each" ] || mount -n --bind "$1/$each" "/etc/$each" || exit 125
done
[ ! -d /run/nscd ] || mount -n -t tmpfs none /run/nscd || exit 125
shift
exec "$@"`;

export class Range {
  /** Network namespaces. */
  readonly host: string;
  readonly world: string;
  /** Root's own, for what a simulation keeps while it lasts. */
  readonly folder: string;

  private constructor(id: string) {
    this.host = `${prefix}${id}-host`;
    this.world = `${prefix}${id}-world`;
    this.folder = join(root, id);
  }

  /** Throws PLACE where it cannot be made; then nothing is left of it. */
  static create(): Range {
    sweep();
    const range = new Range(`${process.pid}-${startOf(process.pid)}`);
    try {
      mkdirSync(range.folder, { recursive: true, mode: 0o700 });
      range.#build();
      range.resetHosts();
      // A second for a lost query; nothing is far away.
      writeFileSync(join(range.folder, "resolv.conf"), `nameserver ${resolver.v4}\noptions timeout:2 attempts:1\n`);
      writeFileSync(join(range.folder, "nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n");
      return range;
    } catch (error) {
      range.remove();
      if (error instanceof SallyportError) throw error;
      throw new SallyportError("PLACE", `The range could not be made: ${(error as Error).message}`, {}, error);
    }
  }

  /** The machine's hosts file: a technique edits it. */
  get hostsFile(): string {
    return join(this.folder, "hosts");
  }

  resetHosts(): void {
    writeFileSync(this.hostsFile, `${hostsMarker}\n127.0.0.1 localhost\n::1 localhost\n`);
  }

  /** Starts a program in one of the namespaces, in a session of its own. It ends with this process, whatever ends that. */
  spawn(where: "host" | "world", argv: readonly string[], stdio: StdioOptions): ChildProcess {
    const namespace = where === "host" ? this.host : this.world;
    const env = Object.fromEntries(
      // Probes are root's, as a job's with sudo are; and nothing goes by a proxy of the real world.
      Object.entries(process.env).filter(([name]) => !/^SUDO_|_proxy$/i.test(name)),
    );
    return spawn(
      "setpriv",
      [
        ...["--pdeathsig", "KILL", "ip", "netns", "exec", namespace],
        ...["sh", "-c", enterScript, "enter", this.folder, ...argv],
      ],
      { stdio, env, detached: true, cwd: "/" },
    );
  }

  /** Takes all of it away, and what a run that was killed left in it. Call again at will. */
  remove(): void {
    removeNamed(this.host, this.world);
    rmSync(this.folder, { recursive: true, force: true });
  }

  #build(): void {
    const { host, world } = this;
    const v6 = hasV6();
    run("ip", ["-batch", "-"], { input: `netns add ${host}\nnetns add ${world}\n` });
    for (const name of [host, world]) inNamespace(name, () => settings(v6));
    const six = (line: string) => (v6 ? [line] : []);
    batch(host, [
      "link set lo up",
      `link add out0 type veth peer name in0 netns ${world}`,
      `addr add ${link.host.v4}/25 dev out0`,
      ...six(`addr add ${link.host.v6}/64 dev out0 nodad`),
      "link set out0 up",
    ]);
    batch(world, [
      "link set lo up",
      `addr add ${link.world.v4}/25 dev in0`,
      ...six(`addr add ${link.world.v6}/64 dev in0 nodad`),
      "link set in0 up",
      // Every address is this namespace's own (ip-route(8), type local), but for those on the link.
      "route add local 0.0.0.0/0 dev lo table local",
      "route add 198.51.100.0/25 dev in0 scope link table local",
      ...six("route add local ::/0 dev lo table main"),
    ]);
    batch(host, [`route add default via ${link.world.v4}`, ...six(`route add default via ${link.world.v6}`)]);
  }
}

/** The host's values leak into new namespaces (`devconf_inherit_init_net`), so all that matters is set. */
function settings(v6: boolean): void {
  const values: Record<string, string> = {
    "ipv4/ip_forward": "0",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    ...(v6
      ? {
          "ipv6/conf/all/disable_ipv6": "0",
          "ipv6/conf/default/disable_ipv6": "0",
          "ipv6/conf/default/accept_dad": "0",
          "ipv6/conf/default/accept_ra": "0",
          "ipv6/conf/all/forwarding": "0",
          // The sink answers from addresses that no interface has.
          "ipv6/ip_nonlocal_bind": "1",
        }
      : {}),
  };
  for (const [name, value] of Object.entries(values)) writeSysctl(`net/${name}`, value);
}

function batch(namespace: string, lines: string[]): void {
  run("ip", ["-n", namespace, "-batch", "-"], { input: lines.map((line) => `${line}\n`).join("") });
}

/** Removes ranges whose process is gone. */
function sweep(): void {
  const left = new Set([
    ...listNamespaces(prefix).map((name) => name.slice(prefix.length).replace(/-(host|world)$/, "")),
    ...(existsSync(root) ? readdirSync(root) : []),
  ]);
  for (const id of left) {
    const [pid, started] = id.split("-");
    if (startOf(Number(pid)) === started) continue;
    removeNamed(`${prefix}${id}-host`, `${prefix}${id}-world`);
    rmSync(join(root, id), { recursive: true, force: true });
  }
}

function removeNamed(host: string, world: string): void {
  // What a killed run built stands in namespaces named for the one it stood in.
  const stood = statSync(namespacePath(host), { throwIfNoEntry: false });
  if (stood !== undefined) {
    for (const name of listNamespaces(`sallyport-${stood.ino}-`)) deleteNamespace(name);
    rmSync(join(runRoot, String(stood.ino)), { recursive: true, force: true });
  }
  deleteNamespace(host);
  deleteNamespace(world);
}
