/**
 * DNS messages out of a TCP stream: each has a two-byte length before it (RFC 1035 section 4.2.2), and segment borders mean
 * nothing. Pure. Holds at most one message and the chunk that was pushed.
 */
export class FrameReader {
  private chunks: Uint8Array[] = [];
  private held = 0;

  /** Adds a segment and returns the messages that are now whole, in order. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.chunks.push(chunk);
    this.held += chunk.length;
    const out: Uint8Array[] = [];
    // Chunks are joined only when a whole message is there: one-byte segments cost no repeated copies.
    while (this.held >= 2) {
      const length = this.length();
      if (this.held < 2 + length) break;
      const joined = this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks, this.held);
      out.push(joined.subarray(2, 2 + length));
      this.chunks = [joined.subarray(2 + length)];
      this.held -= 2 + length;
    }
    return out;
  }

  /** True in the middle of a message. */
  get partial(): boolean {
    return this.held > 0;
  }

  private length(): number {
    const bytes: number[] = [];
    for (const chunk of this.chunks) {
      for (let i = 0; i < chunk.length && bytes.length < 2; i++) bytes.push(chunk[i]!);
      if (bytes.length === 2) break;
    }
    return (bytes[0]! << 8) | bytes[1]!;
  }
}

/** A message (at most 65535 bytes) with its length before it. */
export function frame(message: Uint8Array): Uint8Array {
  const out = new Uint8Array(2 + message.length);
  out[0] = message.length >>> 8;
  out[1] = message.length;
  out.set(message, 2);
  return out;
}
