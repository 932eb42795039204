/**
 * The Internet checksum (RFC 1071), over headers and over TCP/UDP with their pseudo-header (RFC 9293 section 3.1,
 * RFC 8200 section 8.1). Used to build packets, and by whoever must know whether a receiver will accept a packet: bytes
 * with a wrong checksum are seen by us and dropped by the server, so a name read from them proves nothing
 * (the insertion attack of Ptacek and Newsham). Packets that wait for checksum offload carry none yet: the queue says so.
 */
import type { Address } from "../../address/ip.ts";
import type { Packet } from "./packet.ts";

/** Adds `bytes[from, to)` as big-endian 16-bit words to `sum`. An odd last byte is padded with zero, so it must be last. */
export function addWords(sum: number, bytes: Uint8Array, from: number, to: number): number {
  let total = sum;
  let at = from;
  for (; at + 1 < to; at += 2) total += (bytes[at]! << 8) | bytes[at + 1]!;
  if (at < to) total += bytes[at]! << 8;
  return total;
}

/** The one's complement of the folded sum: the value that stands in a header. */
export function finish(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = Math.floor(folded / 0x10000) + (folded & 0xffff);
  return ~folded & 0xffff;
}

/** The sum over the pseudo-header of TCP or UDP; `length` counts the transport header and its payload. */
export function pseudoHeader(source: Address, destination: Address, protocol: number, length: number): number {
  let sum = protocol + (length >>> 16) + (length & 0xffff);
  for (let i = 0; i < source.length; i += 2) sum += (source.charCodeAt(i) << 8) | source.charCodeAt(i + 1);
  for (let i = 0; i < destination.length; i += 2) {
    sum += (destination.charCodeAt(i) << 8) | destination.charCodeAt(i + 1);
  }
  return sum;
}

/**
 * Whether the receiver will find the TCP or UDP checksum right. True for IPv4 UDP without a checksum, and for transports
 * that are neither.
 *
 * @param bytes the buffer `packet` was decoded from; `packet.defect` must be null
 */
export function transportChecksumValid(bytes: Uint8Array, packet: Packet): boolean {
  if (packet.transport !== "tcp" && packet.transport !== "udp") return true;
  const from = packet.transportOffset;
  const to = packet.payloadOffset + packet.payloadLength;
  if (packet.transport === "udp" && packet.version === 4 && bytes[from + 6] === 0 && bytes[from + 7] === 0) return true;
  const sum = pseudoHeader(packet.source, packet.destination, packet.protocol, to - from);
  return finish(addWords(sum, bytes, from, to)) === 0;
}
