/**
 * Patterns over host names, as a policy's endpoints write them:
 *
 *   pypi.org                    that name
 *   *.example.com               one label in place of the star
 *   sa*.blob.example            one label that starts so, with at least one more character
 *   sa{0-49,100-199}.blob.example   one label with a decimal number in one of the ranges, without leading zeros
 *   **.example.com              one or more whole labels (not example.com itself)
 *   **                          any name
 *
 * One wildcard a label, `**` only as the first label, and no star in the last label: `example.*` would match a name that
 * anybody can register. There are no regular expressions anywhere. `matchesPattern` is the definition; `trie.ts` is fast.
 */
import { canonicalName, isNameDefect, nameDefectTexts, toAscii } from "./name.ts";

/** A run of decimal numbers, both ends included. */
export interface NumberRange {
  readonly from: number;
  readonly to: number;
}

/** One label of a pattern: a literal, or `lead` + (one or more characters, or a number in `ranges`) + `trail`. */
export type LabelPattern =
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "star"; readonly lead: string; readonly trail: string }
  | { readonly kind: "range"; readonly lead: string; readonly trail: string; readonly ranges: readonly NumberRange[] };

/** `labels` from left to right without a leading `**`; `deep` says there is one. */
export interface Pattern {
  readonly deep: boolean;
  readonly labels: readonly LabelPattern[];
}

/** Why a text is not a pattern, and what to write. */
export interface PatternDefect {
  readonly defect: string;
  readonly fix: string;
}

/** True for the failure arm of {@link parsePattern}. */
export function isPatternDefect(value: Pattern | PatternDefect): value is PatternDefect {
  return "defect" in value;
}

/** Numbers have at most this many digits, so that they stay exact. */
const maxDigits = 15;

/** Parses a pattern; names in it are made canonical (case, trailing dot, U-labels). */
export function parsePattern(written: string): Pattern | PatternDefect {
  // The other full stops of UTS 46 part labels too, and must do so before labels are read one by one.
  const text = written.replaceAll(/[\u3002\uff0e\uff61]/g, ".");
  if (text === "**") return { deep: true, labels: [] };
  const deep = text.startsWith("**.");
  const rest = deep ? text.slice(3) : text;
  if (rest.includes("**")) {
    return { defect: "`**` stands for whole labels and only at the start", fix: "Write **.example.com." };
  }
  if (!/[*{}]/.test(rest)) {
    const name = toAscii(rest);
    if (isNameDefect(name)) return { defect: nameDefectTexts[name.defect], fix: nameFix(rest, name.defect) };
    return { deep, labels: name.split(".").map((label) => ({ kind: "literal", text: label })) };
  }
  const labels: LabelPattern[] = [];
  for (const label of (rest.endsWith(".") ? rest.slice(0, -1) : rest).split(".")) {
    const parsed = parseLabel(label);
    if (isLabelDefect(parsed)) return parsed;
    labels.push(parsed);
  }
  const last = labels.at(-1)!;
  if (last.kind === "star") {
    return {
      defect: "the last label has a star: anybody can register a name that matches",
      fix: "Write the top-level domain out; for any name at all, write **.",
    };
  }
  const pattern = { deep, labels };
  const shortest = canonicalName(exampleName(pattern, 0));
  if (isNameDefect(shortest)) return { defect: nameDefectTexts[shortest.defect], fix: "Shorten or correct the name." };
  return pattern;
}

function nameFix(text: string, defect: string): string {
  if (defect === "ip_literal") return "Write the address as a CIDR endpoint, for example 203.0.113.7:443.";
  if (text.includes("/")) return "Write the host alone, without a path.";
  return "Write a host name such as pypi.org.";
}

function isLabelDefect(value: LabelPattern | PatternDefect): value is PatternDefect {
  return "defect" in value;
}

function parseLabel(text: string): LabelPattern | PatternDefect {
  const open = text.search(/[*{}]/);
  if (open < 0) {
    const label = toAscii(`${text}.x`);
    if (isNameDefect(label)) return { defect: nameDefectTexts[label.defect], fix: "Correct the name." };
    // A character that stands for a dot and others: a label with a dot in it would match no name, ever.
    if (label.indexOf(".") !== label.length - 2)
      return { defect: nameDefectTexts.bad_character, fix: "Write plain dots." };
    return { kind: "literal", text: label.slice(0, -2) };
  }
  const close = text[open] === "{" ? text.indexOf("}", open) : open;
  if (text[open] === "}" || close < 0) return { defect: "a range is not closed", fix: "Write it as sa{0-49}." };
  const lead = text.slice(0, open).toLowerCase();
  const trail = text.slice(close + 1).toLowerCase();
  if (/[*{}]/.test(trail)) return { defect: "a label has more than one wildcard", fix: "Keep one * or {…} a label." };
  if (!/^[a-z0-9_-]*$/.test(lead + trail)) {
    return {
      defect: "a label with a wildcard has only ASCII letters, digits, hyphens and underscores beside it",
      fix: "Remove the other characters.",
    };
  }
  if (text[open] === "*") return { kind: "star", lead, trail };
  const ranges: NumberRange[] = [];
  for (const part of text.slice(open + 1, close).split(",")) {
    const ends = part.trim().split("-");
    const from = decimal(ends[0]!);
    const to = ends.length === 1 ? from : ends.length === 2 ? decimal(ends[1]!) : null;
    if (from === null || to === null || from > to) {
      return {
        defect: `“${part}” is not a range of decimal numbers`,
        fix: "Write two numbers without leading zeros, the smaller first, for example {0-49}.",
      };
    }
    ranges.push({ from, to });
  }
  return { kind: "range", lead, trail, ranges: mergeRanges(ranges) };
}

