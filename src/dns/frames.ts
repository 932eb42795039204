/**
 * DNS messages out of a TCP stream: each has a two-byte length before it (RFC 1035 section 4.2.2), and segment borders mean
 * nothing. Pure. Holds at most one message, in one buffer that grows with what has come of it: neither a length that promises
 * 64 kB nor a message in segments of one byte takes more memory than its bytes do.
 */
export class FrameReader {
  /** What has come of a frame, length included; empty between messages. */
  #buffer = new Uint8Array(0);
  #held = 0;

  /** Adds a segment and returns the messages that are now whole, in order. */
  push(chunk: Uint8Array): Uint8Array[] {
    const out: Uint8Array[] = [];
    let at = 0;
    while (at < chunk.length) {
      // A message that is whole in this segment is not copied.
      const end = this.#held === 0 && chunk.length - at >= 2 ? at + 2 + u16(chunk, at) : Infinity;
      if (end <= chunk.length) {
        out.push(chunk.subarray(at + 2, end));
        at = end;
        continue;
      }
      const wanted = this.#held < 2 ? 2 : 2 + u16(this.#buffer, 0);
      const taken = Math.min(wanted - this.#held, chunk.length - at);
      this.#append(chunk.subarray(at, at + taken));
      at += taken;
      if (this.#held >= 2 && this.#held === 2 + u16(this.#buffer, 0)) {
        out.push(this.#buffer.subarray(2, this.#held));
        this.#buffer = new Uint8Array(0);
        this.#held = 0;
      }
    }
    return out;
  }

  /** True in the middle of a message. */
  get partial(): boolean {
    return this.#held > 0;
  }

  /** Bytes of memory held. */
  get capacity(): number {
    return this.#buffer.length;
  }

  #append(bytes: Uint8Array): void {
    const size = this.#held + bytes.length;
    if (size > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(64, size, this.#buffer.length * 2));
      grown.set(this.#buffer.subarray(0, this.#held));
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, this.#held);
    this.#held = size;
  }
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** A message (at most 65535 bytes) with its length before it. */
export function frame(message: Uint8Array): Uint8Array {
  const out = new Uint8Array(2 + message.length);
  out[0] = message.length >>> 8;
  out[1] = message.length;
  out.set(message, 2);
  return out;
}
