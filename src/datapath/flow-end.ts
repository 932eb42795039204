/**
 * A connection's end as an event. All of it but the kernel's counts is known when the connection begins, and written then, by the
 * thread that judged it: at the end there is only a number of bytes to add.
 */
import { formatAddress } from "../address/ip.ts";
import { bodyText } from "../audit/body.ts";
import type { EventBody } from "../audit/event.ts";
import type { Engine } from "../policy/decision.ts";
import type { EndedCounts, LiveFlow } from "./messages.ts";

/** The beginning of the event's text, under the rule that let the connection through; {@link flowEndText} ends it. */
export function flowEndBegun(flow: LiveFlow, engine: Engine): string {
  return bodyText({
    kind: "flow_end",
    verdict: flow.verdict,
    enforced: flow.verdict === "allow",
    rule: {
      name: flow.rule,
      tier: flow.tier,
      mode: flow.verdict === "allow" ? "enforce" : "monitor",
      policy: engine.hash,
    },
    ...endpoints(flow, engine),
  });
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
