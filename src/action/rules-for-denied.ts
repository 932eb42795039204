/** Rules that would let refused connections through, to be read and pasted: the same text that a baseline would propose. */
import { suggestPolicy } from "../run/suggest.ts";
import type { Destination } from "../run/destinations.ts";
import type { JobRow } from "../machine/job-rows.ts";

/** Reasons for which a rule that names the destination would help. */
const helped: ReadonlySet<string> = new Set(["default", "no_name", "not_protocol", "private_address"]);

/** YAML of a policy with these rules; null where none of them is a matter of a missing rule. */
export function rulesFor(rows: readonly JobRow[]): string | null {
  const wanted = rows.filter(({ rule, reason }) => rule === null && helped.has(reason)).map(destinationOf);
  if (wanted.length === 0) return null;
  return suggestPolicy(wanted);
}

function destinationOf(row: JobRow): Destination {
  // Where the name was refused, nobody got as far as a port: nearly always it would have been TLS.
  const isName = row.protocol === "dns";
  return {
    name: row.name,
    ip: row.ip,
    port: isName ? 443 : row.port,
    protocol: isName ? "tls" : row.protocol,
    verdict: "would_deny",
    enforced: true,
    rule: null,
    tier: 3,
    reason: row.reason,
    connections: row.count,
    bytes_up: 0,
    bytes_down: 0,
    ech: false,
  };
}
