/**
 * A connection's end as an event. All of it but the kernel's counts is known when the connection begins, and most is the same for
 * many connections: that is written once, by the thread that judged the first of them, and only numbers are added at the end.
 */
import { formatAddress } from "../address/ip.ts";
import { bodyText } from "../audit/body.ts";
import type { EventBody } from "../audit/event.ts";
import type { Engine } from "../policy/decision.ts";
import type { EndedCounts, FlowTuple, LiveFlow } from "./messages.ts";

/** The event's text up to its counts, cut where the two ends of the connection stand: what all flows of a kind have in common. */
export type EndParts = readonly [string, string, string];

/** Of the rule that let the connection through. */
export function flowEndParts(flow: LiveFlow, engine: Engine): EndParts {
  const { source, process, destination } = endpoints(flow, engine);
  const { name, name_from, protocol } = destination!;
  const begun = bodyText({
    kind: "flow_end",
    verdict: flow.verdict,
    enforced: flow.verdict === "allow",
    rule: {
      name: flow.rule,
      tier: flow.tier,
      mode: flow.verdict === "allow" ? "enforce" : "monitor",
      policy: engine.hash,
    },
  });
  const who = process === undefined ? "" : `,"process":${JSON.stringify(process)}`;
  const named = `"name":${JSON.stringify(name)},"name_from":${JSON.stringify(name_from)}`;
  return [
    `${begun},"source":{"ip":"`,
    `,"group":${JSON.stringify(source!.group)}}${who},"destination":{${named},"ip":"`,
    `,"protocol":${JSON.stringify(protocol)}}`,
  ];
}

/** The beginning of the event's text, as `bodyText` writes it; {@link flowEndText} ends it. */
export function flowEndBegun(parts: EndParts, flow: FlowTuple): string {
  const { source, sourcePort, destination, destinationPort } = flow;
  const from = `${formatAddress(source)}","port":${sourcePort}`;
  return `${parts[0]}${from}${parts[1]}${formatAddress(destination)}","port":${destinationPort}${parts[2]}`;
}

/** The event's text (`bodyText`), with the kernel's count; `duration` in milliseconds. */
export function flowEndText(begun: string, ended: EndedCounts, duration: number): string {
  const { bytesUp, bytesDown, packetsUp, packetsDown } = ended;
  return `${begun},"bytes":{"up":${bytesUp},"down":${bytesDown}},"packets":{"up":${packetsUp},"down":${packetsDown}},"duration_ms":${Math.max(0, duration)}`;
}

/** Whose a live connection is and where it goes, as events of it say. */
export function endpoints(flow: LiveFlow, engine: Engine): Pick<EventBody, "source" | "process" | "destination"> {
  const shown = flow.name !== null;
  return {
    source: { ip: formatAddress(flow.source), port: flow.sourcePort, group: engine.group(flow.source) },
    ...(flow.who === null ? {} : { process: flow.who }),
    destination: {
      name: flow.name ?? flow.names[0] ?? null,
      name_from: shown ? (flow.application === "http" ? "host" : "sni") : flow.names.length > 0 ? "dns" : "none",
      ip: formatAddress(flow.destination),
      port: flow.destinationPort,
      protocol: protocolOf(flow),
    },
  };
}

/** The protocol as people name it: what the bytes showed, or the transport. */
export function protocolOf(
  flow: Pick<LiveFlow, "application" | "transport">,
): NonNullable<EventBody["destination"]>["protocol"] {
  return flow.application !== null && flow.application !== "other" ? flow.application : flow.transport;
}
