/**
 * Deciders of the same policy: so many rules, each of which allows one host, and everything else denied. Rule `i` allows
 * `h{i}.example.com`; a decision is about one connection whose name is known, and gives the rule.
 */
export const hostOf = (rule: number): string => `h${rule}.example.com`;

export interface Decider {
  name: string;
  /** Above so many rules loading or deciding takes longer than a benchmark has. */
  most: number;
  /** The same for a quick run. */
  mostQuick: number;
  /** Decisions in one reading of the clock: some ten microseconds of them at least. */
  batch: number;
  /** Makes an engine of so many rules: what says whether a host is allowed. */
  load: (rules: number) => Promise<(host: string) => boolean>;
}
