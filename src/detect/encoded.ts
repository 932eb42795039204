/**
 * Does a label spell something, or is it data in disguise? Answered by description length (Rissanen, 1978): the label is
 * taken for data when writing it as random characters of a small alphabet needs fewer bits than spelling it the way host
 * names are spelled. Both lengths grow with the label, so no threshold on length is needed, and a short label has too
 * little in it to be called anything. The plain entropy of a label's characters cannot do this: it is that of any text for
 * a dozen characters, and highest where no character repeats.
 *
 * One label proves nothing: shards of CDNs, buckets and content hashes are random, too. Callers add up.
 */

/** Bits in favour of "it is a name": one label in 256 may be random by chance of our model before any is called data. */
const benefitOfDoubt = 8;

/** Letters of English text, in per mille (Lewand, Cryptological Mathematics, 2000); host names are made of such words. */
const letters: Readonly<Record<string, number>> = {
  ...{ a: 82, b: 15, c: 28, d: 43, e: 127, f: 22, g: 20, h: 61, i: 70, j: 1.5, k: 7.7, l: 40, m: 24 },
  ...{ n: 67, o: 75, p: 19, q: 1, r: 60, s: 63, t: 91, u: 28, v: 9.8, w: 24, x: 1.5, y: 20, z: 0.7 },
};

type Kind = "start" | "vowel" | "consonant" | "digit" | "mark";

const vowels = "aeiouy";

/** What follows what in names made of words: vowels and consonants take turns, digits come in runs, mostly at the end. */
const follows: Readonly<Record<Kind, Readonly<Record<Exclude<Kind, "start">, number>>>> = {
  start: { vowel: 0.27, consonant: 0.68, digit: 0.04, mark: 0.01 },
  vowel: { vowel: 0.14, consonant: 0.75, digit: 0.04, mark: 0.07 },
  consonant: { vowel: 0.5, consonant: 0.38, digit: 0.05, mark: 0.07 },
  digit: { vowel: 0.06, consonant: 0.14, digit: 0.55, mark: 0.25 },
  mark: { vowel: 0.22, consonant: 0.55, digit: 0.2, mark: 0.03 },
};

/** Sizes of what data is written in: digits, hex, base32, base32hex and base36, and base64 for URLs without its case. */
const alphabets: readonly (readonly [RegExp, number])[] = [
  [/^[0-9]+$/, 10],
  [/^[0-9a-f]+$/, 16],
  [/^[a-z]+$/, 26],
  [/^[a-z2-7]+$/, 32],
  [/^[a-z0-9]+$/, 36],
  [/^[a-z0-9_-]+$/, 38],
];

/** Bytes that other than host names hold: raw DNS labels. */
const anyByte = 256;

/** Bits that `label` (lower case) carries if it is data; 0 where it is rather a name, or too short to say. */
export function encodedBits(label: string): number {
  const random = label.length * Math.log2(alphabetOf(label));
  return spelledBits(label) > random + benefitOfDoubt ? random : 0;
}

/** Bits that the labels above `domain` (a suffix of `name`, or the name itself) carry if they are data. */
export function payloadBits(name: string, domain: string): number {
  const payload = name.length > domain.length ? name.slice(0, -domain.length - 1) : "";
  let bits = 0;
  for (const label of payload.split(".")) if (label !== "") bits += encodedBits(label);
  return bits;
}

function alphabetOf(label: string): number {
  for (const [pattern, size] of alphabets) if (pattern.test(label)) return size;
  return anyByte;
}

/** The label's length in bits, spelled as names are. */
function spelledBits(label: string): number {
  let bits = 0;
  let before: Kind = "start";
  for (const character of label) {
    const kind = kindOf(character);
    if (kind === null) bits += 10;
    else {
      bits -= Math.log2(follows[before][kind] * shareOf(character, kind));
      before = kind;
    }
  }
  return bits;
}

function kindOf(character: string): Exclude<Kind, "start"> | null {
  if (character in letters) return vowels.includes(character) ? "vowel" : "consonant";
  if (character >= "0" && character <= "9") return "digit";
  return character === "-" || character === "_" ? "mark" : null;
}

const total = (of: string): number => of.split("").reduce((sum, letter) => sum + (letters[letter] ?? 0), 0);
const vowelTotal = total(vowels);
const consonantTotal = total(Object.keys(letters).join("")) - vowelTotal;

/** How much of its kind a character is. */
function shareOf(character: string, kind: Exclude<Kind, "start">): number {
  if (kind === "vowel") return letters[character]! / vowelTotal;
  if (kind === "consonant") return letters[character]! / consonantTotal;
  return kind === "digit" ? 0.1 : 0.5;
}
