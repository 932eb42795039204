/**
 * One event for each query (`docs/events.md`, kind `dns`). Pure: facts in, event body out.
 */
import { formatAddress } from "../address/ip.ts";
import type { EventBody } from "../audit/event.ts";
import type { Decision, Engine } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import { foldCase, formatName } from "../wire/dns/name.ts";
import { type ResourceRecord, rcodeName, SvcKey, typeName } from "../wire/dns/types.ts";
import { admit } from "./answer.ts";
import type { NotPlain, PlainQuery } from "./query.ts";
import type { Client } from "./types.ts";

/** Answers listed in one event. */
const maxListed = 32;

export interface Observation {
  engine: Engine;
  client: Client;
  /** Null where the bytes could not be read. */
  asked: NotPlain | PlainQuery | null;
  verdict: "allow" | "deny" | "would_deny";
  reason: Reason;
  /** Null where no rule was asked (malformed, type, limit, budget, address). */
  decision: Decision | null;
  /** Absent where no answer was given. */
  rcode?: number;
  /** The answer's records, the alias chain included. */
  records?: readonly ResourceRecord[];
  ttl?: number;
  /** Milliseconds from query to answer. */
  duration: number;
}

export function dnsEvent(seen: Observation): EventBody {
  const { engine, client, asked, decision } = seen;
  const question = asked?.question ?? null;
  const { name, whole } = shownName(asked);
  const { server } = client;
  // Members one after the other, not by spreading what there is: this is a tenth of what an answer costs.
  const from = name === null ? "none" : "dns";
  const destination: NonNullable<EventBody["destination"]> =
    server === null
      ? { name, name_from: from, protocol: "dns" }
      : { name, name_from: from, ip: server.address, port: server.port, protocol: "dns" };
  const dns: NonNullable<EventBody["dns"]> = { qtype: question === null ? "none" : typeName(question.type) };
  if (server !== null) dns.server = serverText(server);
  if (seen.rcode !== undefined) dns.rcode = rcodeName(seen.rcode);
  if (seen.records !== undefined) dns.answers = seen.records.flatMap(answerTexts).slice(0, maxListed);
  if (seen.ttl !== undefined) dns.ttl = seen.ttl;
  const event: EventBody = {
    kind: "dns",
    verdict: seen.verdict,
    enforced: seen.verdict !== "would_deny",
    reason: seen.reason,
    stage: "dns",
    rule: {
      name: decision?.rule?.name ?? null,
      tier: decision?.tier ?? 3,
      mode: decision?.rule?.mode ?? (engine.enforcedFor(client.source) ? "enforce" : "monitor"),
      policy: engine.hash,
    },
    source: {
      ip: formatAddress(client.source),
      port: client.endpoint.port,
      group: engine.group(client.source),
    },
    destination,
    dns,
    duration_ms: Math.max(0, seen.duration),
  };
  if (decision !== null && decision.monitored.length > 0) event.monitored = decision.monitored.map((rule) => rule.name);
  if (client.process !== undefined) event.process = client.process;
  if (whole !== undefined) event.data = { question: whole };
  return event;
}

/** The name that was judged, and the whole question where that was only a part of it. */
function shownName(asked: Observation["asked"]): { name: string | null; whole?: string } {
  if (asked === null || asked.question === null) return { name: null };
  const host = asked.plain ? asked.host : null;
  // A host's labels are text as they are: in the message each has a byte before it, and the root's is the last.
  if (host !== null && asked.question.name.length === host.length + 2) return { name: host };
  const whole = formatName(foldCase(asked.question.name));
  return host === null ? { name: whole } : { name: host, whole };
}

function serverText(server: { address: string; port: number }): string {
  const host = server.address.includes(":") ? `[${server.address}]` : server.address;
  return `${host}:${server.port}`;
}

/** Addresses and names of a record; text and unknown data are not copied into the record. */
function answerTexts(record: ResourceRecord): string[] {
  const { data } = record;
  switch (data.kind) {
    case "address":
      return [formatAddress(data.address)];
    case "name":
      return [formatName(data.target)];
    case "mx":
      return [formatName(data.exchange)];
    case "srv":
      return [`${formatName(data.target)}:${data.port}`];
    case "svcb": {
      const hints = data.params.filter(({ key }) => key === SvcKey.ipv4hint || key === SvcKey.ipv6hint);
      const { addresses } = admit([{ ...record, data: { ...data, params: hints } }], () => true);
      return [formatName(data.target), ...addresses.map(formatAddress)];
    }
    case "soa":
    case "txt":
    case "opaque":
      return [];
    default:
      return data satisfies never;
  }
}
