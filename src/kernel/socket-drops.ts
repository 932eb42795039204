/** Datagrams that the kernel dropped because a UDP socket's reader was too slow. Called by the enforcer. */
import { readFileSync } from "node:fs";

/**
 * Of all sockets bound to this local port in this thread's network namespace, since each was opened; by the kernel's own
 * spelling of its address.
 */
export function udpDrops(port: number): Map<string, number> {
  const drops = new Map<string, number>();
  for (const file of ["udp", "udp6"]) parseUdpDrops(textOf(`/proc/thread-self/net/${file}`), port, drops);
  return drops;
}

/** Parses /proc/net/udp; lines that are not in its format are left out. */
export function parseUdpDrops(text: string, port: number, drops: Map<string, number>): void {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  for (const line of text.split("\n")) {
    const fields = line.trim().split(/\s+/);
    const local = fields[1];
    const count = fields[12] ?? "";
    if (local === undefined || !local.endsWith(suffix) || !/^\d{1,10}$/.test(count)) continue;
    drops.set(local, (drops.get(local) ?? 0) + Number(count));
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    // A kernel without IPv6.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
