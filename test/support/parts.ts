/** Several byte strings as one, each behind two bytes of length: how the corpus holds the input of a parser that is fed in turns. */
export function joinParts(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.alloc(parts.reduce((sum, part) => sum + 2 + part.length, 0));
  let at = 0;
  for (const part of parts) {
    at = bytes.writeUInt16BE(part.length, at);
    bytes.set(part, at);
    at += part.length;
  }
  return Uint8Array.from(bytes);
}

/** The parts of any bytes: a length that says too much takes what is left. */
export function splitParts(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at + 2 <= bytes.length;) {
    const size = (bytes[at]! << 8) | bytes[at + 1]!;
    parts.push(bytes.subarray(at + 2, at + 2 + size));
    at += 2 + size;
  }
  return parts;
}
