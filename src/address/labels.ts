/**
 * The wildcard labels below one branch of the label trie: which of them does a label fit? Indexed by the text before the
 * wildcard, then by the text after it read backwards, so that a lookup costs the square of a label's length at worst,
 * however many patterns there are. Used by `trie.ts` alone.
 */
import { decimal, formatLabel } from "./pattern.ts";
import type { LabelPattern, NumberRange } from "./pattern.ts";

type Wild = Exclude<LabelPattern, { kind: "literal" }>;

interface Lead<N> {
  next: Map<number, Lead<N>> | null;
  trails: Trail<N> | null;
}

interface Trail<N> {
  next: Map<number, Trail<N>> | null;
  star: N | null;
  ranges: RangeIndex<N> | null;
}

/** Wildcard labels to values. */
export class WildLabels<N> {
  readonly #root: Lead<N> = { next: null, trails: null };

  /** The value of exactly this label pattern; `make` supplies it the first time. */
  getOrAdd(label: Wild, make: () => N): N {
    let lead = this.#root;
    for (let i = 0; i < label.lead.length; i++) {
      lead.next ??= new Map();
      lead = getOrSet(lead.next, label.lead.charCodeAt(i), () => ({ next: null, trails: null }));
    }
    lead.trails ??= { next: null, star: null, ranges: null };
    let trail = lead.trails;
    for (let i = label.trail.length - 1; i >= 0; i--) {
      trail.next ??= new Map();
      trail = getOrSet(trail.next, label.trail.charCodeAt(i), () => ({ next: null, star: null, ranges: null }));
    }
    if (label.kind === "star") return (trail.star ??= make());
    trail.ranges ??= new RangeIndex();
    return trail.ranges.getOrAdd(formatLabel(label), label.ranges, make);
  }

  /** Calls `visit` for every pattern that `label` fits. */
  match(label: string, visit: (value: N) => void): void {
    let lead: Lead<N> | undefined = this.#root;
    for (let i = 0; lead !== undefined && i < label.length; i++) {
      let trail: Trail<N> | null | undefined = lead.trails;
      for (let end = label.length; trail && end > i; end--) {
        if (trail.star !== null) visit(trail.star);
        if (trail.ranges !== null) {
          const value = decimal(label.slice(i, end));
          if (value !== null) trail.ranges.match(value, visit);
        }
        trail = trail.next?.get(label.charCodeAt(end - 1));
      }
      lead = lead.next?.get(label.charCodeAt(i));
    }
  }

  /** Calls `visit` for every pattern that is certain to match each label that `label` matches. */
  covering(label: Wild, visit: (value: N) => void): void {
    let lead: Lead<N> | undefined = this.#root;
    for (let i = 0; lead !== undefined; i++) {
      let trail: Trail<N> | null | undefined = lead.trails;
      for (let j = label.trail.length; trail; j--) {
        if (trail.star !== null) visit(trail.star);
        if (trail.ranges !== null && label.kind === "range" && i === label.lead.length && j === 0) {
          trail.ranges.covering(label.ranges, visit);
        }
        trail = j > 0 ? trail.next?.get(label.trail.charCodeAt(j - 1)) : null;
      }
      lead = i < label.lead.length ? lead.next?.get(label.lead.charCodeAt(i)) : undefined;
    }
  }
}

interface Segment<N> {
  from: number;
  to: number;
  /** Largest `to` of this segment and all before it: where a backward scan may stop. */
  reach: number;
  set: readonly NumberRange[];
  value: N;
}

/** Sets of number ranges to values, sorted by start so that a lookup scans only what can still reach the number. */
class RangeIndex<N> {
  readonly #values = new Map<string, N>();
  #segments: Segment<N>[] = [];
  #sorted = true;

  getOrAdd(key: string, set: readonly NumberRange[], make: () => N): N {
    const known = this.#values.get(key);
    if (known !== undefined) return known;
    const value = make();
    this.#values.set(key, value);
    for (const { from, to } of set) this.#segments.push({ from, to, reach: to, set, value });
    this.#sorted = false;
    return value;
  }

  match(number: number, visit: (value: N) => void): void {
    this.#scan(number, (segment) => visit(segment.value));
  }

  covering(ranges: readonly NumberRange[], visit: (value: N) => void): void {
    // The sets are merged, so one that covers all ranges has exactly one segment that covers the first.
    this.#scan(ranges[0]!.from, ({ set, value }) => {
      if (ranges.every((r) => set.some((s) => s.from <= r.from && r.to <= s.to))) visit(value);
    });
  }

  #scan(number: number, visit: (segment: Segment<N>) => void): void {
    if (!this.#sorted) this.#sort();
    const segments = this.#segments;
    let low = 0;
    let high = segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (segments[middle]!.from <= number) low = middle + 1;
      else high = middle;
    }
    for (let i = low - 1; i >= 0 && segments[i]!.reach >= number; i--) {
      if (segments[i]!.to >= number) visit(segments[i]!);
    }
  }

  #sort(): void {
    this.#segments.sort((a, b) => a.from - b.from);
    let reach = -1;
    for (const segment of this.#segments) segment.reach = reach = Math.max(reach, segment.to);
    this.#sorted = true;
  }
}

function getOrSet<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
