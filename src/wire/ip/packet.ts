/**
 * Decodes an IP packet's headers into one reused structure, the way packet filters do: once, in order, with every length
 * checked before it is believed. What the walk cannot vouch for becomes a `defect`, and a packet with a defect is never
 * to be allowed. It promises the addresses, ports and payload bounds that the receiving kernel will see too; it does not
 * verify checksums (see `checksum.ts`: offloaded packets have none yet) and keeps no state between packets.
 *
 * Called for every queued packet by the data path. Nothing is allocated but the two address strings.
 */
import { addressFromBytes, type Address } from "../../address/ip.ts";

export type Transport = "tcp" | "udp" | "icmp" | "other";

/**
 * Why a packet's headers cannot be trusted.
 * - `truncated`: the bytes end before the headers do, or before the length the header claims.
 * - `bad_version`: neither IPv4 nor IPv6.
 * - `bad_length`: a length field contradicts another, or is below its header's minimum.
 * - `bad_header`: a reserved or misplaced header (hop-by-hop not first, two fragment headers, broken IPv4 options).
 * - `fragment`: a piece of a packet (RFC 1858: headers may hide in, or be overwritten by, other pieces).
 * - `source_route`: the destination in the header is not where the packet ends (RFC 5095, RFC 7126 section 4.3 and 4.4).
 * - `too_many_extensions`: more than {@link maxExtensionHeaders} IPv6 extension headers (RFC 7112).
 */
export type PacketDefect =
  | "truncated"
  | "bad_version"
  | "bad_length"
  | "bad_header"
  | "fragment"
  | "source_route"
  | "too_many_extensions";

/** IPv6 extension headers walked before the packet is given up. */
export const maxExtensionHeaders = 8;

/** TCP flag bits as they stand in the header's 14th byte (RFC 9293 section 3.1). */
export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;

const none = "" as Address;

/** The decoded headers. Reused: read it before the next {@link parsePacket} into the same structure. */
export class Packet {
  /** Null: every field below is valid. Otherwise only those that say so are. */
  defect: PacketDefect | null = "truncated";
  /** 4 or 6; 0 with `bad_version` or where not even the first byte is there. */
  version: 0 | 4 | 6 = 0;
  /** Valid unless empty, with most defects too: set as soon as the fixed header is whole. */
  source: Address = none;
  destination: Address = none;
  /** Hops left. A small number on held bytes smells of segments meant for us and not for the server. */
  hopLimit = 0;
  /** IANA number of the payload protocol after all extension headers. */
  protocol = 0;
  transport: Transport = "other";
  /** 0 where the transport has none. */
  sourcePort = 0;
  destinationPort = 0;
  /** TCP only, unsigned 32 bits; 0 otherwise. */
  seq = 0;
  ack = 0;
  /** TCP only: the eight flag bits. */
  flags = 0;
  /** ICMP and ICMPv6 only; -1 otherwise. */
  icmpType = -1;
  icmpCode = -1;
  /** First byte of the TCP, UDP, ICMP (or other) header, from the start of the buffer given. */
  transportOffset = 0;
  /** First byte after the transport header, from the start of the buffer given. */
  payloadOffset = 0;
  /** Bytes of payload; link-layer padding is not counted. */
  payloadLength = 0;
}

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const DESTINATION_OPTIONS = 60;

/**
 * Decodes the packet at `bytes[offset, offset + length)` into `out`, all of whose fields are set anew.
 *
 * @param bytes any bytes; a range outside them is `truncated`
 */
export function parsePacket(bytes: Uint8Array, offset: number, length: number, out: Packet): void {
  out.defect = null;
  out.version = 0;
  out.source = none;
  out.destination = none;
  out.hopLimit = 0;
  out.protocol = 0;
  out.transport = "other";
  out.sourcePort = 0;
  out.destinationPort = 0;
  out.seq = 0;
  out.ack = 0;
  out.flags = 0;
  out.icmpType = -1;
  out.icmpCode = -1;
  out.transportOffset = offset;
  out.payloadOffset = offset;
  out.payloadLength = 0;
  if (length < 1 || offset < 0 || offset + length > bytes.length) {
    out.defect = "truncated";
    return;
  }
  const version = bytes[offset]! >> 4;
  if (version === 4) out.defect = parseV4(bytes, offset, offset + length, out);
  else if (version === 6) out.defect = parseV6(bytes, offset, offset + length, out);
  else out.defect = "bad_version";
}

/** RFC 791. */
function parseV4(bytes: Uint8Array, start: number, limit: number, out: Packet): PacketDefect | null {
  out.version = 4;
  if (limit - start < 20) return "truncated";
  out.source = addressFromBytes(bytes, start + 12, 4);
  out.destination = addressFromBytes(bytes, start + 16, 4);
  out.hopLimit = bytes[start + 8]!;
  out.protocol = bytes[start + 9]!;
  const header = (bytes[start]! & 0x0f) * 4;
  const total = u16(bytes, start + 2);
  if (header < 20 || total < header) return "bad_length";
  // Bytes past the total length are link-layer padding; a total length past the bytes is a packet we see in part.
  if (start + total > limit) return "truncated";
  // RFC 1858 and RFC 3128: the transport header of a fragment may be absent or overwritten by a later one.
  if ((u16(bytes, start + 6) & 0x3fff) !== 0) return "fragment";
  const options = checkV4Options(bytes, start + 20, start + header);
  if (options !== null) return options;
  return parseTransport(bytes, start + header, start + total, out.protocol, out);
}

