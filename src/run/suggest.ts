/**
 * A ready policy from what a monitored run contacted: named destinations by their names, the rest by address, refused ones left
 * out. One run is not much: `sallyport baseline` makes more of many, and holds back what looks like a way out.
 */
import { policyText } from "../baseline/policy-text.ts";
import type { Destination } from "./destinations.ts";

/** The policy's YAML text; sorted, so that two equal runs give the same text. */
export function suggestPolicy(rows: readonly Destination[]): string {
  const entries = new Map<string, { host: string; port: number; protocol: string; fold: null }>();
  for (const { name, ip, port, protocol, verdict, reason } of rows) {
    if (verdict === "deny" || port === null || reason === "closed" || !spoken.has(protocol)) continue;
    if (name === null && ip === null) continue;
    const host = name ?? `${ip}/${ip!.includes(":") ? 128 : 32}`;
    entries.set(`${host} ${protocol} ${String(port).padStart(5, "0")}`, { host, port, protocol, fold: null });
  }
  const sorted = [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
  const clause = { source: null, addresses: [], entries: sorted };
  return policyText([clause], { mode: "enforce", sources: [], isAlone: true, heading: null });
}

/** What a rule can allow by name; not what only an address could. */
const spoken: ReadonlySet<string> = new Set(["tls", "http", "ssh", "quic", "tcp", "udp"]);
