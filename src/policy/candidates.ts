/** The items that can concern one flow, and how each meets it: what the compiled engine gathers before it decides. */
import type { Item, SourceClass } from "./items.ts";

/** How a candidate's endpoint meets the flow: its prefix covers the address, or its pattern a bound or the shown name. */
export const byCidr = 1;
export const byBound = 2;
export const byShown = 4;
/** Beside byBound or byShown: the pattern is `**`. */
export const byAnyName = 8;

/** The items that can concern one flow. One object an engine, reused: an engine serves one thread and never re-enters. */
export class Candidates {
  readonly items: Item[] = [];
  /** Bits of {@link byCidr}, {@link byBound}, {@link byShown} for each item. */
  readonly met: number[] = [];
  source!: SourceClass;
  /** Name rules may reach the destination. */
  reachable = false;
}
