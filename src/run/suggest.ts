/**
 * A ready policy from what a monitored run contacted: named destinations by their names, the rest by address, refused ones left
 * out. One run is not much: `sallyport baseline` makes more of many, and holds back what looks like a way out.
 */
import { policyText } from "../baseline/policy-text.ts";
import { refusesEch } from "../policy/ech.ts";
import { comment } from "../translate/write.ts";
import type { Destination } from "./destinations.ts";

/** The policy's YAML text; sorted, so that two equal runs give the same text. */
export function suggestPolicy(rows: readonly Destination[]): string {
  const entries = new Map<string, { host: string; port: number; protocol: string; fold: null; ech: false }>();
  const sealed = new Set<string>();
  for (const { name, ip, port, protocol, verdict, reason, ech } of rows) {
    if (verdict === "deny" || port === null || reason === "closed" || !spoken.has(protocol)) continue;
    if (name === null && ip === null) continue;
    const host = name ?? `${ip}/${ip!.includes(":") ? 128 : 32}`;
    entries.set(`${host} ${protocol} ${String(port).padStart(5, "0")}`, {
      ...{ host, port, protocol, fold: null, ech: false },
    });
    const spokenAs = protocol === "quic" ? "quic" : "tls";
    if (ech && refusesEch(null, "name", spokenAs, name)) sealed.add(`${host}:${port}`);
  }
  const sorted = [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
  const clause = { source: null, addresses: [], entries: sorted };
  return policyText([clause], {
    mode: "enforce",
    sources: [],
    isAlone: true,
    heading: null,
    notes: sealedNotes([...sealed]),
  });
}

/** The names are allowed, but not hellos that could be meant for anybody else at their front: that is for a person to say. */
function sealedNotes(hosts: readonly string[]): string[] {
  return hosts
    .toSorted()
    .flatMap((host) =>
      comment(
        `${host}: hellos carried Encrypted Client Hello at a front that many tenants share, and this refuses them. Turn it off ` +
          "in the client, or give the name a rule of its own with ech: allow, which opens the front's other tenants too.",
      ),
    );
}

/** What a rule can allow by name; not what only an address could. */
const spoken: ReadonlySet<string> = new Set(["tls", "http", "ssh", "quic", "tcp", "udp"]);
