/**
 * Raw and ping sockets by the kernel's text (/proc/net/raw, icmp): many kernels cannot be asked for them otherwise. They have no
 * tuple; what they have is a protocol, or an ICMP identifier. Called by the process room.
 */
import { readFileSync } from "node:fs";

export interface RawSocket {
  /** The protocol of a raw socket; the identifier of a ping socket. */
  number: number;
  uid: number;
  inode: number;
}

/** `raw`: by IP protocol. `icmp`: ping sockets, by identifier. */
export type RawTable = "raw" | "raw6" | "icmp" | "icmp6";

/** A table of the network namespace that process `pid` is in; `self` for this thread's. Empty where there is none. */
export function rawSockets(table: RawTable, pid: number | "self"): RawSocket[] {
  try {
    return parseRawSockets(readFileSync(`/proc/${pid === "self" ? "thread-self" : pid}/net/${table}`, "latin1"));
  } catch {
    // No such process any more, or no such protocol in this kernel.
    return [];
  }
}

/** Parses /proc/net/raw and its likes; lines that are not in their format are left out. */
export function parseRawSockets(text: string): RawSocket[] {
  const sockets: RawSocket[] = [];
  for (const line of text.split("\n")) {
    const fields = line.trim().split(/\s+/);
    const number = /^(?:[0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(fields[1] ?? "");
    const [uid, inode] = [fields[7] ?? "", fields[9] ?? ""];
    if (number === null || !/^\d{1,10}$/.test(uid) || !/^\d{1,15}$/.test(inode)) continue;
    sockets.push({ number: Number.parseInt(number[1]!, 16), uid: Number(uid), inode: Number(inode) });
  }
  return sockets;
}
