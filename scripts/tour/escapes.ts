/** The attempts to get out, held against the record: what each was, what the program saw, and which event it made. */
import { cidrContains, isCidrDefect, parseCidr } from "../../src/address/cidr.ts";
import { parseAddress } from "../../src/address/ip.ts";
import type { Event } from "../../src/audit/event.ts";
import { routes } from "../../src/kernel/interfaces.ts";
import type { Reason } from "../../src/policy/reason.ts";

/** One attempt, judged. */
export interface Escape {
  what: string;
  /** Why it does not count as refused; null where it was refused and recorded. */
  failed: string | null;
  reason: Reason | null;
  /** For the table: attempt, what the program saw, verdict, rule, reason. */
  row: string[];
}

interface Shown {
  kind: string;
  name: string | null;
  ip: string | undefined;
  port: number | undefined;
  protocol: string;
}

/** What each attempt is, and how its event is known. */
const stories: Record<string, { what: string; isIts: (event: Shown, target: string) => boolean }> = {
  "raw-ip": { what: "connect to a bare address", isIts: (event, target) => event.ip === target && event.port === 443 },
  "unknown-host": { what: "look up an unknown host", isIts: (event) => event.name === "collector.example" },
  "spoofed-sni": {
    what: "show the allowed name at another address",
    isIts: (event, target) => event.ip === target && event.port === 443,
  },
  "dns-label": { what: "hide data in a DNS label", isIts: isExfil },
  "own-resolver": { what: "ask a resolver of one's own", isIts: isExfil },
  ipv6: { what: "go by IPv6", isIts: (event) => event.ip === "2001:db8:bad::1" },
  udp: { what: "send a UDP datagram", isIts: (event, target) => event.ip === target && event.protocol === "udp" },
};

/** Judges the attempts by the program's own lines and by the record. Every story must have been tried. */
export function judge(output: string, events: readonly Event[], target: string): Escape[] {
  const tried = new Map(
    output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { attempt: string; seen: string; ms: number })
      .map((each) => [each.attempt, each]),
  );
  return Object.entries(stories).map(([attempt, { what, isIts }]) => {
    const made = tried.get(attempt);
    const event = events.find((each) => isIts(shown(each), target));
    let failed: string | null = null;
    if (made === undefined) failed = "was not tried";
    else if (made.seen === "CONNECTED" || made.seen === "ANSWERED") failed = "got through";
    else if (event === undefined) failed = "left no event";
    else if (event.verdict !== "deny" || event.enforced !== true) failed = `was recorded as ${event.verdict}`;
    return {
      what,
      failed,
      reason: event?.reason ?? null,
      row: [
        what,
        `${made?.seen} (${made?.ms} ms)`,
        event?.verdict ?? "-",
        event?.rule?.name ?? "default (tier 3)",
        event?.reason ?? "-",
      ],
    };
  });
}

/**
 * A documentation address (RFC 5737) outside the host's own networks and not one of `contacted`, for labs use these ranges
 * themselves; null where there is none.
 */
export function documentationAddress(contacted: readonly string[]): string | null {
  const own = routes().flatMap(({ destination }) => {
    const cidr = parseCidr(destination);
    return isCidrDefect(cidr) ? [] : [cidr];
  });
  const candidates = ["198.51.100.66", "203.0.113.166", "192.0.2.166"];
  const isFree = (text: string) =>
    !contacted.includes(text) && !own.some((cidr) => cidrContains(cidr, parseAddress(text)!));
  return candidates.find(isFree) ?? null;
}

function shown({ kind, destination }: Event): Shown {
  return {
    kind,
    name: destination?.name ?? null,
    ip: destination?.ip,
    port: destination?.port,
    protocol: destination?.protocol ?? "",
  };
}

function isExfil(event: Shown): boolean {
  return event.kind === "dns" && event.name?.endsWith(".exfil.example") === true;
}
