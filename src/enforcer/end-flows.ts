/**
 * Ends live connections that the policy no longer allows. The kernel's entry gets the refusing mark, so nothing passes in
 * either direction from then on; then each TCP client is made to speak at once by a segment it cannot accept (RFC 9293
 * section 3.10.7.4, the challenge of RFC 5961): its answer meets the mark, and both ends get a reset with right numbers.
 * A socket of the machine itself is closed by the kernel first, which tells the far end as well, while the flow still may.
 */
import { randomBytes } from "node:crypto";
import type { LiveFlow } from "../datapath/messages.ts";
import type { Conntrack } from "../kernel/conntrack.ts";
import { DENY, STATE_MASK } from "../kernel/mark.ts";
import type { RawSender } from "../kernel/raw.ts";
import type { SocketTable } from "../kernel/socket-table.ts";
import { buildTcp } from "../wire/ip/build.ts";
import { ACK } from "../wire/ip/packet.ts";

/** How long the kernel remembers an ended connection, so that both ends' last packets are answered, seconds. */
const rememberSeconds = 60;

/** Ends one flow; false when the kernel had already forgotten it. `sockets`: the machine's own, where it stands around one. */
export function endFlow(flow: LiveFlow, conntrack: Conntrack, raw: RawSender, sockets: SocketTable | null): boolean {
  const { protocol, source, sourcePort, destination, destinationPort } = flow;
  if (protocol !== 6 && protocol !== 17) return endWithoutPorts(flow, conntrack);
  sockets?.destroyTuple(protocol, source, sourcePort, destination, destinationPort);
  const original = { protocol, source, sourcePort, destination, destinationPort };
  const known = conntrack.setMark({ original }, DENY, STATE_MASK, rememberSeconds);
  if (known && flow.transport === "tcp") challenge(flow, raw);
  return known;
}

/** Of ICMP the kernel knows ids and types, which we do not; what is alike by protocol and addresses is one flow here. */
function endWithoutPorts({ protocol, source, destination }: LiveFlow, conntrack: Conntrack): boolean {
  const alike = conntrack
    .dump()
    .filter(({ original }) => original.protocol === protocol && original.source === source)
    .filter(({ original }) => original.destination === destination);
  return alike.map((entry) => conntrack.setMark(entry, DENY, STATE_MASK, rememberSeconds)).includes(true);
}

/** Two segments half the sequence space apart: at least one is outside any window. */
function challenge(flow: LiveFlow, raw: RawSender): void {
  const seq = randomBytes(4).readUInt32BE();
  for (const each of [seq, (seq + 2 ** 31) >>> 0]) {
    const segment = buildTcp({
      source: flow.destination,
      destination: flow.source,
      sourcePort: flow.destinationPort,
      destinationPort: flow.sourcePort,
      seq: each,
      ack: each,
      flags: ACK,
    });
    raw.send(segment, flow.source);
  }
}
