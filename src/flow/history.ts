/**
 * The last bytes of a stream that went on, so that a retransmission can be compared with what was judged: different bytes for
 * the same sequence numbers are an attack (threat N6), not a network fault. Its size is its owner's choice.
 */
const smallest = 2 * 1024;

export class StreamHistory {
  #ring = new Uint8Array(0);
  /** Bytes recorded in all; the ring holds the last `#ring.length` of them, byte `n` at `n % #ring.length`. */
  #total = 0;

  /** Bytes of memory held. */
  get capacity(): number {
    return this.#ring.length;
  }

  /** The capacity that would keep everything, `more` further bytes included, as far as `most` allows. */
  wanted(more: number, most: number): number {
    let capacity = Math.max(smallest, this.#ring.length);
    while (capacity < most && capacity < this.#total + more) capacity *= 2;
    return capacity;
  }

  /** Makes room: `capacity` bytes, not fewer than there are. */
  grow(capacity: number): void {
    if (capacity <= this.#ring.length) return;
    const old = this.#ring;
    const kept = Math.min(this.#total, old.length);
    this.#ring = new Uint8Array(capacity);
    for (let from = this.#total - kept; from < this.#total;) {
      const at = from % old.length;
      const length = Math.min(old.length - at, this.#total - from);
      this.#put(from, old.subarray(at, at + length));
      from += length;
    }
  }

  /** Records bytes that follow what was recorded before. */
  record(bytes: Uint8Array): void {
    const skipped = Math.max(0, bytes.length - this.#ring.length);
    if (this.#ring.length > 0) this.#put(this.#total + skipped, bytes.subarray(skipped));
    this.#total += bytes.length;
  }

  /** Compares bytes that were recorded `back` bytes before the end: `unknown` when they are no longer kept. */
  compare(bytes: Uint8Array, back: number): "same" | "different" | "unknown" {
    if (back > this.#total || back > this.#ring.length) return "unknown";
    let at = (this.#total - back) % this.#ring.length;
    for (let i = 0; i < bytes.length && i < back; i++) {
      if (this.#ring[at] !== bytes[i]) return "different";
      if (++at === this.#ring.length) at = 0;
    }
    return "same";
  }

  /** Writes at most a ring's length, as byte `position` of the stream and on. */
  #put(position: number, bytes: Uint8Array): void {
    const at = position % this.#ring.length;
    const first = bytes.subarray(0, this.#ring.length - at);
    this.#ring.set(first, at);
    if (first.length < bytes.length) this.#ring.set(bytes.subarray(first.length), 0);
  }
}
