/** Events that the enforcer makes itself: a connection's end, and a connection ended by a new policy. */
import { formatAddress } from "../address/ip.ts";
import type { EventBody } from "../audit/event.ts";
import type { EndedFlow, LiveFlow } from "../datapath/messages.ts";
import type { Engine } from "../policy/decision.ts";

/** The kernel's count of a finished connection, under the rule that let it through. */
export function flowEndEvent(flow: LiveFlow, ended: EndedFlow, now: number, engine: Engine): EventBody {
  return {
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
    bytes: { up: ended.bytesUp, down: ended.bytesDown },
    packets: { up: ended.packetsUp, down: ended.packetsDown },
    duration_ms: Math.max(0, now - flow.since),
  };
}

/** A live connection that the policy now in force refuses. */
export function policyChangedEvent(flow: LiveFlow, engine: Engine): EventBody {
  return {
    kind: "connection",
    verdict: "deny",
    enforced: true,
    reason: "policy_changed",
    stage: flow.application === null ? "connect" : "name",
    rule: { name: null, tier: 3, mode: "enforce", policy: engine.hash },
    ...endpoints(flow, engine),
  };
}

function endpoints(flow: LiveFlow, engine: Engine): Pick<EventBody, "source" | "destination"> {
  const shown = flow.name !== null;
  return {
    source: { ip: formatAddress(flow.source), port: flow.sourcePort, group: engine.group(flow.source) },
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
