/**
 * A TLS flow's bytes after its judged hello, put together until it is known whether they are a second hello (threat N10), and
 * the memory of what was found: other bytes in their place are refused, as for the first hello (`delivery.ts`).
 */
import { StreamHead, streamLimits } from "../wire/stream.ts";
import type { ClientHello } from "../wire/tls/hello.ts";
import { readAfterHello } from "../wire/tls/second-hello.ts";

/**
 * - `pass`: nothing that could be a hello, up to `end` (a sequence number); what lies beyond it waits for what is missing.
 * - `wait`: a hello may have begun.
 * - `ahead`: too far ahead to be kept.
 * - `over`: there is no second hello, or it was `hello`. `shown` are the bytes that show it.
 */
export type After =
  | { state: "pass"; end: number }
  | { state: "wait" }
  | { state: "ahead" }
  | { state: "over"; hello: ClientHello | null; shown: Uint8Array }
  | { state: "overlap" | "too_large" | "malformed" };

export class AfterHello {
  /** Sequence number of the first byte after the hello. */
  readonly first: number;
  readonly #earlyData: boolean;
  #head: StreamHead | null;
  /** Sequence number after the last byte taken. */
  end: number;

  constructor(first: number, earlyData: boolean) {
    this.first = first;
    this.end = first;
    this.#earlyData = earlyData;
    this.#head = new StreamHead(first - 1);
  }

  /** It is not known yet whether a second hello comes. */
  get isReading(): boolean {
    return this.#head !== null;
  }

  get memory(): number {
    return this.#head?.capacity ?? 0;
  }

  /** The byte lies among those that were read without a gap. */
  has(sequence: number): boolean {
    return this.#head !== null && ((sequence - this.first) | 0) < this.#head.contiguous().length;
  }

  /** Takes a segment's payload while {@link isReading}. */
  add(sequence: number, payload: Uint8Array): After {
    const head = this.#head!;
    const offset = (sequence - this.first) | 0;
    const from = Math.max(0, -offset);
    const to = Math.min(payload.length, streamLimits.bytes - offset);
    if (to <= from && offset > 0) return { state: "ahead" };
    const added = head.add((sequence + from) >>> 0, payload.subarray(from, Math.max(from, to)));
    if (added === "out_of_window") return { state: "ahead" };
    if (added !== "ok") return { state: added };
    if (offset + to > ((this.end - this.first) | 0)) this.end = (this.first + offset + to) >>> 0;
    const bytes = head.contiguous();
    const read = readAfterHello(bytes, this.#earlyData);
    switch (read.state) {
      case "nothing_yet":
        // More early data than any server throws away.
        if (bytes.length === streamLimits.bytes) return this.#over(null, bytes.length);
        return { state: "pass", end: (this.first + bytes.length) >>> 0 };
      case "need_more":
        return { state: "wait" };
      case "no_hello":
        return this.#over(null, read.end);
      case "hello":
        return this.#over(read.hello, read.end);
      case "malformed":
      case "too_large":
        return read;
    }
  }

  #over(hello: ClientHello | null, end: number): After {
    const shown = this.#head!.contiguous().slice(0, end);
    this.#head = null;
    return { state: "over", hello, shown };
  }
}
