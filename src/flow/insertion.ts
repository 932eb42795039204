/**
 * Bytes that we would read and the server would not, or would read otherwise (insertion; Ptacek and Newsham 1998): such a
 * packet shows us an allowed name, dies on the way or in the server's stack, and the client then sends another hello for the
 * same bytes. What decides is `delivery.ts`: nothing is forwarded unread before the server has answered. Here the cheap and
 * certain cases are refused at once.
 *
 * Refused in packets that carry bytes we judge by: a TTL too low to arrive; IPv4 options and IPv6 extension headers (one
 * unknown option makes the server discard the packet, RFC 8200 section 4.2); segments without ACK; segments with URG (the
 * urgent byte leaves the stream at most servers, RFC 6093); signed segments (MD5, AO: who has no key drops them); a broken list
 * of options. Other options are left alone: who does not know one ignores it (RFC 9293 section 3.1). Bad checksums and
 * bytes outside the window are INVALID to the kernel's connection tracking, which runs before us.
 */
import { ACK, SYN, URG, type Packet } from "../wire/ip/packet.ts";
import { limits } from "./limits.ts";

const kinds = { end: 0, nop: 1, md5: 19, ao: 29, multipath: 30 } as const;

/** What {@link tcpOptions} found, as bits. */
export const MULTIPATH = 1;
export const SIGNED = 2;
export const BROKEN = 4;

/** True when the server could read less than we do, or something else. `start` is where the IP header begins in `bytes`. */
export function couldMiss(bytes: Uint8Array, start: number, packet: Packet): boolean {
  if (packet.hopLimit < limits.minimumTtl || hasNetworkOptions(start, packet)) return true;
  if (packet.transport !== "tcp") return false;
  if ((packet.flags & (ACK | SYN)) === 0 || (packet.flags & URG) !== 0) return true;
  return (tcpOptions(bytes, packet) & (SIGNED | BROKEN)) !== 0;
}

/** IPv4 options or IPv6 extension headers. No client needs them, and they carry what their sender likes. */
export function hasNetworkOptions(start: number, packet: Packet): boolean {
  return packet.transportOffset - start !== (packet.version === 4 ? 20 : 40);
}

/** Which of the TCP options that concern us the segment has. */
export function tcpOptions(bytes: Uint8Array, packet: Packet): number {
  let at = packet.transportOffset + 20;
  const end = packet.payloadOffset;
  let found = 0;
  while (at < end) {
    const kind = bytes[at]!;
    if (kind === kinds.end) break;
    if (kind === kinds.nop) {
      at++;
      continue;
    }
    const length = at + 1 < end ? bytes[at + 1]! : 0;
    if (length < 2 || at + length > end) return found | BROKEN;
    if (kind === kinds.multipath) found |= MULTIPATH;
    else if (kind === kinds.md5 || kind === kinds.ao) found |= SIGNED;
    at += length;
  }
  return found;
}
