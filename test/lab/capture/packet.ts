/**
 * A captured frame as the sink needs it: who to whom, and which bytes at which place of which stream. It is the lab's
 * own decoder, simple and generous, so that tests of the product's decoder do not judge themselves.
 */
import { addressFromBytes, formatAddress } from "../../../src/address/ip.ts";

export type Protocol = "tcp" | "udp" | "icmp" | "icmpv6" | `ip-${number}`;

export type Packet = {
  protocol: Protocol;
  source: string;
  destination: string;
  /** Zero where the protocol has no ports, and in fragments after the first. */
  sourcePort: number;
  destinationPort: number;
  /** TCP flags byte; zero otherwise. */
  flags: number;
  /** The bytes after the transport header; for other protocols, after the IP header. */
  payload: Buffer;
  /** Where the payload stands: TCP sequence number or fragment offset; undefined for datagrams. */
  position: number | undefined;
  /** The fragmented datagram this belongs to, or undefined. */
  fragmentOf: string | undefined;
  /** Everything after the fixed IP header: the payload, options and extension headers too. */
  whole: Buffer;
  loopback: boolean;
};

const linuxCooked2 = 20;
const arphrdLoopback = 772;
const packetOutgoing = 4;

/** Decodes a LINUX_SLL2 frame (link type 276); null when it is not IP, was sent by the internet, or is too short. */
export function decodeFrame(frame: Buffer): Packet | null {
  if (frame.length < linuxCooked2 + 20 || frame[10] === packetOutgoing) return null;
  const loopback = frame.readUInt16BE(8) === arphrdLoopback;
  const ip = frame.subarray(linuxCooked2);
  const etherType = frame.readUInt16BE(0);
  if (etherType === 0x0800) return decodeV4(ip, loopback);
  if (etherType === 0x86dd && ip.length >= 40) return decodeV6(ip, loopback);
  return null;
}

function decodeV4(ip: Buffer, loopback: boolean): Packet | null {
  const header = (ip[0]! & 15) * 4;
  // A packet that segmentation offload made larger than 65535 bytes has a total length of 0.
  const total = ip.readUInt16BE(2) || ip.length;
  const fragment = ip.readUInt16BE(6);
  const offset = (fragment & 0x1fff) * 8;
  const source = formatAddress(addressFromBytes(ip, 12, 4));
  const destination = formatAddress(addressFromBytes(ip, 16, 4));
  const fragmented = (fragment & 0x2000) !== 0 || offset > 0;
  return transport(ip.subarray(header, total), {
    next: ip[9]!,
    source,
    destination,
    offset,
    fragmentOf: fragmented ? `${source} ${destination} ${ip[9]} ${ip.readUInt16BE(4)}` : undefined,
    whole: ip.subarray(20, total),
    loopback,
  });
}

/** Extension headers that have a length in units of 8 bytes (RFC 8200 section 4): options, routing, destination. */
const lengthHeaders = new Set([0, 43, 60]);

function decodeV6(ip: Buffer, loopback: boolean): Packet | null {
  const source = formatAddress(addressFromBytes(ip, 8, 16));
  const destination = formatAddress(addressFromBytes(ip, 24, 16));
  const end = ip.readUInt16BE(4) === 0 ? ip.length : 40 + ip.readUInt16BE(4);
  let next = ip[6]!;
  let at = 40;
  let offset = 0;
  let fragmentOf: string | undefined;
  while (at + 8 <= end && (lengthHeaders.has(next) || next === 44)) {
    const following = ip[at]!;
    if (next === 44) {
      offset = ip.readUInt16BE(at + 2) & 0xfff8;
      fragmentOf = `${source} ${destination} ${ip.readUInt32BE(at + 4)}`;
      at += 8;
      next = following;
      if (offset > 0) break;
    } else {
      at += (ip[at + 1]! + 1) * 8;
      next = following;
    }
  }
  const whole = ip.subarray(40, end);
  return transport(ip.subarray(at, end), { next, source, destination, offset, fragmentOf, whole, loopback });
}

type Network = {
  next: number;
  source: string;
  destination: string;
  offset: number;
  fragmentOf: string | undefined;
  whole: Buffer;
  loopback: boolean;
};

function transport(bytes: Buffer, network: Network): Packet {
  const { next, source, destination, offset, fragmentOf, whole, loopback } = network;
  const packet: Packet = {
    protocol: protocolName(next),
    source,
    destination,
    sourcePort: 0,
    destinationPort: 0,
    flags: 0,
    payload: bytes,
    position: fragmentOf === undefined ? undefined : offset,
    fragmentOf,
    whole,
    loopback,
  };
  const hasPorts = (next === 6 && bytes.length >= 20) || (next === 17 && bytes.length >= 8);
  if (offset > 0 || !hasPorts) return packet;
  packet.sourcePort = bytes.readUInt16BE(0);
  packet.destinationPort = bytes.readUInt16BE(2);
  if (next === 6) packet.flags = bytes[13]!;
  // The fragments of a datagram are put together from the transport header on.
  if (fragmentOf !== undefined) return packet;
  if (next === 6) {
    packet.position = bytes.readUInt32BE(4);
    packet.payload = bytes.subarray((bytes[12]! >> 4) * 4);
  } else packet.payload = bytes.subarray(8);
  return packet;
}

function protocolName(number: number): Protocol {
  if (number === 6) return "tcp";
  if (number === 17) return "udp";
  if (number === 1) return "icmp";
  return number === 58 ? "icmpv6" : `ip-${number}`;
}
