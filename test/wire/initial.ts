/**
 * Seals QUIC Initial packets as a client does (RFC 9001 section 5), for the tests of the parser. Only the key derivation
 * is shared with it, and that is held by the vectors of the RFCs.
 */
import { createCipheriv } from "node:crypto";
import { deriveClientKeys } from "../../src/wire/quic/keys.ts";
import { bytes } from "./hello.ts";

export interface InitialParts {
  version?: 1 | 2;
  dcid?: Uint8Array;
  scid?: Uint8Array;
  token?: Uint8Array;
  number?: number;
  /** Bytes of the packet number on the wire. */
  numberSize?: 1 | 2 | 3 | 4;
  /** The id whose keys seal the packet; the packet's own by default. */
  keysOf?: Uint8Array;
  reserved?: number;
}

export const firstId = Uint8Array.from([0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08]);

export function varint(value: number): Uint8Array {
  if (value < 64) return bytes(value);
  if (value < 16384) return bytes(0x40 | (value >> 8), value & 255);
  return bytes(0x80 | (value >>> 24), (value >> 16) & 255, (value >> 8) & 255, value & 255);
}

export const cryptoFrame = (offset: number, data: Uint8Array) => bytes(6, varint(offset), varint(data.length), data);

/** Two-byte length, as common stacks write it. */
const length2 = (value: number) => [0x40 | (value >> 8), value & 255];

export function sealInitial(frames: Uint8Array, parts: InitialParts = {}): Uint8Array<ArrayBuffer> {
  const version = parts.version ?? 1;
  const dcid = parts.dcid ?? firstId;
  const scid = parts.scid ?? new Uint8Array(0);
  const token = parts.token ?? new Uint8Array(0);
  const size = parts.numberSize ?? 4;
  const number = parts.number ?? 0;
  const keys = deriveClientKeys(version, parts.keysOf ?? dcid);
  const type = version === 1 ? 0 : 1;
  const numberBytes = [24, 16, 8, 0].slice(4 - size).map((shift) => (number >>> shift) & 255);
  const header = bytes(
    0xc0 | (type << 4) | ((parts.reserved ?? 0) << 2) | (size - 1),
    version === 1 ? [0, 0, 0, 1] : [0x6b, 0x33, 0x43, 0xcf],
    dcid.length,
    dcid,
    scid.length,
    scid,
    varint(token.length),
    token,
    length2(size + frames.length + 16),
    numberBytes,
  );
  const nonce = Buffer.from(keys.iv);
  for (let i = 0; i < 4; i++) nonce[11 - i]! ^= (number >>> (8 * i)) & 255;
  const gcm = createCipheriv("aes-128-gcm", keys.key, nonce);
  gcm.setAAD(header);
  const sealed = bytes(gcm.update(frames), gcm.final(), gcm.getAuthTag());
  const sample = sealed.subarray(4 - size, 20 - size);
  const mask = createCipheriv("aes-128-ecb", keys.hp, null).update(sample);
  header[0]! ^= mask[0]! & 0x0f;
  for (let i = 0; i < size; i++) header[header.length - size + i]! ^= mask[1 + i]!;
  return bytes(header, sealed);
}

/** Initial packets as one datagram of the size that servers demand; zeros after the packets are legal padding of it. */
export function datagram(...packets: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = bytes(...packets);
  return joined.length >= 1200 ? joined : bytes(joined, new Uint8Array(1200 - joined.length));
}

/** `frames` filled up with PADDING frames to `size` bytes. */
export const padded = (frames: Uint8Array, size: number) =>
  bytes(frames, new Uint8Array(Math.max(0, size - frames.length)));
