/**
 * Reads the captures in this folder: the IP packets of a pcap file, and the two directions of each TCP connection and UDP
 * exchange in it, in the order of capture. For tests; it trusts the files.
 */
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { formatAddress } from "../../src/address/ip.ts";
import { ACK, Packet, parsePacket, SYN } from "../../src/wire/ip/packet.ts";

/** Paths of the captures of one kind. */
export function captures(kind: "tls" | "quic" | "dns"): { name: string; path: string }[] {
  const folder = fileURLToPath(new URL(`${kind}/`, import.meta.url));
  return readdirSync(folder)
    .filter((file) => file.endsWith(".pcap"))
    .toSorted()
    .map((file) => ({ name: file.slice(0, -5), path: folder + file }));
}

/** The IP packets of a capture with their frame numbers as tshark counts them. */
export function ipPackets(path: string): { frame: number; bytes: Uint8Array<ArrayBuffer> }[] {
  const file = readFileSync(path);
  if (file.readUInt32LE(0) !== 0xa1b2c3d4) throw new TypeError(`${path} is not a little-endian pcap file`);
  const linkType = file.readUInt32LE(20);
  const packets: { frame: number; bytes: Uint8Array<ArrayBuffer> }[] = [];
  for (let at = 24, frame = 1; at < file.length; frame++) {
    const size = file.readUInt32LE(at + 8);
    // Two captures end in a damaged record; tshark stops there too.
    if (size > 262_144) break;
    const link = file.subarray(at + 16, at + 16 + size);
    at += 16 + size;
    const header = linkHeader(linkType, link);
    if (header !== null) packets.push({ frame, bytes: Uint8Array.from(link.subarray(header)) });
  }
  return packets;
}

/** Length of the link-layer header, or null where no IP packet follows. */
function linkHeader(linkType: number, link: Buffer): number | null {
  if (linkType === 0) return 4;
  if (linkType === 101 || linkType === 228) return 0;
  if (linkType !== 1) throw new TypeError(`link type ${linkType}`);
  let at = 12;
  while (link.readUInt16BE(at) === 0x8100 || link.readUInt16BE(at) === 0x88a8) at += 4;
  const type = link.readUInt16BE(at);
  return type === 0x0800 || type === 0x86dd ? at + 2 : null;
}

/** One direction of a connection or exchange, from the end that opened it. */
export interface Direction {
  /** `source port > destination port`, as a key. */
  key: string;
  transport: "tcp" | "udp";
  destinationPort: number;
  /** TCP: sequence number of the SYN, or one before the first byte where the SYN is missing. */
  initialSequence: number;
  /** Payloads in order of capture; `seq` is 0 for UDP. `answered`: the other end had sent payload before. */
  pieces: { seq: number; bytes: Uint8Array; answered: boolean }[];
}

export const directionKey = (source: string, sourcePort: number, destination: string, destinationPort: number) =>
  `${source} ${sourcePort} > ${destination} ${destinationPort}`;

/** The opening ends' directions of a capture: who sent the SYN, or else who sent the first payload. */
export function openingDirections(path: string): Direction[] {
  const all = new Map<string, Direction>();
  const opening = new Set<string>();
  const packet = new Packet();
  for (const { bytes } of ipPackets(path)) {
    parsePacket(bytes, 0, bytes.length, packet);
    if (packet.defect !== null || (packet.transport !== "tcp" && packet.transport !== "udp")) continue;
    const [source, destination] = [formatAddress(packet.source), formatAddress(packet.destination)];
    const key = directionKey(source, packet.sourcePort, destination, packet.destinationPort);
    const back = directionKey(destination, packet.destinationPort, source, packet.sourcePort);
    const isTcp = packet.transport === "tcp";
    const isSyn = isTcp && (packet.flags & (SYN | ACK)) === SYN;
    if (packet.payloadLength === 0 && !(isTcp && (packet.flags & SYN) !== 0)) continue;
    const direction = all.get(key) ?? {
      key,
      transport: packet.transport,
      destinationPort: packet.destinationPort,
      initialSequence: (packet.flags & SYN) !== 0 ? packet.seq : (packet.seq - 1) >>> 0,
      pieces: [],
    };
    all.set(key, direction);
    if (isSyn || (!opening.has(back) && !(isTcp && (packet.flags & SYN) !== 0))) opening.add(key);
    if (packet.payloadLength === 0) continue;
    direction.pieces.push({
      seq: isSyn ? (packet.seq + 1) >>> 0 : packet.seq,
      bytes: bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength),
      answered: (all.get(back)?.pieces.length ?? 0) > 0,
    });
  }
  return [...all.values()].filter((direction) => opening.has(direction.key));
}
