/** A flow engine's report as an event of the record, and as what else the main thread is told of it. */
import { formatAddress } from "../address/ip.ts";
import type { EventBody, EventProcess } from "../audit/event.ts";
import type { FlowReport } from "../flow/effects.ts";
import type { Decision, Engine } from "../policy/decision.ts";
import type { LiveFlow, ShownName } from "./messages.ts";

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
  const process = processOf(report.owner);
  if (process !== null) event.process = process;
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

/** What `attribution.ts` found it by; nobody else makes owners. */
function processOf(owner: FlowReport["owner"]): EventProcess | null {
  return (owner?.detail as EventProcess | null | undefined) ?? null;
}

/** For the detections. Only where a name was shown. */
export function judgedName({ source, name, application, decision, owner }: FlowReport): ShownName {
  return {
    source,
    name: name ?? "",
    channel: application === "http" ? "host" : "sni",
    outcome: decision.verdict === "allow" ? "passed" : "denied",
    process: processOf(owner),
  };
}

/** For the ledger of live flows; `enforced`: its source was when it began. `now` in milliseconds since the epoch. */
export function liveFlow(report: FlowReport, enforced: boolean, now: number): LiveFlow {
  return {
    source: report.source,
    sourcePort: report.sourcePort,
    destination: report.destination,
    destinationPort: report.destinationPort,
    transport: report.transport,
    protocol: report.protocol,
    local: report.local,
    process: report.owner?.process ?? null,
    who: processOf(report.owner),
    application: report.application,
    name: report.name,
    names: report.names,
    ech: report.hello?.ech ?? false,
    begunEnforced: enforced,
    verdict: report.decision.verdict === "allow" ? "allow" : "would_deny",
    rule: report.decision.rule?.name ?? null,
    monitored: report.decision.monitored.map((rule) => rule.name),
    tier: report.decision.tier,
    since: now,
  };
}
