/**
 * A policy that comes to a thread in parts and is compiled there a little at a time: the thread has packets to judge or questions to
 * answer in between, by the policy in force. Pure.
 */
import { compiling } from "./compile.ts";
import type { Engine } from "./decision.ts";
import { contentsOf, PolicyParts, type PolicyPart } from "./parts.ts";

export class IncomingPolicy {
  #parts: PolicyParts | null = null;
  #next = 0;
  #of = "";
  #steps: Generator<void, Engine> | null = null;

  /** Takes the next part. Throws TypeError where it is not the next one: half of one policy and half of another would be neither. */
  add({ place, hash, text, at, isLast }: PolicyPart): void {
    const { head, parts } = contentsOf(text);
    const of = `${hash} ${at}`;
    if (head !== null) [this.#parts, this.#next, this.#of, this.#steps] = [new PolicyParts(head), 0, of, null];
    if (this.#parts === null || place !== this.#next++ || of !== this.#of) {
      this.#parts = null;
      throw new TypeError(`part ${place} of a policy out of turn`);
    }
    this.#parts.add(parts);
    if (!isLast) return;
    this.#steps = compiling(this.#parts.policy(), at);
    this.#parts = null;
  }

  /** It has all its parts, and is not compiled yet. */
  get isWhole(): boolean {
    return this.#steps !== null;
  }

  /** Compiles it, an endpoint at a time, for as long as there is time; the engine when it is done. */
  work(hasTime: () => boolean): Engine | null {
    while (this.#steps !== null && hasTime()) {
      const { done, value } = this.#steps.next();
      if (done !== true) continue;
      this.#steps = null;
      return value;
    }
    return null;
  }
}
