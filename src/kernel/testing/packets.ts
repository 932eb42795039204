/** Packets that no socket would send, for tests of the ruleset. */
import { type Address, addressToBytes } from "../../address/ip.ts";
import { address, addresses } from "./lab.ts";

/** RFC 1071 over a packet from `start` on, with `sum` (pseudo header protocol and length) to begin with. */
export function checksum(packet: Buffer, start: number, sum: number): number {
  for (let i = start; i < packet.length; i += 2)
    sum += i + 1 < packet.length ? packet.readUInt16BE(i) : packet[i]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** A TCP segment without data from the client to the server, with a sequence number that fits no window. */
export function tcpPacket(v: 4 | 6, source: number, destination: number, flags: number): Buffer {
  const [client, server] = [address(addresses[v].client), address(addresses[v].server)];
  return tcpSegment(client, server, source, destination, 0x7fffffff, flags);
}

/** A TCP segment without data; addresses of one family, then ports. */
export function tcpSegment(
  source: Address,
  destination: Address,
  from: number,
  to: number,
  sequence: number,
  flags: number,
): Buffer {
  const v4 = source.length === 4;
  const header = v4 ? 20 : 40;
  const packet = Buffer.alloc(header + 20);
  if (v4) {
    packet[0] = 0x45;
    packet.writeUInt16BE(packet.length, 2);
    packet[8] = 64;
    packet[9] = 6;
  } else {
    packet[0] = 0x60;
    packet.writeUInt16BE(20, 4);
    packet[6] = 6;
    packet[7] = 64;
  }
  packet.set(addressToBytes(source), v4 ? 12 : 8);
  packet.set(addressToBytes(destination), v4 ? 16 : 24);
  packet.writeUInt16BE(from, header);
  packet.writeUInt16BE(to, header + 2);
  packet.writeUInt32BE(sequence, header + 4);
  packet[header + 12] = 0x50;
  packet[header + 13] = flags;
  packet.writeUInt16BE(1000, header + 14);
  packet.writeUInt16BE(checksum(packet, v4 ? 12 : 8, 6 + 20), header + 16);
  return packet;
}

/** An ICMP error from the client about an answer from server port 7000, with `padding` bytes more of quotation. */
export function icmpError(clientPort: number, type: number, code: number, padding: number): Buffer {
  const packet = Buffer.alloc(20 + 8 + 28 + padding);
  packet[0] = 0x45;
  packet.writeUInt16BE(packet.length, 2);
  packet[8] = 64;
  packet[9] = 1;
  packet.set(addressToBytes(address(addresses[4].client)), 12);
  packet.set(addressToBytes(address(addresses[4].server)), 16);
  packet[20] = type;
  packet[21] = code;
  const quoted = packet.subarray(28);
  quoted[0] = 0x45;
  quoted.writeUInt16BE(quoted.length, 2);
  quoted[8] = 64;
  quoted[9] = 17;
  quoted.set(addressToBytes(address(addresses[4].server)), 12);
  quoted.set(addressToBytes(address(addresses[4].client)), 16);
  quoted.writeUInt16BE(checksum(quoted.subarray(0, 20), 0, 0), 10);
  quoted.writeUInt16BE(7000, 20);
  quoted.writeUInt16BE(clientPort, 22);
  quoted.writeUInt16BE(8 + padding, 24);
  packet.writeUInt16BE(checksum(packet.subarray(20), 0, 0), 22);
  return packet;
}
