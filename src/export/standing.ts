/**
 * What has gone wrong for good with one sink: counted for as long as the process lives, told once as an incident, and a problem of
 * `status` until it is over. It is over when the sink is past it and nothing of the kind happened for a while: a problem that
 * stays for ever says nothing of today, and hides the next one.
 */
import type { Position, SinkStatus } from "./record.ts";
import { wordsOf } from "./failure.ts";
import type { Trouble } from "./tail.ts";

/** Records that a sink refuses are told of at most this often, milliseconds; all are counted. */
const rejectionsMs = 600_000;

export interface StandingOptions {
  /** The sink's name. */
  name: string;
  /** For the record and for people. */
  incident: (message: string, data: Record<string, unknown>) => void;
  /** A problem stands at least so long after it last happened, milliseconds. */
  problemMs: number;
}

export class Standing {
  readonly #options: StandingOptions;
  #lost = 0;
  #rejected = 0;
  #problem: { message: string; past: number; at: number } | null = null;
  #rejectionToldAt = Number.NEGATIVE_INFINITY;

  constructor(options: StandingOptions) {
    this.#options = options;
  }

  get counts(): Pick<SinkStatus, "lost" | "rejected"> {
    return { lost: this.#lost, rejected: this.#rejected };
  }

  /** The problem of a sink that is at `position` now, in words; null where there is none, or where it is over. */
  problemAt({ seq }: Position): string | null {
    const problem = this.#problem;
    if (problem !== null && seq >= problem.past && performance.now() - problem.at >= this.#options.problemMs) {
      this.#problem = null;
    }
    return this.#problem?.message ?? null;
  }

  /** Records between what the sink has and what comes next are gone, or what comes next continues another record. */
  missing({ kind, first, last }: Trouble): void {
    const { name } = this.#options;
    const data = { sink: name, first, last };
    if (kind === "unlinked") {
      const message = `record ${first} does not continue what sink ${name} has: the record is another one`;
      return this.tell(message, data, last);
    }
    const count = last - first + 1;
    this.#lost += count;
    const message = `sink ${name} never got ${count} records, ${first} to ${last}: they were gone before it took them`;
    this.tell(message, data, last);
  }

  /** The sink refused `rejected` of the records `first` to `last`, in its own words. */
  reject(first: number, last: number, rejected: number, words: string): void {
    const { name } = this.#options;
    this.#rejected += rejected;
    const text = `sink ${name} refused ${rejected} records for good among ${first} to ${last}: ${wordsOf(words)}`;
    this.#stand(text, last);
    // Not each one: what is told is a record too, and a sink that refuses that as well would make us tell for ever.
    if (performance.now() - this.#rejectionToldAt < rejectionsMs) return;
    this.#rejectionToldAt = performance.now();
    this.#options.incident(text, { sink: name, first, last, rejected, rejected_so_far: this.#rejected });
  }

  /** Anything else; over when the sink has record `past`. */
  tell(message: string, data: Record<string, unknown>, past: number): void {
    this.#stand(message, past);
    this.#options.incident(message, data);
  }

  #stand(message: string, past: number): void {
    this.#problem = { message, past, at: performance.now() };
  }
}
