/**
 * What was said a moment ago, by key: memory that forgets by itself. Two generations, of which the older one is forgotten as a
 * whole; over the bound that happens early. Holds nothing that anything is decided by, only what tells a repeat from news.
 */
const mostKeys = 65_536;

export class Recent<T> {
  readonly #generationMs: number;
  #young = new Map<string, T>();
  #old = new Map<string, T>();
  #turned = Number.NEGATIVE_INFINITY;

  /** @param generationMs what is added is kept for one to three of these, ms */
  constructor(generationMs: number) {
    this.#generationMs = generationMs;
  }

  set(key: string, value: T, now: number): void {
    this.#turn(now);
    if (this.#young.size >= mostKeys) this.#forgetOlder(now);
    this.#young.set(key, value);
  }

  get(key: string, now: number): T | undefined {
    this.#turn(now);
    return this.#young.get(key) ?? this.#old.get(key);
  }

  forget(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  #turn(now: number): void {
    const age = now - this.#turned;
    if (age < this.#generationMs) return;
    if (age >= 2 * this.#generationMs) this.#young = new Map();
    this.#forgetOlder(now);
  }

  #forgetOlder(now: number): void {
    this.#old = this.#young;
    this.#young = new Map();
    this.#turned = now;
  }
}