/** Refuses loose and strict source routes: the destination we would decide about is not the real one (RFC 7126). */
function checkV4Options(bytes: Uint8Array, from: number, end: number): PacketDefect | null {
  let at = from;
  while (at < end) {
    const kind = bytes[at]!;
    if (kind === 0) return null;
    if (kind === 1) {
      at++;
      continue;
    }
    if (kind === 131 || kind === 137) return "source_route";
    const length = at + 1 < end ? bytes[at + 1]! : 0;
    if (length < 2 || at + length > end) return "bad_header";
    at += length;
  }
  return null;
}

/** RFC 8200: the fixed header, then a capped walk over the extension headers a kernel would walk too. */
function parseV6(bytes: Uint8Array, start: number, limit: number, out: Packet): PacketDefect | null {
  out.version = 6;
  if (limit - start < 40) return "truncated";
  out.source = addressFromBytes(bytes, start + 8, 16);
  out.destination = addressFromBytes(bytes, start + 24, 16);
  out.hopLimit = bytes[start + 7]!;
  const end = start + 40 + u16(bytes, start + 4);
  if (end > limit) return "truncated";
  let next = bytes[start + 6]!;
  let at = start + 40;
  let fragmentSeen = false;
  for (let walked = 0; ; walked++) {
    out.protocol = next;
    const isExtension =
      next === HOP_BY_HOP ||
      next === ROUTING ||
      next === FRAGMENT ||
      next === AUTHENTICATION ||
      next === DESTINATION_OPTIONS;
    if (!isExtension) return parseTransport(bytes, at, end, next, out);
    if (walked === maxExtensionHeaders) return "too_many_extensions";
    if (end - at < 8) return "truncated";
    let size = (bytes[at + 1]! + 1) * 8;
    if (next === HOP_BY_HOP) {
      if (walked !== 0) return "bad_header";
    } else if (next === ROUTING) {
      // Type 0 is withdrawn (RFC 5095); any type with segments left names a later destination than the header's.
      if (bytes[at + 2] === 0 || bytes[at + 3] !== 0) return "source_route";
    } else if (next === FRAGMENT) {
      size = 8;
      if (fragmentSeen) return "bad_header";
      fragmentSeen = true;
      // Offset 0 and no more to come is a whole packet: an atomic fragment (RFC 6946).
      if ((u16(bytes, at + 2) & 0xfff9) !== 0) return "fragment";
    } else if (next === AUTHENTICATION) {
      size = (bytes[at + 1]! + 2) * 4;
    }
    if (end - at < size) return "truncated";
    next = bytes[at]!;
    at += size;
  }
}

function parseTransport(
  bytes: Uint8Array,
  at: number,
  end: number,
  protocol: number,
  out: Packet,
): PacketDefect | null {
  out.transportOffset = at;
  out.payloadOffset = at;
  out.payloadLength = end - at;
  if (protocol === 6) {
    out.transport = "tcp";
    return parseTcp(bytes, at, end, out);
  }
  if (protocol === 17) {
    out.transport = "udp";
    return parseUdp(bytes, at, end, out);
  }
  // ICMP inside IPv6, or ICMPv6 inside IPv4, is neither: hosts drop it, and we call it `other`.
  if (protocol === (out.version === 4 ? 1 : 58)) {
    out.transport = "icmp";
    if (end - at < 4) return "truncated";
    out.icmpType = bytes[at]!;
    out.icmpCode = bytes[at + 1]!;
    out.payloadOffset = at + 4;
    out.payloadLength = end - at - 4;
  }
  return null;
}

/** RFC 9293 section 3.1. */
function parseTcp(bytes: Uint8Array, at: number, end: number, out: Packet): PacketDefect | null {
  if (end - at < 20) {
    out.payloadLength = 0;
    return "truncated";
  }
  out.sourcePort = u16(bytes, at);
  out.destinationPort = u16(bytes, at + 2);
  out.seq = u32(bytes, at + 4);
  out.ack = u32(bytes, at + 8);
  out.flags = bytes[at + 13]!;
  const header = (bytes[at + 12]! >> 4) * 4;
  if (header < 20 || at + header > end) {
    out.payloadLength = 0;
    return "bad_length";
  }
  out.payloadOffset = at + header;
  out.payloadLength = end - at - header;
  return null;
}

/** RFC 768. Bytes past the UDP length would travel unread by anyone but an accomplice: `bad_length`. */
function parseUdp(bytes: Uint8Array, at: number, end: number, out: Packet): PacketDefect | null {
  if (end - at < 8) {
    out.payloadLength = 0;
    return "truncated";
  }
  out.sourcePort = u16(bytes, at);
  out.destinationPort = u16(bytes, at + 2);
  out.payloadOffset = at + 8;
  out.payloadLength = end - at - 8;
  return u16(bytes, at + 4) === end - at ? null : "bad_length";
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function u32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
