/**
 * Flows allowed a moment ago. Packets of theirs may still stand in the queue from before the verdict (a tail loss probe,
 * RFC 8985; a window update): they belong to an allowed flow and must neither be refused as strangers nor put the
 * connection's mark back. Bounded: two generations, of which the older is forgotten as a whole.
 */

/** A generation's life, ms: much longer than a packet waits in the queue. */
const generationMs = 5_000;
/** Over it the older generation goes early; its late packets are then refused, and their sender sees a reset. */
const mostKeys = 65_536;

export class RecentlyAllowed {
  #young = new Set<string>();
  #old = new Set<string>();
  #turned = 0;

  add(key: string, now: number): void {
    if (this.#young.size >= mostKeys || now - this.#turned >= generationMs) this.#turn(now);
    this.#young.add(key);
  }

  has(key: string, now: number): boolean {
    if (now - this.#turned >= generationMs) this.#turn(now);
    return this.#young.has(key) || this.#old.has(key);
  }

  /** The tuple begins a new connection: what it was allowed counts for nothing (threat T7). */
  forget(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  #turn(now: number): void {
    this.#old = now - this.#turned >= 2 * generationMs ? new Set() : this.#young;
    this.#young = new Set();
    this.#turned = now;
  }
}
