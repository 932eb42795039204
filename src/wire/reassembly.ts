/**
 * Puts pieces of a byte stream in place: one growing buffer, a short list of filled ranges. Strict where receivers
 * differ: bytes that arrive twice must be the same bytes, because one host keeps the first and another the last
 * (Ptacek and Newsham, "Insertion, Evasion, and Denial of Service", 1998), and a name read from one of two versions
 * proves nothing. Bounded in bytes and in ranges. Used for TCP (`stream.ts`) and for QUIC's CRYPTO stream.
 */
export type Written = "ok" | "overlap" | "too_large";

const firstCapacity = 2048;

export class Reassembly {
  readonly #limit: number;
  readonly #maxRanges: number;
  #buffer = new Uint8Array(0);
  /** Filled ranges, ascending, neither touching nor overlapping: `#starts[i]` inclusive, `#ends[i]` exclusive. */
  #starts: number[] = [];
  #ends: number[] = [];

  /**
   * @param limit bytes kept at most, counted from the stream's first
   * @param maxRanges separate filled ranges kept at most
   */
  constructor(limit: number, maxRanges: number) {
    this.#limit = limit;
    this.#maxRanges = maxRanges;
  }

  /**
   * Places `bytes` at `offset` (0 is the stream's first byte). Copies. On anything but `ok` nothing is changed.
   *
   * @returns `overlap` where a byte already there differs; `too_large` past the limits
   */
  write(offset: number, bytes: Uint8Array): Written {
    if (bytes.length === 0) return "ok";
    const end = offset + bytes.length;
    if (offset < 0 || end > this.#limit) return "too_large";
    const starts = this.#starts;
    const ends = this.#ends;
    let first = 0;
    while (first < starts.length && ends[first]! < offset) first++;
    let past = first;
    while (past < starts.length && starts[past]! <= end) past++;
    for (let i = first; i < past; i++) {
      const from = Math.max(starts[i]!, offset);
      const to = Math.min(ends[i]!, end);
      for (let at = from; at < to; at++) if (this.#buffer[at] !== bytes[at - offset]) return "overlap";
    }
    if (past === first && starts.length === this.#maxRanges) return "too_large";
    const from = past > first ? Math.min(starts[first]!, offset) : offset;
    const to = past > first ? Math.max(ends[past - 1]!, end) : end;
    starts.splice(first, past - first, from);
    ends.splice(first, past - first, to);
    this.#reserve(end);
    this.#buffer.set(bytes, offset);
    return "ok";
  }

  /** The bytes from the first on without a gap. A view: valid until the next `write`. */
  contiguous(): Uint8Array {
    return this.#buffer.subarray(0, this.#starts[0] === 0 ? this.#ends[0]! : 0);
  }

  /** Whether every byte held here that lies inside `bytes` (from offset 0) is the same there. */
  agreesWith(bytes: Uint8Array): boolean {
    for (let i = 0; i < this.#starts.length; i++) {
      const to = Math.min(this.#ends[i]!, bytes.length);
      for (let at = this.#starts[i]!; at < to; at++) if (this.#buffer[at] !== bytes[at]) return false;
    }
    return true;
  }

  /** Bytes of memory held. */
  get capacity(): number {
    return this.#buffer.length;
  }

  #reserve(size: number): void {
    if (size <= this.#buffer.length) return;
    let capacity = Math.max(firstCapacity, this.#buffer.length);
    while (capacity < size) capacity *= 2;
    const grown = new Uint8Array(Math.min(capacity, this.#limit));
    grown.set(this.#buffer);
    this.#buffer = grown;
  }
}
