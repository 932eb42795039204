/**
 * Packets that no socket sends: made byte by byte and put on a machine's wire through a raw socket in its namespace, as a
 * job with root in its container does.
 */
import { addressToBytes, parseAddress } from "../../../src/address/ip.ts";
import type { Address } from "../../../src/address/ip.ts";
import { inNamespace } from "../../../src/kernel/namespace.ts";
import { RawSender } from "../../../src/kernel/raw.ts";
import { addWords, finish, pseudoHeader } from "../../../src/wire/ip/checksum.ts";
import type { Machine } from "../../lab/machine.ts";

export const protocols = { tcp: 6, udp: 17, gre: 47, esp: 50, sctp: 132, experiment: 253 } as const;
export const flags = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;

/** An address's text as the product's own type. */
export function address(text: string): Address {
  return parseAddress(text)!;
}

/** A whole IP packet with this payload. */
export function ip(source: string, destination: string, protocol: number, payload: Uint8Array): Buffer {
  const addresses = [address(source), address(destination)].map(addressToBytes);
  const header = source.includes(":") ? Buffer.alloc(8) : Buffer.alloc(12);
  if (source.includes(":")) {
    header[0] = 0x60;
    header.writeUInt16BE(payload.length, 4);
    header[6] = protocol;
    header[7] = 64;
  } else {
    header[0] = 0x45;
    header.writeUInt16BE(20 + payload.length, 2);
    header[8] = 64;
    header[9] = protocol;
  }
  // The kernel fills in the IPv4 header's checksum.
  return Buffer.concat([header, ...addresses, payload]);
}

/** An IPv4 packet cut into two fragments after `cut` bytes of its payload, a multiple of 8 (RFC 791). */
export function fragments(packet: Buffer, cut: number): [Buffer, Buffer] {
  const id = 1 + Math.floor(Math.random() * 65_534);
  const part = (from: number, to: number, more: boolean): Buffer => {
    const fragment = Buffer.concat([packet.subarray(0, 20), packet.subarray(20 + from, 20 + to)]);
    fragment.writeUInt16BE(fragment.length, 2);
    fragment.writeUInt16BE(id, 4);
    fragment.writeUInt16BE((more ? 0x2000 : 0) | (from / 8), 6);
    return fragment;
  };
  return [part(0, cut, true), part(cut, packet.length - 20, false)];
}

export type Segment = {
  source: string;
  destination: string;
  sourcePort: number;
  destinationPort: number;
  flags: number;
  seq?: number;
  ack?: number;
  payload?: Uint8Array;
};

/** A TCP segment with a right checksum, as the payload of `ip`. */
export function tcp(segment: Segment): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(segment.sourcePort, 0);
  header.writeUInt16BE(segment.destinationPort, 2);
  header.writeUInt32BE(segment.seq ?? 0x01020304, 4);
  header.writeUInt32BE(segment.ack ?? 0, 8);
  header[12] = 5 << 4;
  header[13] = segment.flags;
  header.writeUInt16BE(65_535, 14);
  const bytes = Buffer.concat([header, segment.payload ?? Buffer.alloc(0)]);
  const sum = pseudoHeader(address(segment.source), address(segment.destination), protocols.tcp, bytes.length);
  bytes.writeUInt16BE(finish(addWords(sum, bytes, 0, bytes.length)), 16);
  return bytes;
}

/** Sends the packets from this machine, in order. */
export function send(machine: Machine, destination: string, ...packets: Uint8Array[]): void {
  inNamespace(machine.namespace, () => {
    const sender = new RawSender();
    for (const packet of packets) sender.send(packet, address(destination));
    sender.close();
  });
}
