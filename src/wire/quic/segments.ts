/**
 * Several datagrams handed over as one. A sender's kernel may pass datagrams of equal size on in one piece and cut them on
 * the way out (UDP_SEGMENT, udp(7)); over a virtual link that piece is what a firewall sees, without the size it will be
 * cut at. A datagram of the server's may then begin anywhere in it, also in the middle of what looks like another packet.
 * All pieces but the last are equally long and the last is not longer, so one that brings an Initial, which servers take in
 * 1200 bytes or more only, has 2400 or more in all.
 */
import { readHeader, type LongHeader } from "./header.ts";
import { minDatagram } from "./limits.ts";

/** UDP payloads from this size on may be several datagrams of which a later one has an Initial. */
export const minSeveral = 2 * minDatagram;

/** First bytes of long headers after the first one: the versions whose Initials we can read. */
const versions = [Buffer.from([0, 0, 0, 1]), Buffer.from([0x6b, 0x33, 0x43, 0xcf])];

/** Places looked at before the piece is given up. */
const mostPlaces = 256;

/** Every place but `known` where an Initial may begin; null at the end where there were too many places to look at. */
export function* hiddenInitials(payload: Uint8Array, known: readonly number[]): Generator<LongHeader | null> {
  if (payload.length < minSeveral) return;
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  let places = 0;
  for (const version of versions) {
    for (let at = bytes.indexOf(version, 1); at >= 0; at = bytes.indexOf(version, at + 1)) {
      if ((bytes[at - 1]! & 0x80) === 0 || known.includes(at - 1)) continue;
      if (++places > mostPlaces) return void (yield null);
      const header = readHeader(bytes, at - 1);
      if (typeof header !== "string" && header.type === "initial") yield header;
    }
  }
}
