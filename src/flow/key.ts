/** Flow keys: transport, both addresses and both ports as one short string, for the table of undecided flows. */
import type { Packet } from "../wire/ip/packet.ts";

/** The key of the packet's flow, as seen from its sender. */
export function flowKey(
  packet: Pick<Packet, "transport" | "source" | "sourcePort" | "destination" | "destinationPort">,
): string {
  const ports = String.fromCharCode(packet.sourcePort, packet.destinationPort);
  return (packet.transport === "tcp" ? "T" : "U") + packet.source + packet.destination + ports;
}

/** The key of the packet's flow, as seen from its receiver. */
export function reverseKey(packet: Packet): string {
  const ports = String.fromCharCode(packet.destinationPort, packet.sourcePort);
  return (packet.transport === "tcp" ? "T" : "U") + packet.destination + packet.source + ports;
}
