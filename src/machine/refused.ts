/** What was refused, a destination at a time: several processes and steps that wanted the same for the same reason are one. */
import type { JobRow } from "./job-rows.ts";

export interface Refused {
  verdict: "deny" | "would_deny";
  reason: string;
  /** Null: the default. */
  rule: string | null;
  /** Name or address; null: all beyond what the report lists. */
  host: string | null;
  port: number | null;
  protocol: string;
  count: number;
  /** Who wanted it, most first. */
  rows: JobRow[];
}

/** In the order of the rows, which has what was refused first. */
export function refusedOf(rows: readonly JobRow[]): Refused[] {
  const found = new Map<string, Refused>();
  for (const row of rows) {
    const { verdict, reason, rule, name, ip, port, protocol, count } = row;
    if (verdict === "allow") continue;
    const host = name ?? ip;
    const key = [verdict, reason, rule, host, port, protocol].join("\0");
    const known = found.get(key);
    if (known === undefined) found.set(key, { verdict, reason, rule, host, port, protocol, count, rows: [row] });
    else {
      known.count += count;
      known.rows.push(row);
    }
  }
  for (const each of found.values()) each.rows.sort((a, b) => b.count - a.count);
  return [...found.values()];
}

/** The questions for names that a connection of the same verdict followed say nothing that it does not say better. */
export function withoutAsked(rows: readonly JobRow[]): JobRow[] {
  const who = ({ name, verdict, process }: JobRow) => [name, verdict, process?.step_number].join("\0");
  const connected = new Set(rows.filter(({ protocol }) => protocol !== "dns").map(who));
  return rows.filter((row) => row.protocol !== "dns" || !connected.has(who(row)));
}

/** What decided, in a few words. */
export function whyOf({ rule, reason }: Pick<Refused, "rule" | "reason">): string {
  if (rule !== null) return `rule “${rule}”${reason === "rule" ? "" : `, ${reason}`}`;
  return reason === "default" ? "no rule allows it" : reason;
}

/** `host:port`, as it is written. */
export function placeOf({ host, port }: Pick<Refused, "host" | "port">): string {
  if (host === null) return "other destinations";
  if (port === null) return host;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
