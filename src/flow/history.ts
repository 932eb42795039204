/**
 * The last bytes of a stream that went on, so that a retransmission can be compared with what was judged: different bytes
 * for the same sequence numbers are an attack (threat N6), not a network fault. Grows with what was sent, up to 1 MiB.
 */
const first = 4 * 1024;
const most = 1024 * 1024;

export class StreamHistory {
  #ring = new Uint8Array(first);
  /** Bytes recorded in all; the ring holds the last `#ring.length` of them. */
  #total = 0;

  /** Records bytes that follow what was recorded before. */
  record(bytes: Uint8Array): void {
    while (this.#ring.length < most && this.#total + bytes.length > this.#ring.length) this.#grow();
    const tail = bytes.length > this.#ring.length ? bytes.subarray(bytes.length - this.#ring.length) : bytes;
    let at = (this.#total + bytes.length - tail.length) % this.#ring.length;
    for (let i = 0; i < tail.length; i++) {
      this.#ring[at] = tail[i]!;
      if (++at === this.#ring.length) at = 0;
    }
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

  #grow(): void {
    const kept = Math.min(this.#total, this.#ring.length);
    const next = new Uint8Array(this.#ring.length * 2);
    for (let i = this.#total - kept; i < this.#total; i++) next[i % next.length] = this.#ring[i % this.#ring.length]!;
    this.#ring = next;
  }
}
