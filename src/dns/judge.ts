/**
 * What enforcement would do with a query, decided without acting: the policed path acts on it, the monitored path
 * records it and lets the query pass. One judgement for both is what makes monitor mode's record a prediction. Pure.
 */
import { type Address, parseAddress } from "../address/ip.ts";
import type { Decision, Engine } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import { labelsOf, type WireName } from "../wire/dns/name.ts";
import { Rcode, Type } from "../wire/dns/types.ts";
import { isForwarded, type NotPlain, type PlainQuery, readQuery } from "./query.ts";

export type Judgement =
  /** Not answered at all: no header, or a response where a query belongs. */
  | { kind: "ignore" }
  /** `decision` is set where the policy itself refused. */
  | { kind: "refuse"; asked: NotPlain | PlainQuery; rcode: number; reason: Reason; decision: Decision | null }
  /** A reverse lookup answered from our own bindings. */
  | { kind: "reverse"; asked: PlainQuery; names: string[]; decision: Decision }
  /** `host`: whom the answer's addresses are for; the name asked for, or the host that it is an alias of. */
  | { kind: "forward"; asked: PlainQuery; host: string; decision: Decision };

export interface Judge {
  engine: Engine;
  source: Address;
  /** How a denied name is answered. */
  denyRcode: number;
  /** Names that an address was handed out for to this source. */
  namesOf: (address: Address) => string[];
  /** The host whose answer to this source led through this alias; null where none did. */
  aliasOf: (name: string) => string | null;
}

/** More names than this in one reverse answer help nobody. */
const maxReverseNames = 4;

/** Judges the bytes of one query. */
export function judge(context: Judge, bytes: Uint8Array): Judgement {
  const { engine, source } = context;
  const asked = readQuery(bytes);
  if (asked === null) return { kind: "ignore" };
  const refuse = (rcode: number, reason: Reason, decision: Decision | null = null): Judgement => ({
    kind: "refuse",
    asked,
    rcode,
    reason,
    decision,
  });
  if (!asked.plain) return refuse(asked.rcode, "query_malformed");
  const { type } = asked.question;
  if (type === Type.PTR) {
    // Reverse names are free text for whoever asks and lead to servers that anyone may run: they never go upstream.
    const address = reverseAddress(asked.name);
    const allowed = (address === null ? [] : context.namesOf(address))
      .map((name) => ({ name, decision: engine.dns({ source, name }) }))
      .filter(({ decision }) => decision.answer === "allow")
      .slice(0, maxReverseNames);
    const first = allowed[0];
    if (first === undefined) return refuse(Rcode.NXDOMAIN, "query_type");
    return { kind: "reverse", asked, names: allowed.map(({ name }) => name), decision: first.decision };
  }
  if (asked.host === null) {
    return isForwarded(type) ? refuse(context.denyRcode, "invalid_name") : refuse(Rcode.REFUSED, "query_type");
  }
  const { host, decision } = decided(context, asked.host);
  if (!decision.passes) return refuse(context.denyRcode, decision.reason, decision);
  // A name that would be refused is told as that, whatever its type: as enforcement tells it.
  if (!isForwarded(type)) return refuse(Rcode.REFUSED, decision.answer === "deny" ? decision.reason : "query_type");
  return { kind: "forward", asked, host, decision };
}

/** The decision on a name; one that no rule speaks of is allowed as the alias of an allowed host. A rule's denial stands. */
function decided({ engine, source, aliasOf }: Judge, name: string): { host: string; decision: Decision } {
  const decision = engine.dns({ source, name });
  if (decision.answer === "allow" || decision.rule !== null) return { host: name, decision };
  const host = aliasOf(name);
  const behind = host === null ? null : engine.dns({ source, name: host });
  return host !== null && behind?.answer === "allow" ? { host, decision: behind } : { host: name, decision };
}

/** The address of a reverse name under in-addr.arpa (RFC 1035 section 3.5) or ip6.arpa (RFC 3596); null for any other. */
export function reverseAddress(name: WireName): Address | null {
  const labels = labelsOf(name);
  const zone = labels.slice(-2).join(".");
  const parts = labels.slice(0, -2).toReversed();
  if (labels.at(-1) !== "arpa") return null;
  if (zone === "in-addr.arpa" && parts.length === 4) return parseAddress(parts.join("."));
  if (zone !== "ip6.arpa" || parts.length !== 32 || !parts.every((part) => /^[0-9a-f]$/.test(part))) return null;
  return parseAddress(parts.join("").replace(/(....)(?!$)/g, "$1:"));
}
