/**
 * Reads header and trailer fields (RFC 9112 section 5) with none of the leniencies that let two parsers see two
 * messages: no folded lines, no space before the colon, no bare CR or LF, no control characters. Called by `request.ts`
 * and `request-stream.ts`; works on a prefix and says when it ends too early.
 */

/** Bytes of a whole head: request line, fields, empty line. */
export const maxHeadBytes = 16384;

/** Fields of one head or trailer. */
export const maxFields = 100;

export type FieldDefect =
  | "folded_line"
  | "field_name"
  | "field_value"
  | "bare_cr"
  | "bare_lf"
  | "too_many_fields"
  | "forbidden_trailer";

/** Returned by {@link readFields} where the bytes end before the fields do. */
export const fieldsNeedMore = -1;

const CR = 0x0d;
const LF = 0x0a;

/** RFC 9110 section 5.6.2. */
export function isTokenByte(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    (byte > 0x20 && byte < 0x7f && "!#$%&'*+-.^_`|~".includes(String.fromCharCode(byte)))
  );
}

/**
 * Reads fields from `from` to the empty line that ends them.
 *
 * @param visit called for each whole field with its name in lower case and its value without surrounding white space;
 *   only for names in `wanted`
 * @returns the offset after the empty line, {@link fieldsNeedMore}, or what is wrong
 */
export function readFields(
  bytes: Uint8Array,
  from: number,
  wanted: ReadonlySet<string>,
  visit: (name: string, value: string) => void,
): number | FieldDefect {
  const end = bytes.length;
  let at = from;
  for (let fields = 0; ; fields++) {
    if (at >= end) return fieldsNeedMore;
    const first = bytes[at]!;
    if (first === CR) {
      if (at + 1 >= end) return fieldsNeedMore;
      return bytes[at + 1] === LF ? at + 2 : "bare_cr";
    }
    if (first === LF) return "bare_lf";
    if (fields === maxFields) return "too_many_fields";
    // RFC 9112 section 5.2: a continuation line, which some join to the line above and some drop.
    if (first === 0x20 || first === 0x09) return "folded_line";
    const nameStart = at;
    while (at < end && isTokenByte(bytes[at]!)) at++;
    if (at >= end) return fieldsNeedMore;
    if (bytes[at] !== 0x3a || at === nameStart) return "field_name";
    const nameEnd = at;
    at++;
    const valueStart = at;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === CR) break;
      if (byte === LF) return "bare_lf";
      if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) return "field_value";
    }
    if (at + 1 >= end) return fieldsNeedMore;
    if (bytes[at + 1] !== LF) return "bare_cr";
    if (nameEnd - nameStart <= 32) {
      const name = text(bytes, nameStart, nameEnd).toLowerCase();
      if (wanted.has(name)) visit(name, trim(text(bytes, valueStart, at)));
    }
    at += 2;
  }
}

/** `bytes[from, to)` as a string of U+0000–U+00FF. */
export function text(bytes: Uint8Array, from: number, to: number): string {
  let out = "";
  for (let i = from; i < to; i++) out += String.fromCharCode(bytes[i]!);
  return out;
}

/** Strips spaces and tabs only: `trim()` would take U+00A0 too, which no other parser does. */
function trim(value: string): string {
  let from = 0;
  let to = value.length;
  while (from < to && (value[from] === " " || value[from] === "\t")) from++;
  while (to > from && (value[to - 1] === " " || value[to - 1] === "\t")) to--;
  return value.slice(from, to);
}
