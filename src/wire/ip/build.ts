/**
 * Builds the few TCP segments that the firewall sends by itself: resets, and short answers such as a TLS alert. Whole
 * packets with checksums, ready for a raw socket. It does not segment, has no options, and keeps no connection state:
 * the caller knows the sequence numbers.
 */
import type { Address } from "../../address/ip.ts";
import { addWords, finish, pseudoHeader } from "./checksum.ts";
import { ACK, FIN, RST, SYN, type Packet } from "./packet.ts";

/** One TCP segment. `source` and `destination` are of the same family. */
export interface Segment {
  source: Address;
  destination: Address;
  sourcePort: number;
  destinationPort: number;
  /** Unsigned 32 bits. */
  seq: number;
  /** Unsigned 32 bits; meaningful only with the ACK flag. */
  ack: number;
  /** Flag bits, see `packet.ts`. */
  flags: number;
  /** Receive window, unscaled; 0 by default. */
  window?: number;
  /** At most 1200 bytes, so that no path needs to fragment it. */
  payload?: Uint8Array;
}

const empty = new Uint8Array(0);
const hopLimit = 64;

/**
 * A whole IPv4 or IPv6 packet holding the segment.
 *
 * @throws RangeError for a caller's defect: addresses of two families, or a payload over 1200 bytes
 */
export function buildTcp(segment: Segment): Uint8Array<ArrayBuffer> {
  const payload = segment.payload ?? empty;
  if (segment.source.length !== segment.destination.length) throw new RangeError("addresses of two families");
  if (payload.length > 1200) throw new RangeError("payload over 1200 bytes");
  const size = 20 + payload.length;
  const start = segment.source.length === 4 ? 20 : 40;
  const packet = new Uint8Array(start + size);
  const view = new DataView(packet.buffer);
  if (start === 20) writeV4(packet, view, segment, size);
  else writeV6(packet, view, segment, size);
  view.setUint16(start, segment.sourcePort);
  view.setUint16(start + 2, segment.destinationPort);
  view.setUint32(start + 4, segment.seq);
  view.setUint32(start + 8, segment.ack);
  packet[start + 12] = 5 << 4;
  packet[start + 13] = segment.flags;
  view.setUint16(start + 14, segment.window ?? 0);
  packet.set(payload, start + 20);
  const sum = pseudoHeader(segment.source, segment.destination, 6, size);
  view.setUint16(start + 16, finish(addWords(sum, packet, start, packet.length)));
  return packet;
}

/** Where a reset goes and which sequence number the receiver expects. */
export interface Reset {
  source: Address;
  destination: Address;
  sourcePort: number;
  destinationPort: number;
  /** Must be exactly what the receiver expects next, or it answers with a challenge ACK instead (RFC 5961). */
  seq: number;
  /** Acknowledges up to here; null sends a RST without ACK. */
  ack: number | null;
}

/** A RST, or RST+ACK, packet. */
export function buildReset(reset: Reset): Uint8Array<ArrayBuffer> {
  const { ack } = reset;
  return buildTcp({ ...reset, ack: ack ?? 0, flags: ack === null ? RST : RST | ACK });
}

/**
 * The reset a closed port would answer `packet` with (RFC 9293 section 3.10.7.1); null for a packet that must not be
 * answered: not TCP, defective, or itself a reset.
 */
export function buildResetFor(packet: Packet): Uint8Array<ArrayBuffer> | null {
  if (packet.defect !== null || packet.transport !== "tcp" || (packet.flags & RST) !== 0) return null;
  const back = {
    source: packet.destination,
    destination: packet.source,
    sourcePort: packet.destinationPort,
    destinationPort: packet.sourcePort,
  };
  if ((packet.flags & ACK) !== 0) return buildReset({ ...back, seq: packet.ack, ack: null });
  const length = packet.payloadLength + (packet.flags & SYN ? 1 : 0) + (packet.flags & FIN ? 1 : 0);
  return buildReset({ ...back, seq: 0, ack: (packet.seq + length) >>> 0 });
}

function writeV4(packet: Uint8Array, view: DataView, segment: Segment, size: number): void {
  packet[0] = 0x45;
  view.setUint16(2, 20 + size);
  // Don't Fragment, so an identification of zero is fine (RFC 6864).
  packet[6] = 0x40;
  packet[8] = hopLimit;
  packet[9] = 6;
  writeAddress(packet, 12, segment.source);
  writeAddress(packet, 16, segment.destination);
  view.setUint16(10, finish(addWords(0, packet, 0, 20)));
}

function writeV6(packet: Uint8Array, view: DataView, segment: Segment, size: number): void {
  packet[0] = 0x60;
  view.setUint16(4, size);
  packet[6] = 6;
  packet[7] = hopLimit;
  writeAddress(packet, 8, segment.source);
  writeAddress(packet, 24, segment.destination);
}

function writeAddress(packet: Uint8Array, at: number, address: Address): void {
  for (let i = 0; i < address.length; i++) packet[at + i] = address.charCodeAt(i);
}
