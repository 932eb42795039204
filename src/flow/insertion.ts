/**
 * Guards the held bytes against insertion: a packet that we would read and the server would not (Ptacek and Newsham 1998).
 * Such a packet shows us an allowed name, is released, dies on the way or in the server's TCP, and the client then sends
 * another hello for the same bytes on a connection the kernel already forwards.
 *
 * Refused in packets that carry bytes we judge by: a TTL too low to arrive, IPv4 options, TCP segments without ACK or
 * with URG (an urgent byte leaves the stream, RFC 6093), options that make a server drop the segment (MD5, AO), and
 * timestamps older than the handshake's (PAWS, RFC 7323 section 5). Bad checksums and bytes outside the window are
 * already INVALID to the kernel's connection tracking, which runs before us.
 */
import { ACK, SYN, URG, type Packet } from "../wire/ip/packet.ts";
import { limits } from "./limits.ts";

const kinds = { end: 0, nop: 1, sack: 5, timestamps: 8 } as const;

/** The RFC 7323 timestamp value of the segment, or null when the option is absent or the options are malformed. */
export function timestampOf(bytes: Uint8Array, packet: Packet): number | null {
  for (const option of options(bytes, packet)) if (option.kind === kinds.timestamps) return option.value;
  return null;
}

/**
 * True when the server could fail to see what we see.
 *
 * @param start where the IP header begins in `bytes`
 * @param since the timestamp of the SYN, null when it had none
 */
export function couldMiss(bytes: Uint8Array, start: number, packet: Packet, since: number | null): boolean {
  if (packet.hopLimit < limits.minimumTtl) return true;
  if (packet.version === 4 && packet.transportOffset - start !== 20) return true;
  if (packet.transport !== "tcp") return false;
  if ((packet.flags & ACK) === 0 && (packet.flags & SYN) === 0) return true;
  if ((packet.flags & URG) !== 0) return true;
  if ((packet.flags & SYN) !== 0) return false;
  let timestamp: number | null = null;
  for (const option of options(bytes, packet)) {
    if (option.kind === kinds.timestamps) timestamp = option.value;
    else if (option.kind !== kinds.nop && option.kind !== kinds.sack) return true;
  }
  // A peer that agreed on timestamps drops segments without them or with one that went back (serial arithmetic).
  return timestamp !== null && since !== null && ((timestamp - since) | 0) < 0;
}

/** The segment's options; a malformed list ends with one of kind -1. */
function* options(bytes: Uint8Array, packet: Packet): Generator<{ kind: number; value: number | null }> {
  const header = packet.transportOffset;
  let at = header + 20;
  const end = header + (bytes[header + 12]! >> 4) * 4;
  while (at < end) {
    const kind = bytes[at]!;
    if (kind === kinds.end) return;
    if (kind === kinds.nop) {
      at++;
      continue;
    }
    const length = at + 1 < end ? bytes[at + 1]! : 0;
    if (length < 2 || at + length > end) {
      yield { kind: -1, value: null };
      return;
    }
    const timestamps = kind === kinds.timestamps && length === 10;
    yield { kind, value: timestamps ? uint32(bytes, at + 2) : null };
    at += length;
  }
}

function uint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
