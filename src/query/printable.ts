/** Text of strangers on a terminal: what it holds is seen, and nothing of it is obeyed. */

/** Controls, marks that reorder text or have no width, ends of lines, halves of characters, and what fonts make up. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;
const plainText = /^[ -~]*$/;

/** Text with everything in it visible: `\u{1b}` for an escape character. */
export function printable(text: string): string {
  if (plainText.test(text)) return text;
  return text.replaceAll(unprintable, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}
