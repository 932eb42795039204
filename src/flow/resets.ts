/** TCP resets of our own: what each end of a refused connection is told besides the kernel's answer to the packet in hand. */
import type { Packet } from "../wire/ip/packet.ts";
import type { Effects } from "./effects.ts";
import type { Pending } from "./pending.ts";

/** Ends the server's half: it has seen nothing after the bytes that went on. */
export function resetServer(effects: Effects, flow: Pending): void {
  effects.reset({
    source: flow.source,
    destination: flow.destination,
    sourcePort: flow.sourcePort,
    destinationPort: flow.destinationPort,
    sequence: flow.clientNext,
    acknowledgement: acknowledged(flow) ?? 0,
  });
}

/**
 * Ends the client's half, where no packet is in hand that the kernel could answer. Not possible before anything of the client's
 * has told what it expects next; its next packet is refused then.
 */
export function resetClient(effects: Effects, flow: Pending): void {
  const sequence = acknowledged(flow);
  if (sequence === null) return;
  effects.reset({
    source: flow.destination,
    destination: flow.source,
    sourcePort: flow.destinationPort,
    destinationPort: flow.sourcePort,
    sequence,
    acknowledgement: flow.clientNext,
  });
}

/** Ends the half of the packet's receiver. */
export function resetReceiver(effects: Effects, packet: Packet): void {
  effects.reset({
    source: packet.source,
    destination: packet.destination,
    sourcePort: packet.sourcePort,
    destinationPort: packet.destinationPort,
    sequence: packet.seq,
    acknowledgement: packet.ack,
  });
}

function acknowledged(flow: Pending): number | null {
  return flow.clientAcknowledged ?? flow.serverFirst;
}
