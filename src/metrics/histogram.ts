/** Durations counted into fixed buckets: no allocation and no loss of counts per observation. Pure. */

/** Counts of a histogram as plain data, to cross between threads and to be summed. */
export interface HistogramCounts {
  /** Observations in each bucket (not of the buckets before it); the last is above every bound. */
  counts: number[];
  /** Of all observations, seconds. */
  sum: number;
}

export class Histogram {
  /** Upper bounds of the buckets, seconds, ascending; a value equal to a bound is in its bucket. */
  readonly bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  /** Counts `times` observations of so many seconds each. */
  observe(seconds: number, times = 1): void {
    let i = 0;
    while (i < this.bounds.length && seconds > this.bounds[i]!) i++;
    this.#counts[i]! += times;
    this.#sum += seconds * times;
  }

  /** A copy of the counts so far. */
  counts(): HistogramCounts {
    return { counts: [...this.#counts], sum: this.#sum };
  }
}

/** The sum of histograms with the same `buckets` bounds; zeros for none. */
export function sumOf(buckets: number, all: Iterable<HistogramCounts>): HistogramCounts {
  const total: HistogramCounts = { counts: Array.from({ length: buckets + 1 }, () => 0), sum: 0 };
  for (const { counts, sum } of all) {
    for (const [i, count] of counts.entries()) total.counts[i]! += count;
    total.sum += sum;
  }
  return total;
}
