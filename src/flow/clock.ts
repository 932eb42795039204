/**
 * The clock that deadlines go by: never back, and a leap counts for a moment only. Wall time jumps when it is corrected, when
 * a machine sleeps or the process is stopped; by it alone held packets would wait for an hour, or every undecided flow would
 * end at once. What expires by wall time (bindings of names) is not its business.
 */

/** What a leap between two calls counts for, ms. The data path calls several times a second. */
const leapMs = 5_000;

export class SteadyClock {
  #steady = 0;
  #wall: number | null = null;

  /** The steady time at `wall`, both in ms; the first call sets them equal. */
  at(wall: number): number {
    this.#steady = this.#wall === null ? wall : this.#steady + Math.min(Math.max(0, wall - this.#wall), leapMs);
    this.#wall = wall;
    return this.#steady;
  }
}
