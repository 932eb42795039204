/**
 * The time of a run, and of each case in it. A case has as much as it would like while the later ones can have theirs, and on a slow
 * machine its share of what is left: rounds become shorter, then fewer, and what has no time at all says so. Pure but for the clock
 * that it is given.
 */

/** What a measurement would like: rounds, and seconds for each contender in each. */
export interface Extent {
  rounds: number;
  seconds: number;
}

export class Clock {
  readonly #now: () => number;
  readonly #begun: number;
  readonly #end: number;
  /** What was given less than it would have liked, in words. */
  readonly shortened: string[] = [];
  #until: number;
  #parts = 1;
  #again: () => void = () => {};

  /** @param limit seconds; @param now seconds of a clock that only goes forward */
  constructor(limit: number, now: () => number = () => performance.now() / 1000) {
    this.#now = now;
    this.#begun = now();
    this.#end = this.#until = this.#begun + limit;
  }

  now(): number {
    return this.#now();
  }

  /** Seconds of the whole run that are left. */
  left(): number {
    return this.#end - this.#now();
  }

  /** The share of the run's time that is over. */
  spent(): number {
    return (this.#now() - this.#begun) / (this.#end - this.#begun);
  }

  /** Begins a case that would like so many seconds and has so many parts, before others that would like those. */
  begin(wanted: number, later: readonly number[], parts: number): void {
    this.#again = () => this.begin(wanted, later, parts);
    const all = wanted + later.reduce((sum, each) => sum + each, 0);
    this.#until = this.#now() + wanted * Math.min(1, Math.max(0, this.left()) / all);
    this.#parts = parts;
  }

  /** Begins the case anew, after what it took to get ready: only measuring counts. */
  again(): void {
    this.#again();
  }

  /** When the next so many parts of the case, which are measured as one, have to be over: each that is left gets as much. */
  part(count = 1): number {
    const now = this.#now();
    const share = Math.min(1, count / Math.max(1, this.#parts));
    this.#parts -= count;
    return now + Math.max(0, this.#until - now) * share;
  }

  /** Notes that something was measured less than it would have liked. */
  shorten(what: string): void {
    this.shortened.push(what);
  }
}

/**
 * Each contender once a round, one after the other, so that what changes on the machine changes for all. `measure` is told for how
 * many seconds; what it takes besides, a program's start for one, is learnt and left room for. A contender whose measurement fails
 * is told of by `cannot`, and is out of the rounds that follow.
 */
export async function interleave<C, F extends string>(
  clock: Clock,
  what: string,
  contenders: readonly C[],
  wanted: Extent,
  nameOf: (contender: C) => string,
  measure: (contender: C, round: number, seconds: number) => Promise<Record<F, number>>,
  cannot: (contender: C, why: string) => void,
): Promise<Record<F, Map<string, number[]>>> {
  const all = {} as Record<F, Map<string, number[]>>;
  const until = clock.part();
  const given: number[] = [];
  const out = new Set<C>();
  let besides = 0;
  let measured = 0;
  for (let round = 0; round < wanted.rounds; round++) {
    const roundBegan = clock.now();
    for (const [index, contender] of contenders.entries()) {
      const now = clock.now();
      if (now >= until) break;
      // So many measurements share what is left; a short one says little, and fewer rounds are better then.
      const left = (wanted.rounds - round) * contenders.length - index;
      const share = (until - now) / left - besides;
      const seconds = Math.min(wanted.seconds, Math.max(share, wanted.seconds / 4));
      if (out.has(contender)) continue;
      let figures: Record<F, number>;
      try {
        figures = await measure(contender, round, seconds);
      } catch (error) {
        out.add(contender);
        cannot(contender, `it failed: ${(error as Error).message}`);
        continue;
      }
      given.push(seconds);
      measured++;
      const extra = Math.max(0, clock.now() - now - seconds);
      besides = measured === 1 ? extra : besides * 0.8 + extra * 0.2;
      for (const [figure, value] of Object.entries(figures) as [F, number][]) {
        const of = ((all[figure] as Map<string, number[]> | undefined) ??= new Map());
        const samples = of.get(nameOf(contender));
        if (samples === undefined) of.set(nameOf(contender), [value]);
        else samples.push(value);
      }
    }
    const took = clock.now() - roundBegan;
    // Half a round compares nothing.
    if (clock.now() + took > until && round + 1 < wanted.rounds) break;
  }
  const full = wanted.rounds * (contenders.length - out.size);
  const least = Math.min(wanted.seconds, ...given);
  if (measured < full || least < wanted.seconds * 0.7)
    clock.shorten(
      `${what}: ${measured} of ${full} measurements, the shortest of ${least.toFixed(2)} s for ${wanted.seconds} s`,
    );
  return all;
}
