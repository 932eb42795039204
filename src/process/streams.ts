/**
 * What a process's descriptors are: connections, pipes, terminals. From /proc; a process that is gone has none. Called by the
 * machine room.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { type Address, formatAddress } from "../address/ip.ts";
import type { Stream } from "../detect/reverse-shell.ts";

const nothing: Stream = { kind: "other", id: "", remote: null };
const MOST_DESCRIPTORS = 256;

/** Standard input (0), output (1) or another descriptor of a process. */
export function streamOf(pid: number, fd: number): Stream {
  const path = `/proc/${pid}/fd/${fd}`;
  let link: string;
  try {
    link = readlinkSync(path);
  } catch {
    return nothing;
  }
  const inode = /^(socket|pipe):\[(\d+)\]$/.exec(link);
  if (inode?.[1] === "pipe") return { kind: "pipe", id: link, remote: null };
  if (inode !== null) {
    const remote = connections(pid).get(Number(inode[2]));
    return remote === undefined ? { kind: "socket", id: link, remote: null } : { kind: "internet", id: link, remote };
  }
  const terminal = /^\/dev\/pts\/(\d+)$/.exec(link);
  if (terminal !== null) return { kind: "terminal", id: terminal[1]!, remote: null };
  try {
    const { dev, ino, mode } = statSync(path);
    return (mode & 0o170000) === 0o010000 ? { kind: "pipe", id: `${dev}:${ino}`, remote: null } : nothing;
  } catch {
    return nothing;
  }
}

/** Where a process's connections lead, and the terminals that it holds the other side of. */
export function endsOf(pid: number): { remotes: string[]; terminals: string[] } {
  const ends = { remotes: [] as string[], terminals: [] as string[] };
  let names: string[];
  try {
    names = readdirSync(`/proc/${pid}/fd`).slice(0, MOST_DESCRIPTORS);
  } catch {
    return ends;
  }
  let all: ReadonlyMap<number, string> | null = null;
  for (const name of names) {
    try {
      const link = readlinkSync(`/proc/${pid}/fd/${name}`);
      const socket = /^socket:\[(\d+)\]$/.exec(link);
      if (socket !== null) {
        all ??= connections(pid);
        const remote = all.get(Number(socket[1]));
        if (remote !== undefined) ends.remotes.push(remote);
      } else if (link.endsWith("/ptmx")) {
        const number = /^tty-index:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${name}`, "latin1"));
        if (number !== null) ends.terminals.push(number[1]!);
      }
    } catch {
      // Closed meanwhile.
    }
  }
  return ends;
}

/** The connected internet sockets of a process's network namespace, by inode: `address:port` of the other end. */
function connections(pid: number): Map<number, string> {
  const found = new Map<number, string>();
  for (const table of ["tcp", "tcp6", "udp", "udp6"]) {
    try {
      for (const { inode, remote } of parseConnections(readFileSync(`/proc/${pid}/net/${table}`, "latin1")))
        found.set(inode, remote);
    } catch {
      // No such process any more, or no IPv6.
    }
  }
  return found;
}

/** Parses /proc/net/{tcp,udp}{,6}; sockets without another end, and lines that are not in their format, are left out. */
export function parseConnections(text: string): { inode: number; remote: string }[] {
  const found: { inode: number; remote: string }[] = [];
  for (const line of text.split("\n")) {
    const fields = line.trim().split(/\s+/);
    const remote = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(fields[2] ?? "");
    const inode = fields[9] ?? "";
    if (remote === null || remote[2] === "0000" || !/^[1-9]\d{0,14}$/.test(inode)) continue;
    // Each word of four bytes is in the processor's order.
    const bytes = Buffer.from(remote[1]!, "hex").swap32().toString("latin1") as Address;
    const address = formatAddress(bytes);
    const port = Number.parseInt(remote[2]!, 16);
    found.push({ inode: Number(inode), remote: address.includes(":") ? `[${address}]:${port}` : `${address}:${port}` });
  }
  return found;
}

/** Whether it is a folder, and no link to one. */
export function isFolder(path: string): boolean {
  try {
    return lstatSync(path).isDirectory();
  } catch {
    return false;
  }
}
