/** What a contender is: how it is started at the gateway of a stand, and what it needs on the host. */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { hasTool } from "../../test/lab/tools.ts";
import type { LabProcess } from "../../test/lab/process.ts";
import { run, type Stand } from "../stand/stand.ts";

export interface Peer {
  /** As in the results. */
  name: string;
  /** The program and the Debian packages it comes in; null where nothing need be installed. */
  needs: { tool: string; packages: string[] } | null;
  /** True where the kernel forwards packets; a proxy's gateway does not. */
  forwards: boolean;
  /** True for those that a quick run leaves out. */
  slow?: boolean;
  /** Starts it; resolves when it takes connections. */
  start(stand: Stand, ports: readonly number[]): Promise<void>;
  /** Why it cannot do this kind of case; null where it can. */
  cannot(kind: Kind): string | null;
}

/** What is asked of a contender. */
export type Kind = "connect" | "deny" | "bulk" | "hold" | "many" | "swap";

export function isInstalled(peer: Peer): boolean {
  return peer.needs === null || hasTool(peer.needs.tool);
}

/** Where a proxy listens; connections of the inside to the hellos' ports are turned to it. */
export const proxyPort = 13_443;

/** Turns connections to these ports to the proxy, as an operator does for a transparent one. */
export function intercept(stand: Stand, ports: readonly number[]): Promise<void> {
  return redirect(stand, ports, () => proxyPort);
}

/** The same, to as many ports of the proxy, from {@link proxyPort} on. */
export function interceptEach(stand: Stand, ports: readonly number[]): Promise<void> {
  return redirect(stand, ports, (index) => proxyPort + index);
}

async function redirect({ lab }: Stand, ports: readonly number[], to: (index: number) => number): Promise<void> {
  const { gateway } = lab;
  for (const [index, port] of ports.entries()) {
    const match = ["-i", gateway.inside[0]!, "-p", "tcp", "--dport", `${port}`];
    const target = ["-j", "REDIRECT", "--to-ports", `${to(index)}`];
    await run(gateway, "iptables", ["-t", "nat", "-A", "PREROUTING", ...match, ...target]);
  }
  await masquerade({ lab });
}

/** All else (the sources' questions to the resolver among it) leaves with the gateway's address. */
export async function masquerade({ lab: { gateway } }: Pick<Stand, "lab">): Promise<void> {
  await run(gateway, "iptables", ["-t", "nat", "-A", "POSTROUTING", "-o", gateway.outside, "-j", "MASQUERADE"]);
}

/** Puts a configuration of this folder into the gateway's home, `@NAMES@` filled in; returns its path. */
export function configure(stand: Stand, file: string, values: Record<string, string | number> = {}): string {
  const all: Record<string, string | number> = {
    PORT: proxyPort,
    CPUS: availableParallelism(),
    FOLDER: stand.lab.gateway.home,
    DESCRIPTORS: descriptors(),
    // Two descriptors a connection, and some of its own.
    CONNECTIONS: Math.floor(descriptors() / 2 - 500),
    ...values,
  };
  const text = readFileSync(new URL(file, import.meta.url), "utf8").replace(/@([A-Z0-9_]+)@/g, (whole, key: string) =>
    String(all[key] ?? whole),
  );
  const path = join(stand.lab.gateway.home, basename(file));
  writeFileSync(path, text);
  return path;
}

/** Resolves when the program listens at this TCP or UDP port of the gateway; rejects with its words when it ended instead. */
export async function listening(
  { lab: { gateway } }: Stand,
  program: LabProcess,
  port: number = proxyPort,
): Promise<void> {
  const end = performance.now() + 20_000;
  let ended = false;
  program.exited.then(() => (ended = true)).catch(() => {});
  for (;;) {
    const { stdout } = await gateway.exec("ss", ["-Hlntu", `sport = :${port}`]);
    if (stdout.trim() !== "") return;
    if (ended || performance.now() > end) {
      const said = `${program.stdout}${program.stderr}`.trim().slice(-800);
      throw new Error(`nothing listens at port ${port}${ended ? ", the program ended" : ""}: ${said}`);
    }
  }
}

/** How many descriptors one process may have here, by its hard limit (proc_pid_limits(5)). */
export function descriptors(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  return Number(/^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1] ?? 1024);
}
