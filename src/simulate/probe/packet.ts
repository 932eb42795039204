/**
 * Probes that no socket of Node sends: ICMP, other IP protocols, fragments, segments without a connection. Whole packets
 * made by hand and sent through raw sockets, which need root.
 */
import dgram from "node:dgram";
import { type Address, addressToBytes, parseAddress } from "../../address/ip.ts";
import { addWords, finish, pseudoHeader } from "../../wire/ip/checksum.ts";
import type { Fired, Shot } from "../technique.ts";
import { codeOf } from "./fire.ts";

export const protocol = { icmp: 1, tcp: 6, udp: 17, icmp6: 58, gre: 47, experiment: 253 } as const;

/** A protocol's bytes behind an IP header, from `source` to `destination`. Checksums of IPv4 headers are the kernel's. */
export function packet(source: Address, destination: Address, kind: number, payload: Uint8Array): Buffer {
  const isV4 = source.length === 4;
  const header = Buffer.alloc(isV4 ? 12 : 8);
  if (isV4) {
    header[0] = 0x45;
    header.writeUInt16BE(20 + payload.length, 2);
    header.writeUInt16BE(1 + Math.floor(Math.random() * 65_534), 4);
    header[8] = 64;
    header[9] = kind;
  } else {
    header[0] = 0x60;
    header.writeUInt16BE(payload.length, 4);
    header[6] = kind;
    header[7] = 64;
  }
  return Buffer.concat([header, addressToBytes(source), addressToBytes(destination), payload]);
}

/** An IPv4 packet in two fragments, cut after `cut` bytes of its payload, a multiple of 8 (RFC 791). */
export function fragments(whole: Buffer, cut: number): Buffer[] {
  const part = (from: number, to: number, more: number) => {
    const piece = Buffer.concat([whole.subarray(0, 20), whole.subarray(20 + from, 20 + to)]);
    piece.writeUInt16BE(piece.length, 2);
    piece.writeUInt16BE(more | (from / 8), 6);
    return piece;
  };
  return [part(0, cut, 0x2000), part(cut, whole.length - 20, 0)];
}

export const flag = { syn: 2, push: 8, ack: 16 } as const;

export function tcp(source: Address, destination: Address, ports: [number, number], flags: number, payload: Buffer) {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(ports[0], 0);
  header.writeUInt16BE(ports[1], 2);
  header.writeUInt32BE(0x01020304, 4);
  header.writeUInt32BE((flags & flag.ack) === 0 ? 0 : 0x05060708, 8);
  header[12] = 5 << 4;
  header[13] = flags;
  header.writeUInt16BE(65_535, 14);
  return summed(Buffer.concat([header, payload]), source, destination, protocol.tcp, 16);
}

export function udp(source: Address, destination: Address, ports: [number, number], payload: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(ports[0], 0);
  header.writeUInt16BE(ports[1], 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return summed(Buffer.concat([header, payload]), source, destination, protocol.udp, 6);
}

/** An echo request (RFC 792, RFC 4443). */
export function echoRequest(source: Address, destination: Address, payload: Buffer): Buffer {
  const isV4 = source.length === 4;
  const bytes = Buffer.concat([Buffer.from([isV4 ? 8 : 128, 0, 0, 0, 0x5a, 0x11, 0, 1]), payload]);
  if (!isV4) return summed(bytes, source, destination, protocol.icmp6, 2);
  bytes.writeUInt16BE(finish(addWords(0, bytes, 0, bytes.length)), 2);
  return bytes;
}

function summed(bytes: Buffer, source: Address, destination: Address, kind: number, at: number): Buffer {
  const sum = pseudoHeader(source, destination, kind, bytes.length);
  bytes.writeUInt16BE(finish(addWords(sum, bytes, 0, bytes.length)), at);
  return bytes;
}

/** Sends packets made for this machine's own source address towards `to`. */
export async function raw(
  to: string | null,
  make: (source: Address, destination: Address) => readonly Buffer[],
): Promise<Fired> {
  if (to === null) return { fired: false, why: "there is no address of this family to send to" };
  const source = await sourceTowards(to);
  if ("why" in source) return { fired: false, why: source.why };
  const destination = parseAddress(to)!;
  // Loads the C library, which the other probes do without.
  const { RawSender } = await import("../../kernel/raw.ts");
  let sender: InstanceType<typeof RawSender>;
  try {
    sender = new RawSender();
  } catch (error) {
    return { fired: false, why: `raw sockets: ${codeOf(error)}` };
  }
  try {
    const sent = make(source.address, destination).map((each) => sender.send(each, destination));
    return { fired: true, saw: sent.every(Boolean) ? "sent" : "the kernel would not send it" };
  } finally {
    sender.close();
  }
}

/** Which of our addresses the kernel would send from: a connected UDP socket knows without sending anything. */
function sourceTowards(to: string): Promise<{ address: Address } | { why: string }> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket(to.includes(":") ? "udp6" : "udp4");
    socket.once("error", (error) => {
      socket.close();
      resolve({ why: `no way to ${to}: ${codeOf(error)}` });
    });
    socket.connect(9, to, () => {
      const { address } = socket.address();
      socket.close();
      resolve({ address: parseAddress(address)! });
    });
  });
}

/** A payload of several copies: wherever a fragment is cut, one is whole. */
export function payloadOf(shot: Shot, copies = 3): Buffer {
  return Buffer.from(`${shot.canary} `.repeat(copies));
}
