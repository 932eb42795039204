/** What a generator of connections is told, and what it tells; and times in a form that several processes' can be added up. Pure. */

/** For `connect.ts`: one load. */
export interface Order {
  /** The link's interface, and the hardware address at its other end. */
  device: string;
  neighbour: string;
  sources: string[];
  destinations: string[];
  port: number;
  /** The name that every source asks for first, and whom. */
  name: string;
  resolver: string;
  /** The file with the hello. */
  hello: string;
  concurrency: number;
  warmSeconds: number;
  seconds: number;
  /** Ends as well when this file is there. */
  stop?: string;
  /** Ends after so many connections as well. */
  count?: number;
  /** The number of the first connection, for ends that nobody has used yet. */
  offset?: number;
  /** Leaves connections open, with the byte that a client's Finished would be. */
  hold?: boolean;
  expect?: "refused";
}

export interface Load {
  /** Until the last connection was over; what came of none is waited for. */
  seconds: number;
  /** Connections a second that ended as expected before the time was over. */
  rate: number;
  /** Connections that ended as expected; that nothing came of; that ended the other way; begun in all. */
  done: number;
  failed: number;
  wrong: number;
  made: number;
  /** The number of the first connection, of those that warmed up; and the `offset` of a load that goes on where this one ended. */
  from: number;
  next: number;
  /** Packets that the kernel did not take from the generator. */
  notSent: number;
  /** From connect to the first answered byte, or to the refusal. */
  times: [number, number][];
  /** Seconds of processor that the generator used for itself. */
  processor: number;
}

const step = Math.log(1.01);

/** Counts of times in microseconds, by classes one per cent wide. */
export class Histogram {
  #counts = new Map<number, number>();

  add(microseconds: number, count = 1): void {
    const at = Math.round(Math.log(Math.max(microseconds, 0.001)) / step);
    this.#counts.set(at, (this.#counts.get(at) ?? 0) + count);
  }

  clear(): void {
    this.#counts.clear();
  }

  counts(): [number, number][] {
    return [...this.#counts];
  }

  /** Adds what another one's {@link counts} say. */
  merge(counts: readonly [number, number][]): this {
    for (const [at, count] of counts) this.#counts.set(at, (this.#counts.get(at) ?? 0) + count);
    return this;
  }

  /** The time below which this share of all is; 0 where there is none. */
  quantile(share: number): number {
    const sorted = [...this.#counts].toSorted(([a], [b]) => a - b);
    const total = sorted.reduce((sum, [, count]) => sum + count, 0);
    let seen = 0;
    for (const [at, count] of sorted) if ((seen += count) > total * share) return Math.exp(at * step);
    return sorted.length === 0 ? 0 : Math.exp(sorted.at(-1)![0] * step);
  }
}
