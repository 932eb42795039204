/**
 * Rules that would let through what was refused, to be read and pasted: the same text that a baseline would propose. What looks
 * like a way out, or cannot be allowed by its name, is not proposed; it is named with the reason, for a person to decide.
 */
import { specialClass } from "../address/special.ts";
import { shownName } from "./cells.ts";
import { parseAddress } from "../address/ip.ts";
import { type Doubt, doubtText } from "../baseline/doubt.ts";
import { refusesEch } from "../policy/ech.ts";
import { entryFor, sinks } from "../policy/sinks.ts";
import { yamlText } from "../policy/wording.ts";
import { suggestPolicy } from "../run/suggest.ts";
import type { Destination } from "../run/destinations.ts";
import type { JobRow } from "../machine/job-rows.ts";

export interface Advice {
  /** YAML of a policy with these rules; null where none of them is a matter of a missing rule. */
  policy: string | null;
  /** The same, only the list below `rules:`, for a policy that exists. */
  rules: string | null;
  /** Not proposed, and why. */
  held: { host: string; why: string }[];
}

/** `rows`: what was or would be refused; `run`: where it was seen, in words, for the rules' reason. */
export function adviceOn(rows: readonly JobRow[], run: string): Advice {
  const held = new Map<string, string>();
  const wanted: Destination[] = [];
  const steps = new Set<string>();
  const connected = new Set(rows.filter(({ protocol }) => protocol !== "dns").map(({ name }) => name));
  for (const row of rows) {
    const { rule, name, ip, protocol } = row;
    const host = name ?? ip;
    // Where a connection followed, it says which port and protocol were meant.
    if (host === null || (protocol === "dns" && connected.has(name))) continue;
    const why = rule === null ? doubtOf(row) : `the rule “${rule}” decides it`;
    if (why === null) {
      wanted.push(destinationOf(row));
      steps.add(row.process?.step ?? "no known step");
    } else {
      const shown = shownName(host);
      held.set(shown, held.get(shown) ?? why);
    }
  }
  const reason = `    reason: ${yamlText(`for ${listed(steps)}`)}`;
  const policy =
    wanted.length === 0
      ? null
      : suggestPolicy(wanted).replaceAll(/^ {2}- name: "?seen while monitoring(.*?)"?$/gm, (_, kind: string) => {
          // Rules of two runs stand beside each other in one file, and no two have one name.
          return `  - name: ${yamlText(`seen in ${run}${kind}`)}\n${reason}`;
        });
  const rules = policy === null ? null : (/^rules:\n([\s\S]*?)\n\ndefault:/m.exec(policy)?.[1] ?? null);
  return { policy, rules, held: [...held].map(([host, why]) => ({ host, why })) };
}

function listed(steps: ReadonlySet<string>): string {
  const shown = [...steps].slice(0, 5).join(", ");
  return steps.size > 5 ? `${shown} and ${steps.size - 5} more` : shown;
}

function doubtOf(row: JobRow): string | null {
  const { name, ip, reason, ech, protocol } = row;
  const said = (doubt: Doubt) => doubtText(doubt);
  if (reason !== "default" && reason !== "no_name") return said(reason as Doubt);
  const address = ip === null ? null : parseAddress(ip);
  if (address !== null && specialClass(address) !== null) return said("private_address");
  if (name === null) return said("no_name");
  if (shownName(name) !== name) return "a label of it looks like data; the report has it whole";
  if (ech && refusesEch(null, "name", protocol === "quic" ? "quic" : "tls", name)) return said("ech");
  return entryFor(sinks, name) === null ? null : said("known_sink");
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
    ech: row.ech,
  };
}
