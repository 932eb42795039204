/**
 * A WebSocket server (RFC 6455) on the lab's web servers: it sends back each message as it came. Fragments are put together,
 * pings answered, a close echoed. What it reads is shown to the sink.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

/** RFC 6455 section 1.3. */
const keySuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const maxMessage = 16 << 20;

type Frame = { final: boolean; opcode: number; payload: Buffer; size: number };

/** Takes over a connection whose request asked for an upgrade. */
export function echoWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  read: (text: Buffer) => void,
): void {
  const key = request.headers["sec-websocket-key"];
  socket.on("error", () => socket.destroy());
  if (key === undefined || request.headers.upgrade?.toLowerCase() !== "websocket") {
    return void socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  }
  const accept = createHash("sha1").update(`${key}${keySuffix}`).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  let pending = head;
  let message: { opcode: number; parts: Buffer[] } | undefined;
  const onFrame = ({ final, opcode, payload }: Frame): void => {
    if (opcode === opcodes.ping) return void socket.write(frame(opcodes.pong, payload));
    if (opcode === opcodes.close) return void socket.end(frame(opcodes.close, payload));
    if (opcode === opcodes.pong) return;
    read(payload);
    message ??= { opcode, parts: [] };
    message.parts.push(payload);
    if (!final) return;
    socket.write(frame(message.opcode, Buffer.concat(message.parts)));
    message = undefined;
  };
  const advance = (chunk: Buffer): void => {
    pending = Buffer.concat([pending, chunk]);
    if (pending.length > maxMessage) return void socket.destroy();
    for (let next = readFrame(pending); next !== null; next = readFrame(pending)) {
      pending = pending.subarray(next.size);
      onFrame(next);
    }
  };
  advance(Buffer.alloc(0));
  socket.on("data", advance);
}

/** The first frame (section 5.2), unmasked; null where it is not whole yet. */
function readFrame(bytes: Buffer): Frame | null {
  if (bytes.length < 2) return null;
  const short = bytes[1]! & 0x7f;
  const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
  const masked = (bytes[1]! & 0x80) !== 0;
  const start = 2 + lengthBytes + (masked ? 4 : 0);
  if (bytes.length < start) return null;
  const length =
    lengthBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : lengthBytes === 2 ? bytes.readUInt16BE(2) : short;
  const size = start + length;
  if (bytes.length < size) return null;
  const payload = Buffer.from(bytes.subarray(start, size));
  if (masked) for (let i = 0; i < length; i++) payload[i]! ^= bytes[start - 4 + (i % 4)]!;
  return { final: (bytes[0]! & 0x80) !== 0, opcode: bytes[0]! & 0x0f, payload, size };
}

/** One whole message, unmasked as a server's must be. */
function frame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const long = Buffer.alloc(length > 65_535 ? 8 : length > 125 ? 2 : 0);
  if (long.length === 8) long.writeBigUInt64BE(BigInt(length));
  else if (long.length === 2) long.writeUInt16BE(length);
  const short = long.length === 8 ? 127 : long.length === 2 ? 126 : length;
  return Buffer.concat([Buffer.of(0x80 | opcode, short), long, payload]);
}
