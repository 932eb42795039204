/**
 * A bounded memory of answers: few addresses and names make most of the traffic. When it is full it starts over, so an
 * attacker who asks for ever new names costs the uncached lookup and no memory.
 */
export class Memo<V> {
  readonly #limit: number;
  readonly #known = new Map<string, V>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): V | undefined {
    return this.#known.get(key);
  }

  set(key: string, value: V): V {
    if (this.#known.size >= this.#limit) this.#known.clear();
    this.#known.set(key, value);
    return value;
  }
}
