/** Reading over the joint of two segments: what stands in both is read once. Used by `read.ts`; queries do it in SQL. */
import { hash as digest } from "node:crypto";
import type { Event } from "./event.ts";
import { isSeq } from "./segment.ts";

/**
 * Where one segment goes over into the next. A segment that somebody wrote to while it was ours is left, and what of it was not
 * yet durable is written again into the next one (`store.ts`): the very same lines then stand in both, and are read once.
 */
export class Joint {
  /** Digests of lines of this segment, and of those before it, each as often as it stood there. */
  #here = new Map<string, number>();
  readonly #before = new Map<string, number>();
  #segment = 0;
  #last = 0;

  /**
   * Whether this very line of the segment that begins with record `segment` was read in one before. It is remembered where its
   * record's number is `remember` or more.
   */
  isRepeat({ seq }: Event, line: Buffer, segment: number, remember: number): boolean {
    if (segment !== this.#segment) this.#goOver(segment);
    if (!isSeq(seq) || (seq > this.#last && seq < remember)) return false;
    const sum = digest("sha256", line, "base64");
    const times = this.#before.get(sum) ?? 0;
    if (times > 1) this.#before.set(sum, times - 1);
    else if (times === 1) this.#before.delete(sum);
    if (seq >= remember) {
      this.#last = Math.max(this.#last, seq);
      this.#here.set(sum, (this.#here.get(sum) ?? 0) + 1);
      forgetOldest(this.#here);
    }
    return times > 0;
  }

  #goOver(segment: number): void {
    this.#segment = segment;
    for (const [sum, times] of this.#here) this.#before.set(sum, (this.#before.get(sum) ?? 0) + times);
    forgetOldest(this.#before);
    this.#here = new Map();
  }
}

function forgetOldest(lines: Map<string, number>): void {
  for (const sum of lines.keys()) {
    if (lines.size <= mostRemembered) return;
    lines.delete(sum);
  }
}

/** More records than a spool holds back before it makes them durable. */
const mostRemembered = 65_536;
