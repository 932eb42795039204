/**
 * IAM's patterns: `*` is any run of characters, `?` any one. A policy variable (`${aws:username}`) stands for a text that is not known
 * here, so a pattern with one is vague: where it could match, the answer is `maybe`. `${*}`, `${?}` and `${$}` are the characters.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
 */
import type { Truth } from "./truth.ts";

/** A pattern made ready: its characters, with `any` and `one` for the wildcards. */
export interface Glob {
  readonly text: string;
  readonly parts: readonly (string | typeof ANY | typeof ONE)[];
  readonly vague: boolean;
}

const ANY = 1;
const ONE = 2;

/** Longer patterns than AWS accepts (a policy has at most 10,240 characters) are cut, and vague. */
const longest = 10_240;

/** `literal`: wildcards are characters, as in `StringEquals`; variables are still variables. */
export function globOf(text: string, literal = false): Glob {
  const parts: (string | typeof ANY | typeof ONE)[] = [];
  let vague = text.length > longest;
  for (let i = 0; i < Math.min(text.length, longest); i++) {
    const character = text[i]!;
    const close = character === "$" && text[i + 1] === "{" ? text.indexOf("}", i) : -1;
    if (close > 0) {
      const name = text.slice(i + 2, close);
      if (name === "*" || name === "?" || name === "$") parts.push(name);
      else {
        vague = true;
        if (parts.at(-1) !== ANY) parts.push(ANY);
      }
      i = close;
    } else if (character === "*" && !literal) {
      if (parts.at(-1) !== ANY) parts.push(ANY);
    } else parts.push(character === "?" && !literal ? ONE : character);
  }
  return { text, parts, vague };
}

/** Whether the whole of `value` matches. Work is at most the product of the lengths. */
export function globMatches(glob: Glob, value: string): Truth {
  const { parts } = glob;
  let part = 0;
  let at = 0;
  let star = -1;
  let resume = 0;
  while (at < value.length) {
    const wanted = parts[part];
    if (wanted === ANY) {
      star = part++;
      resume = at;
    } else if (wanted === ONE || (wanted !== undefined && wanted === value[at])) {
      part++;
      at++;
    } else if (star >= 0) {
      part = star + 1;
      at = ++resume;
    } else return "no";
  }
  while (parts[part] === ANY) part++;
  if (part < parts.length) return "no";
  return glob.vague ? "maybe" : "yes";
}

/** A text that the pattern matches, with `fill` for every run and its first character for every one. */
export function exampleOf(glob: Glob, fill: string): string {
  return glob.parts.map((part) => (part === ANY ? fill : part === ONE ? fill[0] : part)).join("");
}

/** A text that both patterns match, or null where none was found; complete where one of them has no run within. */
export function commonExample(a: Glob, b: Glob, fill: string): string | null {
  // Walk both at once; a state is a pair of places, visited once, with the text that led there.
  const seen = new Set<number>();
  const width = b.parts.length + 1;
  const stack: { i: number; j: number; text: string }[] = [{ i: 0, j: 0, text: "" }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { i, j, text } = top;
    const key = i * width + j;
    if (seen.has(key)) continue;
    if (seen.size > 50_000) return null;
    seen.add(key);
    const x = a.parts[i];
    const y = b.parts[j];
    if (x === undefined && y === undefined) return text;
    // Later pushed is tried first: characters before the end of a run, so that runs take up what the other has.
    if (x === ANY && y === ANY) stack.push({ i: i + 1, j: j + 1, text: text + fill });
    if (x === ANY) stack.push({ i: i + 1, j, text });
    if (y === ANY) stack.push({ i, j: j + 1, text });
    if (x === ANY && y !== undefined && y !== ANY) stack.push({ i, j: j + 1, text: text + characterOf(y, fill) });
    if (y === ANY && x !== undefined && x !== ANY) stack.push({ i: i + 1, j, text: text + characterOf(x, fill) });
    if (x === undefined || y === undefined || x === ANY || y === ANY) continue;
    if (x === y || x === ONE || y === ONE)
      stack.push({ i: i + 1, j: j + 1, text: text + characterOf(x === ONE ? y : x, fill) });
  }
  return null;
}

function characterOf(part: string | typeof ONE, fill: string): string {
  return part === ONE ? fill[0]! : part;
}
