/** The resolvers to ask: those named on the command line, or those the host uses itself. */
import { readFileSync } from "node:fs";
import { formatAddress, parseAddress } from "../address/ip.ts";
import { SallyportError } from "../errors.ts";

export interface Resolver {
  address: string;
  port: number;
}

/** Parses `ADDRESS`, `ADDRESS:PORT` or `[V6]:PORT`; throws USAGE. */
export function parseResolver(text: string): Resolver {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  const plain = bracketed ?? (/^[^:]*:\d+$/.test(text) ? /^([^:]+):(\d+)$/.exec(text) : [text, text, undefined]);
  const address = parseAddress(plain?.[1] ?? "");
  const port = plain?.[2] === undefined ? 53 : Number(plain[2]);
  if (address === null || port < 1 || port > 65535) {
    throw new SallyportError("USAGE", `"${text}" is not a DNS server; write ADDRESS, ADDRESS:PORT or [IPV6]:PORT.`);
  }
  return { address: formatAddress(address), port };
}

/**
 * The host's resolvers from resolv.conf (resolv.conf(5); at most three, zone suffixes are not usable here). Throws USAGE
 * when there is none.
 */
export function systemResolvers(file = "/etc/resolv.conf"): Resolver[] {
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch {
    // Reported below: no file and no line come to the same.
  }
  const resolvers: Resolver[] = [];
  for (const line of text.split("\n")) {
    const server = /^\s*nameserver\s+(\S+)/.exec(line)?.[1];
    const address = server === undefined ? null : parseAddress(server);
    if (address !== null && resolvers.length < 3) resolvers.push({ address: formatAddress(address), port: 53 });
  }
  if (resolvers.length === 0) {
    throw new SallyportError(
      "USAGE",
      `No DNS server: ${file} names none that can be used. Say one with --dns ADDRESS.`,
    );
  }
  return resolvers;
}
