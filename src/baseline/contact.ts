/**
 * What of a recorded event can be asked of a policy again: the flow's facts as the engine saw them, rebuilt from the event and
 * from nothing else. Events come from files, so every member is checked; what is no flow gives null.
 */
import { parseTime } from "../audit/clock.ts";
import type { Event, EventBody } from "../audit/event.ts";
import { parseAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import { canonicalName, isNameDefect } from "../address/name.ts";
import { specialClass } from "../address/special.ts";
import type { Application, NameFacts, Transport } from "../policy/decision.ts";
import { reasonTexts, type Reason } from "../policy/reason.ts";
import { isCidrDefect, parseCidr } from "../address/cidr.ts";
import { isGoodName } from "../policy/resolve.ts";
import type { Memory, Told } from "./memory.ts";

/** One recorded connection, or many alike. */
export interface Contact {
  facts: NameFacts;
  /** As events and rules name it; `other` for what is neither TCP, UDP nor ICMP. */
  protocol: NonNullable<EventBody["destination"]>["protocol"];
  /** The name it is known by, shown or from DNS; null: a bare address. */
  name: string | null;
  /** The recorded group of its source; null: none. */
  group: string | null;
  verdict: "allow" | "deny" | "would_deny";
  reason: Reason;
  rule: string | null;
  /** The default refuses for this source, as far as the event shows it. */
  enforced: boolean;
  count: number;
  /** RFC 3339, as recorded. */
  first: string;
  last: string;
}

/** `names_of_ip` lists at most this many names. */
const mostNames = 8;

const applications: Readonly<Record<string, readonly [Transport, Application]>> = {
  tls: ["tcp", "tls"],
  http: ["tcp", "http"],
  ssh: ["tcp", "ssh"],
  tcp: ["tcp", "other"],
  quic: ["udp", "quic"],
  udp: ["udp", "other"],
  icmp: ["icmp", "other"],
  other: ["other", "other"],
};

/** The contact that an event of kind `connection` records; null where it is none, or says too little (counted floods do). */
export function contactOf(event: Event, memory: Memory): Contact | null {
  const { kind, source, destination, verdict } = event;
  if (kind !== "connection" || !isVerdict(verdict) || typeof destination !== "object" || destination === null)
    return null;
  const from = addressOf(source?.ip);
  const to = addressOf(destination.ip);
  const spoken = Object.hasOwn(applications, destination.protocol) ? applications[destination.protocol]! : null;
  if (from === null || to === null || spoken === null) return null;
  const [transport, application] = spoken;
  const hasPorts = transport === "tcp" || transport === "udp";
  const port = hasPorts ? destination.port : 0;
  // No rule can name another.
  if (port === undefined || !Number.isInteger(port) || port < (hasPorts ? 1 : 0) || port > 65_535) return null;
  const reason = reasonOf(event.reason);
  const name = nameOf(destination.name);
  const isShown = name !== null && (destination.name_from === "sni" || destination.name_from === "host");
  const told = event.count === undefined ? inFull(event) : memory.told(event);
  // Whether the name shown belongs to the address is then not known: better nothing than a guess.
  if (told === null && isShown) return null;
  const bound = new Set(
    listOf(told?.names)
      .map(nameOf)
      .filter((each) => each !== null),
  );
  if (name !== null && (!isShown || isVouched(event, bound, memory))) bound.add(name);
  return {
    facts: {
      source: from,
      process: null,
      destination: to,
      // Recorded only by its reason: an ordinary address that was called private is one of the gateway's own.
      local: reason === "private_address" && specialClass(to) === null,
      transport,
      port,
      names: [...bound],
      application,
      name: isShown ? name : null,
      ech: told?.ech === true,
    },
    protocol: destination.protocol,
    name,
    // A policy may not name a source like an address either: `from` would mean two things.
    group: typeof source?.group === "string" && isGroupName(source.group) ? source.group : null,
    verdict,
    reason,
    rule: typeof event.rule?.name === "string" ? event.rule.name : null,
    enforced: event.rule?.tier === 3 && event.rule.mode === "enforce",
    count: Number.isInteger(event.count) && event.count! > 0 ? event.count! : 1,
    first: timeOf(event.first) ?? event.time,
    last: timeOf(event.last) ?? event.time,
  };
}

function inFull({ destination, tls }: Event): Told {
  return { names: destination?.names_of_ip, ech: tls?.ech === true };
}

function isVerdict(verdict: unknown): verdict is Contact["verdict"] {
  return verdict === "allow" || verdict === "deny" || verdict === "would_deny";
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function timeOf(value: unknown): string | null {
  return typeof value === "string" && parseTime(value) !== null ? value : null;
}

/** A name shown that is not in the list of the address's names can still have been answered with it. */
function isVouched(event: Event, bound: ReadonlySet<string>, memory: Memory): boolean {
  if (bound.size < mostNames || event.reason === "name_mismatch") return false;
  const isAllowed = event.verdict === "allow" && event.reason === "rule";
  return isAllowed || memory.lookedUp(event.source!.ip, event.destination!.name!);
}

function addressOf(text: unknown): Address | null {
  return typeof text === "string" ? parseAddress(text) : null;
}

function nameOf(text: unknown): string | null {
  if (typeof text !== "string") return null;
  const name = canonicalName(text);
  return isNameDefect(name) ? null : name;
}

function isGroupName(name: string): boolean {
  return isGoodName(name) && isCidrDefect(parseCidr(name));
}

function reasonOf(reason: unknown): Reason {
  return typeof reason === "string" && Object.hasOwn(reasonTexts, reason) ? (reason as Reason) : "default";
}
