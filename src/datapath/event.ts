/** A flow engine's report as an event of the record. */
import { formatAddress } from "../address/ip.ts";
import type { EventBody, EventProcess } from "../audit/event.ts";
import type { FlowReport } from "../flow/effects.ts";
import type { Decision, Engine } from "../policy/decision.ts";

/** Names of an address shown in one event; a shared CDN address can have hundreds. */
const mostNames = 8;

export function ruleOf(decision: Decision): NonNullable<EventBody["rule"]> {
  return {
    name: decision.rule?.name ?? null,
    tier: decision.tier,
    mode: decision.rule?.mode ?? (decision.enforced ? "enforce" : "monitor"),
    policy: decision.policy,
  };
}

export function connectionEvent(report: FlowReport, engine: Engine): EventBody {
  const { decision, application, name, names, hello } = report;
  const event: EventBody = {
    kind: "connection",
    verdict: decision.verdict,
    enforced: decision.enforced,
    reason: decision.reason,
    stage: decision.stage,
    rule: ruleOf(decision),
    source: {
      ip: formatAddress(report.source),
      ...(report.sourcePort === 0 ? {} : { port: report.sourcePort }),
      group: engine.group(report.source),
    },
    destination: {
      name: name ?? names[0] ?? null,
      name_from: name !== null ? (application === "http" ? "host" : "sni") : names.length > 0 ? "dns" : "none",
      ip: formatAddress(report.destination),
      ...(report.destinationPort === 0 ? {} : { port: report.destinationPort }),
      protocol: application !== null && application !== "other" ? application : report.transport,
      ...(names.length > 0 ? { names_of_ip: names.slice(0, mostNames) } : {}),
    },
  };
  // What `attribution.ts` found it by; nobody else makes owners.
  const process = report.owner?.detail as EventProcess | null | undefined;
  if (process !== null && process !== undefined) event.process = process;
  if (report.speaks !== null) event.data = { speaks: report.speaks };
  if (decision.monitored.length > 0) event.monitored = decision.monitored.map((rule) => rule.name);
  if (hello !== null) {
    event.tls = {
      version: hello.version,
      alpn: [...hello.alpn],
      ech: hello.ech,
      ja4: hello.ja4,
      hello_bytes: hello.bytes,
      hello_segments: hello.segments,
    };
  }
  return event;
}
