/**
 * The names that two patterns have in common, as patterns. Exact, except that two numbered labels of different spelling
 * (`sa1{0-9}` and `sa{10-19}`) and a star that ends in digits are only searched up to a bound. For reports, never for verdicts.
 */
import { matchesLabel } from "../address/pattern.ts";
import type { LabelPattern, NumberRange, Pattern } from "../address/pattern.ts";

type Star = Extract<LabelPattern, { kind: "star" }>;
type Numbered = Extract<LabelPattern, { kind: "range" }>;

/** How many numbers of a range are tried one by one, how many texts one label may become, and how many a pattern. */
const maxTried = 2000;
const maxLabels = 16;
const maxPatterns = 32;

/** Patterns that together match exactly the names that both match; empty where there are none. */
export function overlap(a: Pattern, b: Pattern): Pattern[] {
  const [long, short] = a.labels.length >= b.labels.length ? [a, b] : [b, a];
  const extra = long.labels.length - short.labels.length;
  if (extra > 0 && !short.deep) return [];
  // Equally long, and one stands for one label more at least.
  if (extra === 0 && a.deep !== b.deep) return [];
  let rows: LabelPattern[][] = [long.labels.slice(0, extra)];
  for (const [i, label] of short.labels.entries()) {
    const common = overlapLabels(label, long.labels[extra + i]!);
    rows = rows.flatMap((row) => common.map((each) => [...row, each])).slice(0, maxPatterns);
    if (rows.length === 0) return [];
  }
  return rows.map((labels) => ({ deep: long.deep, labels }));
}

function overlapLabels(a: LabelPattern, b: LabelPattern): LabelPattern[] {
  if (a.kind === "literal") return matchesLabel(b, a.text) ? [a] : [];
  if (b.kind === "literal") return matchesLabel(a, b.text) ? [b] : [];
  if (a.kind === "star") return b.kind === "star" ? overlapStars(a, b) : overlapNumbers(b, a);
  return b.kind === "star" ? overlapNumbers(a, b) : overlapRanges(a, b);
}

function overlapStars(a: Star, b: Star): LabelPattern[] {
  const lead = a.lead.length >= b.lead.length ? a.lead : b.lead;
  const trail = a.trail.length >= b.trail.length ? a.trail : b.trail;
  if (!lead.startsWith(a.lead) || !lead.startsWith(b.lead)) return [];
  if (!trail.endsWith(a.trail) || !trail.endsWith(b.trail)) return [];
  // `a*` and `*b` also share `ab`, and `xa*` and `*ay` share `xay`: the longer ends may touch or overlap.
  const touching: LabelPattern[] = [];
  for (let k = 0; k <= Math.min(lead.length, trail.length); k++) {
    const text = lead + trail.slice(k);
    const isOne = lead.endsWith(trail.slice(0, k)) && matchesLabel(a, text) && matchesLabel(b, text);
    if (isOne && !touching.some((t) => t.kind === "literal" && t.text === text)) touching.push(literal(text));
  }
  return [{ kind: "star", lead, trail }, ...touching];
}

function overlapNumbers(range: Numbered, star: Star): LabelPattern[] {
  if (range.lead.startsWith(star.lead) && range.trail.endsWith(star.trail)) return [range];
  const digits = star.lead.startsWith(range.lead) ? star.lead.slice(range.lead.length) : "";
  if (/^[1-9][0-9]*$/.test(digits) && range.trail.endsWith(star.trail)) {
    const ranges = startingWith(digits, range.ranges);
    const label = { ...range, ranges: ranges.filter((r) => matchesLabel(star, numbered(range, r.from))) };
    return label.ranges.length === 0 ? [] : [label];
  }
  return search(range, (text) => matchesLabel(star, text));
}

/** Of the numbers in `ranges`, those whose decimal text starts with `digits`. */
export function startingWith(digits: string, ranges: readonly NumberRange[]): NumberRange[] {
  const out: NumberRange[] = [];
  for (let low = Number(digits), width = 1; low <= Number.MAX_SAFE_INTEGER; low *= 10, width *= 10) {
    out.push(...intersect([{ from: low, to: low + width - 1 }], ranges));
  }
  return out;
}

function overlapRanges(a: Numbered, b: Numbered): LabelPattern[] {
  if (a.lead !== b.lead || a.trail !== b.trail) return search(a, (text) => matchesLabel(b, text));
  const ranges = intersect(a.ranges, b.ranges);
  const [first] = ranges;
  if (first === undefined) return [];
  // One number has one text, so that it is the same label wherever it comes from.
  return ranges.length === 1 && first.from === first.to ? [literal(numbered(a, first.from))] : [{ ...a, ranges }];
}

function intersect(a: readonly NumberRange[], b: readonly NumberRange[]): NumberRange[] {
  return a.flatMap((x) =>
    b.flatMap((y) => {
      const from = Math.max(x.from, y.from);
      const to = Math.min(x.to, y.to);
      return from <= to ? [{ from, to }] : [];
    }),
  );
}

function search(range: Numbered, isMeant: (text: string) => boolean): LabelPattern[] {
  const found: LabelPattern[] = [];
  let tried = 0;
  for (const { from, to } of range.ranges) {
    for (let n = from; n <= to && tried < maxTried && found.length < maxLabels; n++, tried++) {
      const text = numbered(range, n);
      if (isMeant(text)) found.push(literal(text));
    }
  }
  return found;
}

/** The label with a number in its place. */
export function numbered({ lead, trail }: Numbered, number: number): string {
  return `${lead}${number}${trail}`;
}

function literal(text: string): LabelPattern {
  return { kind: "literal", text };
}
