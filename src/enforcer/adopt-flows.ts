/**
 * A connection that the kernel forwards and this process did not see begin: a former process of ours let it through. What is
 * known of it are its addresses and the names bound to them; by that it is judged (threat T8).
 */
import type { LiveFlow } from "../datapath/messages.ts";
import type { AddressBook } from "../flow/book.ts";
import type { Flow, Tuple } from "../kernel/conntrack.ts";
import type { Engine, Transport } from "../policy/decision.ts";

export function describeFlow(flow: Flow, book: AddressBook, engine: Engine, now: number): LiveFlow {
  return liveFlowOf({ ...flow.original, protocol: flow.protocol }, book, engine, now);
}

/** The same of its addresses alone. */
export function liveFlowOf(tuple: Tuple, book: AddressBook, engine: Engine, now: number): LiveFlow {
  const { source, sourcePort, destination, destinationPort, protocol } = tuple;
  const names = book.names(destination, engine.enforcedFor(source) ? null : source, now);
  return {
    source,
    sourcePort,
    destination,
    destinationPort,
    transport: transportOf(protocol),
    protocol,
    local: false,
    process: null,
    who: null,
    application: null,
    name: null,
    names,
    ech: false,
    begunEnforced: engine.enforcedFor(source),
    verdict: engine.enforcedFor(source) ? "allow" : "would_deny",
    rule: null,
    monitored: [],
    tier: 3,
    since: now,
  };
}

/** The transport of an IP protocol number. */
export function transportOf(protocol: number): Transport {
  if (protocol === 6) return "tcp";
  if (protocol === 17) return "udp";
  return protocol === 1 || protocol === 58 ? "icmp" : "other";
}
