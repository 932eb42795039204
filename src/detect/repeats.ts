/**
 * Says a thing once in a while: the first of its kind at once, what follows as a count when the window closes. Bounded; beyond it
 * the kinds are not told apart. Pure: the time is a parameter.
 */

export interface Repeated<T> {
  value: T;
  count: number;
  /** Milliseconds since the epoch. */
  first: number;
  last: number;
}

interface Entry<T> extends Repeated<T> {
  closes: number;
}

export class Repeats<T> {
  readonly #window: number;
  readonly #most: number;
  /** In the order of their windows' beginnings. */
  readonly #entries = new Map<string, Entry<T>>();

  /** `window` in milliseconds. */
  constructor(window = 3_600_000, most = 1_000) {
    this.#window = window;
    this.#most = most;
  }

  /** True where it is the first of its kind in the window; else it is counted. */
  isNew(key: string, value: T, now: number): boolean {
    const at = this.#entries.has(key) || this.#entries.size < this.#most ? key : "";
    const known = this.#entries.get(at);
    if (known === undefined) {
      this.#entries.set(at, { value, count: 0, first: now, last: now, closes: now + this.#window });
      return true;
    }
    if (known.count++ === 0) known.first = now;
    known.last = now;
    return false;
  }

  /** What followed in windows that have closed by `now` (Infinity: all). */
  closed(now: number): Repeated<T>[] {
    const out: Repeated<T>[] = [];
    for (const [key, entry] of this.#entries) {
      if (entry.closes > now) break;
      this.#entries.delete(key);
      const { value, count, first, last } = entry;
      if (count > 0) out.push({ value, count, first, last });
    }
    return out;
  }
}
