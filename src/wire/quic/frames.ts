/**
 * Walks the frames of an opened Initial packet (RFC 9000 section 12.4 and 19) and hands out the CRYPTO frames, which carry
 * the ClientHello. Frames that a client may not send here make the packet malformed, as they do for a server.
 */
import { readVarint, type Cursor } from "./varint.ts";

const PADDING = 0x00;
const PING = 0x01;
const ACK = 0x02;
const ACK_ECN = 0x03;
const CRYPTO = 0x06;
const CONNECTION_CLOSE = 0x1c;

/** `no_frames`: an empty payload is a protocol violation of its own. */
export type FrameDefect = "frame_truncated" | "frame_type" | "no_frames";

/**
 * Reads all frames of a payload. `crypto` gets each CRYPTO frame's offset and data (a view) and stops the walk by
 * returning false.
 *
 * @returns null where every frame was read or `crypto` stopped it
 */
export function readFrames(
  payload: Uint8Array,
  crypto: (offset: number, data: Uint8Array) => boolean,
): FrameDefect | null {
  if (payload.length === 0) return "no_frames";
  const cursor: Cursor = { bytes: payload, at: 0, end: payload.length };
  while (cursor.at < cursor.end) {
    // All frame types known here fit one byte, and a longer form of the same type is a violation (section 12.4).
    const type = payload[cursor.at++]!;
    if (type === PADDING || type === PING) continue;
    if (type === CRYPTO) {
      const offset = readVarint(cursor);
      const data = offset < 0 ? null : readData(cursor);
      if (data === null) return "frame_truncated";
      if (!crypto(offset, data)) return null;
    } else if (type === ACK || type === ACK_ECN) {
      if (!skipAck(cursor, type === ACK_ECN)) return "frame_truncated";
    } else if (type === CONNECTION_CLOSE) {
      if (!skipNumbers(cursor, 2) || readData(cursor) === null) return "frame_truncated";
    } else return "frame_type";
  }
  return null;
}

/** Section 19.3. Each range takes two bytes or more, so the packet's size bounds the walk. */
function skipAck(cursor: Cursor, hasEcn: boolean): boolean {
  if (!skipNumbers(cursor, 2)) return false;
  const ranges = readVarint(cursor);
  if (ranges < 0 || ranges > (cursor.end - cursor.at) / 2) return false;
  return skipNumbers(cursor, 1 + 2 * ranges + (hasEcn ? 3 : 0));
}

function skipNumbers(cursor: Cursor, count: number): boolean {
  for (let i = 0; i < count; i++) if (readVarint(cursor) < 0) return false;
  return true;
}

/** A length and as many bytes. */
function readData(cursor: Cursor): Uint8Array | null {
  const length = readVarint(cursor);
  if (length < 0 || length > cursor.end - cursor.at) return null;
  cursor.at += length;
  return cursor.bytes.subarray(cursor.at - length, cursor.at);
}
