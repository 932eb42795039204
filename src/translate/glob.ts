/**
 * Other products' wildcards in our patterns. `*` is written alike everywhere and means something else almost everywhere:
 * here exactly one label or a part of one, elsewhere any run of characters across dots, or none at all. What has the same
 * meaning in several patterns becomes these; what has not becomes the part that has, and says so.
 */
import { isPatternDefect, parsePattern } from "../address/pattern.ts";

/** What `*` stands for in the product the text comes from. */
export interface Star {
  /** Also for dots: `*.example.com` then takes in `a.b.example.com`. */
  readonly crossesDots: boolean;
  /** Also for nothing: `sa*` then takes in `sa`. Where a label is a star alone this never matters. */
  readonly mayBeEmpty: boolean;
}

/** Patterns that together match nothing that the original does not. */
export interface Glob {
  readonly patterns: readonly string[];
  /** What the original matches and the patterns do not; null where they mean the same. */
  readonly lost: string | null;
}

/** Why there is no pattern for a text. */
export interface GlobDefect {
  readonly defect: string;
}

/** True for the failure arm of {@link translateGlob}. */
export function isGlobDefect(value: Glob | GlobDefect): value is GlobDefect {
  return "defect" in value;
}

/** A label may become as many patterns as it has readings; so may each label after it. */
const maxPatterns = 32;

/** The patterns for a host name with `*` in it; the text may also have none, or be `*` alone, which is any name. */
export function translateGlob(text: string, star: Star): Glob | GlobDefect {
  if (text === "*" && star.crossesDots) return { patterns: ["**"], lost: null };
  const labels = text.split(".");
  if (labels.at(-1)!.includes("*"))
    return { defect: "its last label has a wildcard, which anybody's name could match" };
  let rows: string[] = [""];
  let crossing = false;
  for (const [i, label] of labels.entries()) {
    if (label.split("*").length > 2)
      return { defect: `${label} has more than one wildcard, which no pattern here has` };
    const readings = readLabel(label, i === 0, star);
    rows = rows.flatMap((row) => readings.map((reading) => (row === "" ? reading : `${row}.${reading}`)));
    if (rows.length > maxPatterns) return { defect: "it has too many wildcards" };
    // Only a run at the very start has a pattern of its own for whole labels.
    if (star.crossesDots && label.includes("*") && (i > 0 || !label.startsWith("*"))) crossing = true;
  }
  for (const row of rows) {
    const pattern = parsePattern(row);
    if (isPatternDefect(pattern)) return { defect: pattern.defect };
  }
  return { patterns: rows, lost: crossing ? "names in which the wildcard stands for more than one label" : null };
}

function readLabel(label: string, isFirst: boolean, star: Star): string[] {
  if (!label.includes("*")) return [label];
  if (label === "*") return [isFirst && star.crossesDots ? "**" : "*"];
  const bare = star.mayBeEmpty ? [label.replace("*", "")] : [];
  if (!isFirst || !star.crossesDots || !label.startsWith("*")) return [...bare, label];
  // `*name.example`: name.example, xname.example, x.name.example and x.xname.example.
  return [...bare, label, `**.${label.slice(1)}`, `**.${label}`];
}
