/**
 * What a translation has to say: what it could not carry over, at its place, and how a thing that looks alike but means
 * something else was translated. Notes go into the output as comments, to stderr, and decide the exit code.
 */

/**
 * What a note means for what can be reached, compared with the original:
 * `same` nothing, it explains; `narrower` less than the original allows; `wider` more; `other` nothing, but something else
 * that the original does is not done. All but `same` are things that were not carried.
 */
export type Effect = "same" | "narrower" | "wider" | "other";

/** `line` and `column` are 1-based and in the file that was read. */
export interface Note {
  readonly line: number;
  readonly column: number;
  readonly effect: Effect;
  readonly message: string;
}

/** Where in the file that was read something is; both 1-based. */
export interface Spot {
  readonly line: number;
  readonly column: number;
}

const effectTexts: Record<Effect, string> = {
  same: "",
  narrower: " (allows less than the original)",
  wider: " (ALLOWS MORE THAN THE ORIGINAL)",
  other: " (changes nothing about what is reached)",
};

/** How many notes are kept; the last one says how many were not. */
const maxNotes = 500;

/** Collects the notes of one translation, bounded. */
export class Notes {
  readonly #list: Note[] = [];
  readonly #seen = new Set<string>();
  #more = 0;

  add(effect: Effect, { line, column }: Spot, message: string): void {
    const note = { line, column, effect, message: oneLine(message) };
    // A list that is used twice is read twice.
    const key = JSON.stringify(note);
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    if (this.#list.length < maxNotes) this.#list.push(note);
    else if (effect !== "same") this.#more++;
  }

  /** All notes in the order of the file. */
  get list(): readonly Note[] {
    const sorted = this.#list.toSorted((a, b) => a.line - b.line || a.column - b.column);
    if (this.#more === 0) return sorted;
    const last = sorted.at(-1)!;
    return [...sorted, { ...last, effect: "other", message: `${this.#more} more are not shown` }];
  }
}

/** Something was not carried. */
export function isLoss({ effect }: Note): boolean {
  return effect !== "same";
}

/** `build.yml:12:9: not carried: …`, or without a word where it only explains. */
export function noteText(file: string, note: Note): string {
  const kind = isLoss(note) ? "not carried: " : "";
  return `${oneLine(file)}:${note.line}:${note.column}: ${kind}${note.message}${effectTexts[note.effect]}`;
}

/** Foreign text in comments and on terminals: one line, no control characters, of bounded length. */
export function oneLine(text: string): string {
  const clean = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").trim();
  return clean.length > 400 ? `${clean.slice(0, 399)}…` : clean;
}

/** Foreign text quoted in a message, cut short. */
export function quoted(text: string): string {
  const clean = oneLine(text);
  return `“${clean.length > 80 ? `${clean.slice(0, 79)}…` : clean}”`;
}
