/**
 * Connections that a former process of ours let through and the kernel still forwards. What this process knows of them is
 * their addresses and the names bound to them; by that they are judged, kept or ended (threat T8).
 */
import type { LiveFlow } from "../datapath/messages.ts";
import { stillPasses } from "../datapath/ledger.ts";
import type { AddressBook } from "../flow/book.ts";
import type { Conntrack, Flow } from "../kernel/conntrack.ts";
import { ALLOW, STATE_MASK } from "../kernel/mark.ts";
import type { Engine, Transport } from "../policy/decision.ts";

export interface Adopted {
  kept: LiveFlow[];
  refused: LiveFlow[];
}

export function adoptFlows(conntrack: Conntrack, book: AddressBook, engine: Engine, now: number): Adopted {
  const adopted: Adopted = { kept: [], refused: [] };
  for (const flow of conntrack.dump({ mark: ALLOW, mask: STATE_MASK })) {
    const live = describe(flow, book, engine, now);
    (stillPasses(engine, live) ? adopted.kept : adopted.refused).push(live);
  }
  return adopted;
}

function describe(flow: Flow, book: AddressBook, engine: Engine, now: number): LiveFlow {
  const { source, sourcePort, destination, destinationPort } = flow.original;
  const names = book.names(destination, engine.enforcedFor(source) ? null : source, now);
  return {
    source,
    sourcePort,
    destination,
    destinationPort,
    transport: transportOf(flow.protocol),
    protocol: flow.protocol,
    local: false,
    application: null,
    name: null,
    names,
    verdict: engine.enforcedFor(source) ? "allow" : "would_deny",
    rule: null,
    tier: 3,
    since: now,
  };
}

function transportOf(protocol: number): Transport {
  if (protocol === 6) return "tcp";
  if (protocol === 17) return "udp";
  return protocol === 1 || protocol === 58 ? "icmp" : "other";
}
