/**
 * Refusals that nobody judged: what the kernel refused unread (`unjudged.ts`), counted. Refused connections and names are aggregated
 * where they are judged, in threads of their own.
 */
import type { EventBody } from "../audit/event.ts";
import { type Place, Unjudged, type UnjudgedCounts } from "./unjudged.ts";

export interface DenialsOptions extends Place {
  /** Runs something where the ruleset is. */
  within: <T>(fn: () => T) => T;
  record: (event: EventBody) => void;
}

export class Denials {
  readonly #options: DenialsOptions;
  readonly #unjudged: Unjudged;
  #fault: string | null = null;

  /** See {@link Unjudged}. */
  constructor(options: DenialsOptions) {
    this.#options = options;
    this.#unjudged = options.within(() => new Unjudged(options));
  }

  /** Refused unread so far. */
  get unjudged(): UnjudgedCounts {
    return this.#unjudged.counts;
  }

  problem(now: number): string | null {
    return this.#fault ?? this.#unjudged.problem(now);
  }

  /** Records what was counted. Call it about once a second, and with Infinity before the record is closed. Never throws. */
  tick(now: number): void {
    try {
      for (const event of this.#options.within(() => this.#unjudged.look(Math.min(now, Date.now()))))
        this.#options.record(event);
      this.#fault = null;
    } catch (error) {
      // Not a reason to stop judging, nor to stop half way: what is not counted now is at the next look.
      this.#fault = `what was refused unread cannot be counted: ${(error as Error).message}`;
    }
  }

  close(): void {
    this.#unjudged.close();
  }
}
