/**
 * Reads QUIC long headers (RFC 9000 section 17.2, RFC 9369 section 3.2), which is all of a packet that is legible without
 * keys. Versions 1 and 2 only: what an unknown version means, nobody on the path can know. Called by `initial.ts` for
 * each of the packets coalesced in a datagram.
 */
import { readVarint, type Cursor } from "./varint.ts";

export type QuicVersion = 1 | 2;

export type LongType = "initial" | "zero_rtt" | "handshake" | "retry";

export interface LongHeader {
  version: QuicVersion;
  type: LongType;
  /** Set by all clients but those that know of their server that it does not care (RFC 9287). */
  fixedBit: boolean;
  dcid: Uint8Array;
  scid: Uint8Array;
  /** Offset of the first byte of the packet. */
  start: number;
  /** Offset of the (still protected) packet number. */
  packetNumber: number;
  /** Offset of the first byte after the packet. */
  end: number;
}

/** `short`: a 1-RTT packet, which fills the rest of its datagram. `not_quic`: no QUIC that we know. */
export type HeaderResult = LongHeader | "short" | "not_quic" | "malformed";

const versions = new Map<number, QuicVersion>([
  [0x00000001, 1],
  [0x6b3343cf, 2],
]);

/** By the two type bits; version 2 renumbers them so that middleboxes do not get used to them (RFC 9369 section 3.2). */
const types: Record<QuicVersion, readonly LongType[]> = {
  1: ["initial", "zero_rtt", "handshake", "retry"],
  2: ["retry", "initial", "zero_rtt", "handshake"],
};

/** RFC 9000 section 17.2: longer connection ids do not exist in these versions. */
const maxConnectionId = 20;

/** Reads the packet that starts at `start`, which must lie inside the datagram. */
export function readHeader(datagram: Uint8Array, start: number): HeaderResult {
  const first = datagram[start]!;
  if ((first & 0x80) === 0) return "short";
  const fixedBit = (first & 0x40) !== 0;
  if (datagram.length - start < 7) return "not_quic";
  let code = 0;
  for (let i = 1; i <= 4; i++) code = code * 256 + datagram[start + i]!;
  const version = versions.get(code);
  if (version === undefined) return "not_quic";
  let at = start + 5;
  const dcid = connectionId(datagram, at);
  if (dcid === null) return "malformed";
  at += 1 + dcid.length;
  const scid = connectionId(datagram, at);
  if (scid === null) return "malformed";
  at += 1 + scid.length;
  const type = types[version][(first >> 4) & 3]!;
  if (type === "retry") {
    return { version, type, fixedBit, dcid, scid, start, packetNumber: at, end: datagram.length };
  }
  const cursor: Cursor = { bytes: datagram, at, end: datagram.length };
  if (type === "initial") {
    const token = readVarint(cursor);
    if (token < 0 || token > cursor.end - cursor.at) return "malformed";
    cursor.at += token;
  }
  const length = readVarint(cursor);
  if (length < 0 || length > cursor.end - cursor.at) return "malformed";
  return { version, type, fixedBit, dcid, scid, start, packetNumber: cursor.at, end: cursor.at + length };
}

function connectionId(datagram: Uint8Array, at: number): Uint8Array | null {
  if (at >= datagram.length) return null;
  const length = datagram[at]!;
  if (length > maxConnectionId || at + 1 + length > datagram.length) return null;
  return datagram.subarray(at + 1, at + 1 + length);
}
