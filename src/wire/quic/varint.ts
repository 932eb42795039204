/** QUIC's variable-length integers (RFC 9000 section 16), read without exceptions from any bytes. */

/** Position in a buffer, moved by {@link readVarint}. */
export interface Cursor {
  bytes: Uint8Array;
  at: number;
  /** Exclusive. */
  end: number;
}

/** Returned where the bytes end inside the integer; the cursor stays. */
export const varintTruncated = -1;

/** Reads one integer and moves on. Values over 2^53 come back as infinity: larger than any length or offset. */
export function readVarint(cursor: Cursor): number {
  const { bytes, at } = cursor;
  if (at >= cursor.end) return varintTruncated;
  const first = bytes[at]!;
  const size = 1 << (first >> 6);
  if (at + size > cursor.end) return varintTruncated;
  let value = first & 0x3f;
  for (let i = 1; i < size; i++) value = value * 256 + bytes[at + i]!;
  cursor.at = at + size;
  return value > Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : value;
}
