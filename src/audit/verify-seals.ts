/**
 * What seals, and the signature of the head, add to the chain: whether each closed segment is what its seal says, and who
 * vouches for it. Used by `verify.ts`, which goes through the segments in order.
 */
import type { Link } from "./chain.ts";
import { readSeal, sealName } from "./seal.ts";
import type { Seal } from "./seal.ts";
import { segmentAt } from "./segment.ts";
import type { Head, Segment } from "./segment.ts";
import { checkSignature } from "./signature.ts";
import type { Signature, TrustedKey } from "./signature.ts";
import type { Break } from "./verify.ts";

/**
 * - `seal_missing`: a closed segment has no seal, and a key was given.
 * - `seal_edited`: a seal (or the head) is not what was written: it is none, does not fit its segment, or its signature
 *   does not fit its bytes. (With a good signature, what does not fit is the segment: `edited`.)
 * - `seal_unsigned`: it has no signature, and a key was given.
 * - `seal_other_key`: its signature names a key that was not given.
 */
export type SealDefect = "seal_missing" | "seal_edited" | "seal_unsigned" | "seal_other_key";

/** Of the record's closed segments. */
export interface SealSummary {
  closed: number;
  sealed: number;
  /** How many seals are signed, and the ids of the keys that they name. */
  signed: number;
  keys: string[];
  /** Whether the signatures were checked: a key was given. */
  checked: boolean;
}

export class SealCheck {
  readonly summary: SealSummary;
  readonly #directory: string;
  readonly #present: ReadonlySet<number>;
  readonly #keys: readonly TrustedKey[];
  readonly #named = new Set<string>();
  /** The last record that a good signature vouches for. */
  vouched = 0;

  constructor(directory: string, present: ReadonlySet<number>, keys: readonly TrustedKey[]) {
    this.#directory = directory;
    this.#present = present;
    this.#keys = keys;
    this.summary = { closed: 0, sealed: 0, signed: 0, keys: [], checked: keys.length > 0 };
  }

  /** Whether there is a file for this segment's seal. */
  has(segment: Segment): boolean {
    return this.#present.has(segment.first);
  }

  /**
   * Checks the seal of a segment whose lines are good. `before` and `at` are the links around it; `next` is the segment
   * after it, null for the newest.
   */
  async check(segment: Segment, before: Link, at: Link, size: number, next: Segment | null): Promise<Break | null> {
    if (next === null && !this.has(segment)) return null;
    this.summary.closed++;
    // Missing records at its end show in the next segment's first line, which says more.
    if (next !== null && next.first !== at.seq + 1) return null;
    const fail = (kind: Break["kind"], message: string, seq = segment.first): Break => {
      return { segment: segment.name, line: 0, seq, kind, message };
    };
    const file = sealName(segment);
    // What the listing did not show was written after it, and is not of the segment that was read.
    const seal = this.has(segment) ? await readSeal(this.#directory, segment) : null;
    if (seal === null) {
      const message = `${file} is missing: nothing vouches for records ${segment.first} to ${at.seq}.`;
      return this.#keys.length > 0 ? fail("seal_missing", message) : null;
    }
    if (seal === "damaged") return fail("seal_edited", `${file} is no seal.`);
    const unsigned = this.#signature(file, seal.signature);
    if (unsigned !== null) return fail(unsigned.kind, unsigned.message);
    const isOurs = seal.segment === segment.name && seal.first === segment.first && seal.prev === before.hash;
    if (isOurs && next === null && at.seq < seal.last.seq) {
      const message = `${segment.name} was sealed with record ${seal.last.seq} and ends at ${at.seq}.`;
      return fail("truncated", message, at.seq + 1);
    }
    if (isOurs && next === null && at.seq > seal.last.seq) {
      const message = `Record ${seal.last.seq + 1} was added to ${segment.name} after it was sealed.`;
      return fail("inserted", message, seal.last.seq + 1);
    }
    const wrong = isOurs ? misfit(seal, at, size) : "the seal is of another segment, or of another beginning";
    if (wrong !== null && this.#keys.length > 0) {
      return fail("edited", `${segment.name} was rewritten, or its signed seal exchanged: ${wrong}.`);
    }
    if (wrong !== null) return fail("seal_edited", `${segment.name} or ${file} was changed: ${wrong}.`);
    this.summary.sealed++;
    if (seal.signature !== null) this.summary.signed++;
    if (seal.signature !== null) this.summary.keys = [...this.#named.add(seal.signature.key)];
    if (this.#keys.length > 0) this.vouched = at.seq;
    return null;
  }

  /** The head's signature, where a key was given. Without a head, an emptied directory would verify. */
  head(head: Head | null): Break | null {
    if (head === null && this.#keys.length > 0) {
      return { segment: "head.json", line: 0, seq: 1, kind: "seal_missing", message: "head.json is missing." };
    }
    if (head === null) return null;
    const found = this.#signature("head.json", head.signature);
    if (found !== null) return { segment: "head.json", line: 0, seq: Math.max(1, head.seq), ...found };
    if (this.#keys.length > 0) this.vouched = Math.max(this.vouched, head.seq);
    return null;
  }

  /** The oldest seal whose segment is gone, of those that begin in a range of records. */
  async orphan(segments: readonly Segment[], from: number, to = Number.POSITIVE_INFINITY): Promise<Seal | null> {
    const known = new Set(segments.map(({ first }) => first));
    const gone = [...this.#present].filter((first) => !known.has(first) && first >= from && first <= to);
    for (const first of gone.toSorted((a, b) => a - b)) {
      const seal = await readSeal(this.#directory, segmentAt(this.#directory, first));
      if (seal !== null && seal !== "damaged" && seal.first === first) return seal;
    }
    return null;
  }

  #signature(file: string, signature: Signature | null): { kind: SealDefect; message: string } | null {
    if (this.#keys.length === 0) return null;
    const check = checkSignature(signature, this.#keys);
    if (check === "good") return null;
    if (check === "unsigned") return { kind: "seal_unsigned", message: `${file} is not signed.` };
    const named = signature!.key.slice(0, 16);
    if (check === "other_key") {
      return { kind: "seal_other_key", message: `${file} is signed by another key, ${named}…, than the one given.` };
    }
    return { kind: "seal_edited", message: `${file} was changed: its signature does not fit its bytes.` };
  }
}

function misfit(seal: Seal, at: Link, size: number): string | null {
  if (seal.last.seq !== at.seq) return `the seal names record ${seal.last.seq} as the last and not ${at.seq}`;
  if (seal.last.hash !== at.hash) return `the seal names another hash of record ${at.seq}`;
  return seal.bytes === size ? null : `the seal says ${seal.bytes} bytes and not ${size}`;
}
