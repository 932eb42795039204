/**
 * Datagrams that the kernel could not put together from their fragments, and dropped before a queue or a rule saw them:
 * connection tracking reassembles first. Called by the enforcer.
 */
import { readFileSync } from "node:fs";

export interface ReassemblyFailures {
  /** Datagrams given up, for whatever reason. */
  failed: number;
  /** Those of them whose time was up with fragments still missing: IPv4 30 s, IPv6 60 s. */
  timedOut: number;
}

/**
 * By IP family, in this thread's network namespace since it was made, whichever side they came from: fragments were missing,
 * there were too many to keep, or, IPv4 alone, they overlapped. Overlapping fragments of IPv6 (RFC 5722) the kernel drops
 * without counting them.
 */
export function reassemblyFailures(): Map<4 | 6, ReassemblyFailures> {
  const failures = new Map<4 | 6, ReassemblyFailures>();
  for (const [family, file] of [
    [4, "snmp"],
    [6, "snmp6"],
  ] as const) {
    const found = parseReassemblyFailures(textOf(`/proc/thread-self/net/${file}`));
    if (found !== null) failures.set(family, found);
  }
  return failures;
}

/**
 * Parses /proc/net/snmp, where a line of names stands before the line of their values, or /proc/net/snmp6, which has a line
 * for each. Null where the counts are not there.
 */
export function parseReassemblyFailures(text: string): ReassemblyFailures | null {
  const values = new Map<string, string>();
  let names: string[] = [];
  for (const line of text.split("\n")) {
    const fields = line.trim().split(/\s+/);
    if (fields[0]?.startsWith("Ip6Reasm") === true) values.set(fields[0].slice(3), fields[1] ?? "");
    if (fields[0] !== "Ip:") continue;
    for (const [i, name] of names.entries()) if (i > 0) values.set(name, fields[i] ?? "");
    names = fields;
  }
  const [failed, timedOut] = ["ReasmFails", "ReasmTimeout"].map((name) => {
    const value = values.get(name) ?? "";
    return /^\d{1,20}$/.test(value) ? Number(value) : null;
  }) as [number | null, number | null];
  return failed === null || timedOut === null ? null : { failed, timedOut };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    // A kernel without IPv6.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
