/**
 * Opens a client's Initial packets. Their keys derive from public bytes (RFC 9001 section 5.2): the encryption hides nothing
 * from anyone who reads the specification, but it does prove that the packet is whole and belongs to that connection id.
 */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import type { LongHeader, QuicVersion } from "./header.ts";

export interface InitialKeys {
  key: Buffer;
  iv: Buffer;
  hp: Buffer;
}

/** RFC 9001 section 5.2 and RFC 9369 section 3.3.1 and 3.3.2. */
const constants: Record<QuicVersion, { salt: Buffer; prefix: string }> = {
  1: { salt: Buffer.from("38762cf7f55934b34d179ae6a4c80cadccbb7f0a", "hex"), prefix: "quic" },
  2: { salt: Buffer.from("0dede3def700a6db819381be6e269dcbf9bd2ed9", "hex"), prefix: "quicv2" },
};

/** The keys of the client's Initial packets, from the destination connection id the client chose first. */
export function deriveClientKeys(version: QuicVersion, dcid: Uint8Array): InitialKeys {
  const { salt, prefix } = constants[version];
  const initial = createHmac("sha256", salt).update(dcid).digest();
  const secret = expandLabel(initial, "client in", 32);
  return {
    key: expandLabel(secret, `${prefix} key`, 16),
    iv: expandLabel(secret, `${prefix} iv`, 12),
    hp: expandLabel(secret, `${prefix} hp`, 16),
  };
}

/** HKDF-Expand-Label with an empty context (RFC 8446 section 7.1); one block of SHA-256 is always enough here. */
function expandLabel(secret: Buffer, label: string, length: number): Buffer {
  const full = `tls13 ${label}`;
  const info = Buffer.concat([Buffer.from([0, length, full.length]), Buffer.from(full, "latin1"), Buffer.from([0, 1])]);
  return createHmac("sha256", secret).update(info).digest().subarray(0, length);
}

/** An opened packet: its frames, its number, and whether its reserved bits are zero, as they must be. */
export interface Opened {
  payload: Uint8Array;
  number: number;
  /** The number is not the one on the wire: it was completed by those of other packets. */
  isCompleted: boolean;
  reservedBitsClear: boolean;
}

const sampleBytes = 16;
const tagBytes = 16;

/**
 * Removes header protection (RFC 9001 section 5.4) and opens the packet (section 5.3).
 *
 * @param expected the packet number after the largest opened so far, to complete a shortened one (RFC 9000 appendix A.3)
 * @returns null where the packet is too short or the keys do not open it
 */
export function openInitial(
  datagram: Uint8Array,
  header: LongHeader,
  keys: InitialKeys,
  expected: number,
): Opened | null {
  const { start, packetNumber: at, end } = header;
  if (end - at < 4 + sampleBytes) return null;
  const sample = datagram.subarray(at + 4, at + 4 + sampleBytes);
  const ecb = createCipheriv("aes-128-ecb", keys.hp, null);
  const mask = ecb.update(sample);
  const first = datagram[start]! ^ (mask[0]! & 0x0f);
  const size = (first & 3) + 1;
  const associated = Buffer.from(datagram.subarray(start, at + size));
  associated[0] = first;
  let shortened = 0;
  for (let i = 0; i < size; i++) {
    const byte = datagram[at + i]! ^ mask[1 + i]!;
    associated[at - start + i] = byte;
    shortened = shortened * 256 + byte;
  }
  const number = completeNumber(shortened, size, expected);
  const nonce = Buffer.from(keys.iv);
  for (let i = 0, rest = number; i < 8 && rest > 0; i++) {
    nonce[11 - i]! ^= rest & 0xff;
    rest = Math.floor(rest / 256);
  }
  const gcm = createDecipheriv("aes-128-gcm", keys.key, nonce);
  gcm.setAAD(associated);
  gcm.setAuthTag(datagram.subarray(end - tagBytes, end));
  const payload = gcm.update(datagram.subarray(at + size, end - tagBytes));
  try {
    gcm.final();
  } catch {
    return null;
  }
  return { payload, number, isCompleted: number !== shortened, reservedBitsClear: (first & 0x0c) === 0 };
}

/** RFC 9000 appendix A.3. */
function completeNumber(shortened: number, size: number, expected: number): number {
  const window = 2 ** (8 * size);
  const candidate = expected - (expected % window) + shortened;
  if (candidate <= expected - window / 2) return candidate + window;
  if (candidate > expected + window / 2 && candidate >= window) return candidate - window;
  return candidate;
}
