/**
 * Heads that were copied elsewhere while the record was written: the one thing that somebody who has the record, the machine and
 * the key cannot change. Each must be in the record, at its number.
 */
import type { Link } from "./chain.ts";
import { isHash, isSeq } from "./segment.ts";
import { readStatement } from "./signature.ts";

export class KnownHeads {
  readonly #hashes = new Map<number, Set<string>>();
  #last = 0;

  constructor(heads: readonly Link[] = []) {
    for (const { seq, hash } of heads) {
      this.#hashes.set(seq, (this.#hashes.get(seq) ?? new Set()).add(hash));
      this.#last = Math.max(this.#last, seq);
    }
  }

  /** The number of the last of them; 0 where there is none. */
  get last(): number {
    return this.#last;
  }

  /** Whether a record is what the heads of its number say. Two that differ never are: the past was another one in between. */
  fits({ seq, hash }: Link): boolean {
    const known = this.#hashes.get(seq);
    return known === undefined || (known.size === 1 && known.has(hash));
  }

  /** How many are of records before `first`, which is all that can be said of them. */
  before(first: number): number {
    return [...this.#hashes.keys()].filter((seq) => seq < first).length;
  }
}

/** Copies of `head.json`, one a line, signed or not; the number of the first line that is none. Never throws. */
export function readKnownHeads(text: string): Link[] | number {
  const heads: Link[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const { schema, seq, hash } = readStatement(line)?.members ?? {};
    if (schema !== "sallyport.head/1" || !(seq === 0 || isSeq(seq)) || !isHash(hash)) return index + 1;
    if (seq > 0) heads.push({ seq, hash });
  }
  return heads;
}
