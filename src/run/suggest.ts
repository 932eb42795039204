/** A ready policy from what a monitored run contacted: named destinations by their names, the rest by address, refused ones left out. */
import type { Destination } from "./destinations.ts";

const usualPort: Readonly<Record<string, number>> = { tls: 443, http: 80, ssh: 22 };

/** The policy's YAML text; sorted, so that two equal runs give the same text. */
export function suggestPolicy(rows: readonly Destination[]): string {
  const endpoints = new Map<string, { to: string; protocol: string | null }>();
  for (const row of rows) {
    if (row.verdict === "deny" || row.port === null || row.reason === "closed") continue;
    const isNamed = row.name !== null;
    if (!isNamed && row.ip === null) continue;
    const protocol = protocolOf(row);
    if (protocol === null) continue;
    const usual = usualPort[protocol] === row.port;
    const host = isNamed ? row.name! : row.ip!.includes(":") ? `[${row.ip}/128]` : `${row.ip}/32`;
    const to = usual && row.port === 443 && isNamed ? host : `${host}:${row.port}`;
    endpoints.set(`${to} ${protocol}`, { to, protocol: usual ? null : protocol });
  }
  const lines = ["version: 1"];
  const sorted = [...endpoints.values()].toSorted((a, b) => a.to.localeCompare(b.to));
  const plain = sorted.filter((each) => each.protocol === null);
  if (endpoints.size > 0) lines.push("", "rules:");
  if (plain.length > 0) {
    lines.push("  - name: seen while monitoring", "    to:");
    for (const { to } of plain) lines.push(`      - ${quoted(to)}`);
  }
  const others = new Set(sorted.flatMap((each) => (each.protocol === null ? [] : [each.protocol])));
  for (const protocol of [...others].toSorted((a, b) => a.localeCompare(b))) {
    lines.push(`  - name: seen while monitoring (${protocol})`, `    protocol: ${protocol}`, "    to:");
    for (const each of sorted) if (each.protocol === protocol) lines.push(`      - ${quoted(each.to)}`);
  }
  lines.push("", "default:", "  mode: enforce", "");
  return lines.join("\n");
}

/** The protocol a rule would name; null for what no rule can allow by name (other IP protocols). */
function protocolOf(row: Destination): string | null {
  return ["tls", "http", "ssh", "quic", "tcp", "udp"].includes(row.protocol) ? row.protocol : null;
}

function quoted(text: string): string {
  return /^[A-Za-z0-9][A-Za-z0-9.:-]*$/.test(text) && !/:\s|:$/.test(text) ? text : JSON.stringify(text);
}
