/**
 * JSON from somebody else, no longer and no deeper than what we write ourselves. What nests deeply, or has members by the
 * hundred thousand, costs V8's parser and collector more than its length, so both are looked at before anything is built. Pure.
 */

/** Characters. A testimony of ten thousand sightings has a quarter of it. */
export const longest = 4 << 20;

/** Nothing that a sink or an agent says nests as deeply. */
const deepest = 8;

/** The value of a JSON text; undefined where it is none, is too long or nests too deeply. Work in proportion to the length. */
export function parseShallow(text: string): unknown {
  if (text.length > longest || isDeep(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === quote) {
      for (i++; i < text.length && text.charCodeAt(i) !== quote; i++) if (text.charCodeAt(i) === backslash) i++;
    } else if (code === openBracket || code === openBrace) {
      if (++depth > deepest) return true;
    } else if (code === closeBracket || code === closeBrace) depth--;
  }
  return false;
}

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];
