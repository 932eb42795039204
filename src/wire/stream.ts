/**
 * The head of one direction of a TCP connection, put together from segments in any order until the flow has a verdict.
 * It promises the same bytes the peer's stack will hand to its application, or it says why it cannot. It does not know
 * flags: a caller refuses URG before the verdict (urgent bytes leave the stream at some receivers and not at others)
 * and adds one to the sequence number of data inside a SYN.
 */
import { Reassembly } from "./reassembly.ts";

/**
 * - `overlap`: bytes came twice with different content (inconsistent retransmission).
 * - `too_large`: past the cap on bytes, on separate ranges or on segments.
 * - `out_of_window`: before the first byte, or so far ahead that no receive window reaches it.
 */
export type Added = "ok" | "overlap" | "too_large" | "out_of_window";

/** Caps. `ranges`: pieces with gaps between them. */
export interface StreamLimits {
  bytes: number;
  ranges: number;
  segments: number;
}

export const streamLimits: StreamLimits = { bytes: 65536, ranges: 64, segments: 4096 };

/** The largest receive window TCP can have: 2^30 (RFC 7323 section 2.3). */
const largestWindow = 2 ** 30;

export class StreamHead {
  readonly #first: number;
  readonly #limits: StreamLimits;
  readonly #bytes: Reassembly;
  #segments = 0;

  /** @param initialSequence the SYN's sequence number; the stream's first byte has the next one (RFC 9293 section 3.4) */
  constructor(initialSequence: number, limits: StreamLimits = streamLimits) {
    this.#first = (initialSequence + 1) >>> 0;
    this.#limits = limits;
    this.#bytes = new Reassembly(limits.bytes, limits.ranges);
  }

  /**
   * Copies a segment's payload to its place. Sequence numbers wrap (serial-number arithmetic in the manner of RFC 1982).
   * A repeat with the same bytes is `ok`. On anything else nothing is kept of it.
   */
  add(sequence: number, bytes: Uint8Array): Added {
    if (bytes.length === 0) return "ok";
    const offset = (sequence - this.#first) | 0;
    if (offset < 0 || offset >= largestWindow) return "out_of_window";
    if (this.#segments >= this.#limits.segments) return "too_large";
    const written = this.#bytes.write(offset, bytes);
    if (written === "ok") this.#segments++;
    return written;
  }

  /** The bytes from the first on without a gap. A view: valid until the next `add`. */
  contiguous(): Uint8Array {
    return this.#bytes.contiguous();
  }

  /** Segments with payload taken so far, repeats included. */
  get segments(): number {
    return this.#segments;
  }

  /** Bytes of memory held, for budgets per source. */
  get capacity(): number {
    return this.#bytes.capacity;
  }
}
