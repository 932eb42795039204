/**
 * What the command sees as its resolver. Where the host's resolv.conf names a server on loopback (systemd-resolved,
 * dnsmasq), that address means the command's own namespace; the gateway's address takes its place. Any other server keeps
 * its address: the query is redirected on the way, and in monitor mode goes to that very server.
 */
import { readFileSync } from "node:fs";
import { parseAddress } from "../address/ip.ts";
import { canonicalName, isNameDefect } from "../address/name.ts";
import type { Binding } from "../flow/book.ts";

/** The resolv.conf for the command, or null when the host's can stay. */
export function resolvConfFor(text: string, gateway: string): string | null {
  let changed = false;
  let servers = 0;
  const lines = text.split("\n").map((line) => {
    const server = /^\s*nameserver\s+(\S+)/.exec(line)?.[1];
    if (server === undefined) return line;
    // glibc and musl read the keyword at the very start of a line, Go's resolver anywhere: replaced for both, counted where all read it.
    if (!/^\s/.test(line)) servers++;
    if (!server.startsWith("127.") && server !== "::1" && server !== "0.0.0.0" && server !== "::") return line;
    changed = true;
    return `nameserver ${gateway}`;
  });
  // Without a nameserver line resolvers ask 127.0.0.1 (resolv.conf(5)).
  if (servers === 0) lines.push(`nameserver ${gateway}`);
  return changed || servers === 0 ? `${[...new Set(lines)].join("\n")}\n` : null;
}

/**
 * The names in /etc/hosts: the command resolves them without asking anybody, so their addresses are bound from the start.
 * The file is root's; a job that can write it has the host.
 */
export function bindingsFromHosts(text: string): Binding[] {
  const bindings: Binding[] = [];
  for (const line of text.split("\n")) {
    const [addressText, ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    const address = parseAddress(addressText ?? "");
    if (address === null) continue;
    for (const each of names) {
      const name = canonicalName(each);
      if (!isNameDefect(name)) bindings.push({ name, address, expires: Number.POSITIVE_INFINITY, source: null });
    }
  }
  return bindings;
}

/** A file's text, or nothing where it cannot be read. */
export function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