/** The number a text is, when it is decimal without leading zeros and exact; else null. */
export function decimal(text: string): number | null {
  if (text.length === 0 || text.length > maxDigits || (text.length > 1 && text.charCodeAt(0) === 0x30)) return null;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return null;
    value = value * 10 + digit;
  }
  return value;
}

/** Sorted, disjoint and not adjacent: one text for one set. */
function mergeRanges(ranges: readonly NumberRange[]): NumberRange[] {
  const out: { from: number; to: number }[] = [];
  for (const range of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = out.at(-1);
    if (last !== undefined && range.from <= last.to + 1) last.to = Math.max(last.to, range.to);
    else out.push({ ...range });
  }
  return out;
}

/** Canonical text of a pattern; equal texts, equal patterns. */
export function formatPattern(pattern: Pattern): string {
  const labels = pattern.labels.map(formatLabel);
  if (pattern.deep) labels.unshift("**");
  return labels.join(".");
}

/** Canonical text of one label. */
export function formatLabel(label: LabelPattern): string {
  if (label.kind === "literal") return label.text;
  if (label.kind === "star") return `${label.lead}*${label.trail}`;
  const ranges = label.ranges.map((r) => (r.from === r.to ? `${r.from}` : `${r.from}-${r.to}`));
  return `${label.lead}{${ranges.join(",")}}${label.trail}`;
}

/** True where the pattern stands for one name and no other. */
export function isExact({ labels, deep }: Pattern): boolean {
  return !deep && labels.every(({ kind }) => kind === "literal");
}

/** The definition of matching: `name` is canonical. */
export function matchesPattern(pattern: Pattern, name: string): boolean {
  const labels = name.split(".");
  const extra = labels.length - pattern.labels.length;
  if (pattern.deep ? extra < 1 : extra !== 0) return false;
  return pattern.labels.every((label, i) => matchesLabel(label, labels[extra + i]!));
}

/** True where one label of a name fits one label of a pattern. */
export function matchesLabel(pattern: LabelPattern, label: string): boolean {
  if (pattern.kind === "literal") return pattern.text === label;
  const { lead, trail } = pattern;
  if (label.length <= lead.length + trail.length || !label.startsWith(lead) || !label.endsWith(trail)) return false;
  if (pattern.kind === "star") return true;
  const value = decimal(label.slice(lead.length, label.length - trail.length));
  return value !== null && pattern.ranges.some((r) => r.from <= value && value <= r.to);
}

/**
 * A name that matches the pattern and is not in `avoid`; null where every matching name is in it (an exact name, or a
 * range that is used up). Bounded by the size of `avoid`.
 */
export function example(pattern: Pattern, avoid: ReadonlySet<string> = new Set()): string | null {
  const limit = Math.min(countNames(pattern), avoid.size + 1);
  for (let i = 0; i < limit; i++) {
    const name = exampleName(pattern, i);
    if (!avoid.has(name)) return name;
  }
  return null;
}

/** How many distinct names {@link exampleName} can give: the exact count where it is finite, Infinity with a star. */
export function countNames(pattern: Pattern): number {
  let count = pattern.deep ? Infinity : 1;
  for (const label of pattern.labels) {
    if (label.kind === "star") return Infinity;
    if (label.kind === "range") count *= label.ranges.reduce((sum, r) => sum + r.to - r.from + 1, 0);
  }
  return count;
}

/** The `index`th name of a pattern, counting through its ranges and stars; different indices, different names. */
function exampleName(pattern: Pattern, index: number): string {
  const labels = pattern.labels.map((label) => {
    if (label.kind === "literal") return label.text;
    if (label.kind === "star") {
      const text = `${label.lead}${index.toString(36)}${label.trail}`;
      return text;
    }
    const count = label.ranges.reduce((sum, r) => sum + r.to - r.from + 1, 0);
    let at = index % count;
    index = Math.floor(index / count);
    for (const range of label.ranges) {
      const size = range.to - range.from + 1;
      if (at < size) return `${label.lead}${range.from + at}${label.trail}`;
      at -= size;
    }
    return label.lead + label.trail;
  });
  if (pattern.deep) labels.unshift(`x${index.toString(36)}`);
  return labels.join(".");
}
