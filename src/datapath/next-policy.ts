/** The next policy of a thread that judges packets: it comes in parts and is compiled between batches, by whose turn nobody waits long. */
import { hurriedly } from "../kernel/priority.ts";
import type { Engine } from "../policy/decision.ts";
import { IncomingPolicy } from "../policy/incoming.ts";
import type { PolicyPart } from "../policy/parts.ts";

/** How long it is compiled before packets have their turn, ms. */
const sliceMs = 2;

/** True until so many milliseconds have passed. */
export function within(ms: number): () => boolean {
  const until = performance.now() + ms;
  return () => performance.now() < until;
}

export class NextPolicy {
  readonly #incoming = new IncomingPolicy();
  /** The last part's. */
  #sequence = 0;

  /** It is there and not compiled yet: call {@link work}. */
  get isWaiting(): boolean {
    return this.#incoming.isWhole;
  }

  /** Takes a part; false for the last one, which is confirmed when the policy is in force. Throws TypeError out of turn. */
  take(part: PolicyPart, sequence: number): boolean {
    // Whoever waits for the one before would never hear of it.
    if (this.isWaiting) throw new TypeError("a policy came before the one before it was in force");
    this.#incoming.add(part);
    this.#sequence = sequence;
    return !part.isLast;
  }

  /** Compiles a little of it; once it is done, the engine and what to confirm. */
  work(): { engine: Engine; sequence: number } | null {
    const engine = this.isWaiting ? hurriedly(() => this.#incoming.work(within(sliceMs))) : null;
    return engine === null ? null : { engine, sequence: this.#sequence };
  }
}
