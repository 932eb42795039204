/**
 * Builds the packets that a client's stack, or a client with raw sockets, puts on the wire: any flags, options, payload size,
 * IPv4 options and IPv6 extension headers. No checksums: the kernel checks them before the flow engine sees a packet.
 */
import { addressToBytes, type Address } from "../../address/ip.ts";

export interface Tuple {
  source: Address;
  destination: Address;
  sourcePort: number;
  destinationPort: number;
}

export interface IpParts {
  ttl?: number;
  /** IPv4 options or IPv6 extension headers, of which the first has number `extension`. */
  between?: Uint8Array;
  extension?: number;
}

export interface TcpParts extends IpParts {
  seq: number;
  ack?: number;
  flags: number;
  /** A multiple of four bytes. */
  options?: Uint8Array;
  payload?: Uint8Array;
}

const none = new Uint8Array(0);

export const joined = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));
export const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

export function tcp(tuple: Tuple, parts: TcpParts): Uint8Array {
  const options = parts.options ?? none;
  const header = new Uint8Array(20 + options.length);
  const view = new DataView(header.buffer);
  view.setUint16(0, tuple.sourcePort);
  view.setUint16(2, tuple.destinationPort);
  view.setUint32(4, parts.seq);
  view.setUint32(8, parts.ack ?? 0);
  header[12] = (header.length / 4) << 4;
  header[13] = parts.flags;
  view.setUint16(14, 0xffff);
  header.set(options, 20);
  return ip(tuple, 6, joinedFast(header, parts.payload ?? none), parts);
}

export function udp(tuple: Tuple, payload: Uint8Array, parts: IpParts = {}): Uint8Array {
  const header = new Uint8Array(8);
  const view = new DataView(header.buffer);
  view.setUint16(0, tuple.sourcePort);
  view.setUint16(2, tuple.destinationPort);
  view.setUint16(4, 8 + payload.length);
  return ip(tuple, 17, joinedFast(header, payload), parts);
}

/** An IP packet of any protocol. */
export function ip(
  { source, destination }: Pick<Tuple, "source" | "destination">,
  protocol: number,
  payload: Uint8Array,
  { ttl = 64, between = none, extension = 60 }: IpParts = {},
): Uint8Array {
  const isV4 = source.length === 4;
  const packet = new Uint8Array((isV4 ? 20 : 40) + between.length + payload.length);
  const view = new DataView(packet.buffer);
  if (isV4) {
    packet[0] = 0x40 | (5 + between.length / 4);
    view.setUint16(2, packet.length);
    packet[6] = 0x40;
    packet[8] = ttl;
    packet[9] = protocol;
  } else {
    packet[0] = 0x60;
    view.setUint16(4, packet.length - 40);
    packet[6] = between.length > 0 ? extension : protocol;
    packet[7] = ttl;
  }
  packet.set(addressToBytes(source), isV4 ? 12 : 8);
  packet.set(addressToBytes(destination), isV4 ? 16 : 24);
  packet.set(between, isV4 ? 20 : 40);
  packet.set(payload, (isV4 ? 20 : 40) + between.length);
  return packet;
}

function joinedFast(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
