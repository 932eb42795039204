/**
 * Host names in their one canonical form: lower case, no trailing dot, ASCII labels of `[a-z0-9_-]` (underscores occur
 * in real names, RFC 2181 section 11), at most 63 octets a label and 253 in all (RFC 1035 section 2.3.4). Everything that
 * compares names compares canonical ones; a name that has no canonical form is a defect and never reaches a rule.
 * IP literals in every spelling that a C library would accept are defects: a name rule must not be met by an address.
 */

/** Why a text is not a host name. */
export interface NameDefect {
  readonly defect: NameDefectCode;
}

export type NameDefectCode =
  | "empty"
  | "nul"
  | "empty_label"
  | "label_too_long"
  | "name_too_long"
  | "ip_literal"
  | "bad_character";

/** What each defect means, for people. */
export const nameDefectTexts: Record<NameDefectCode, string> = {
  empty: "the name is empty",
  nul: "the name contains a NUL",
  empty_label: "the name has an empty label (two dots in a row, or a dot at its start)",
  label_too_long: "a label is longer than 63 characters",
  name_too_long: "the name is longer than 253 characters",
  ip_literal: "this is an IP address, not a name",
  bad_character: "a name has only letters, digits, hyphens, underscores and dots",
};

const defects = Object.fromEntries(
  Object.keys(nameDefectTexts).map((code) => [code, Object.freeze({ defect: code as NameDefectCode })]),
) as Record<NameDefectCode, NameDefect>;

/** True for the failure arm of {@link canonicalName} and {@link toAscii}. */
export function isNameDefect(value: string | NameDefect): value is NameDefect {
  return typeof value !== "string";
}

/**
 * The canonical form of a name from a packet, or why there is none. Accepts ASCII only (U-labels never occur on the
 * wire); allocates nothing when the text is canonical already. Linear in at most 255 characters.
 */
export function canonicalName(text: string): string | NameDefect {
  let end = text.length;
  if (end === 0) return defects.empty;
  if (end > 1 && text.charCodeAt(end - 1) === 0x2e) end--;
  if (end > 253) return text.includes("\0") ? defects.nul : defects.name_too_long;
  let upper = false;
  let labelStart = 0;
  for (let i = 0; i < end; i++) {
    const c = text.charCodeAt(i);
    if ((c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39) || c === 0x2d || c === 0x5f) continue;
    if (c >= 0x41 && c <= 0x5a) {
      upper = true;
    } else if (c === 0x2e) {
      if (i === labelStart) return defects.empty_label;
      if (i - labelStart > 63) return defects.label_too_long;
      labelStart = i + 1;
    } else if (c === 0) {
      return defects.nul;
    } else {
      // Plain or bracketed IPv6, with or without a zone, is told apart only for the message's sake.
      return /^\[?[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(%.*)?\]?$/.test(text) ? defects.ip_literal : defects.bad_character;
    }
  }
  if (end === labelStart) return defects.empty_label;
  if (end - labelStart > 63) return defects.label_too_long;
  if (isNumber(text, labelStart, end)) return defects.ip_literal;
  if (end !== text.length) text = text.slice(0, end);
  return upper ? text.toLowerCase() : text;
}

/**
 * A last label that reads as a number makes the whole an IPv4 address for inet_aton and for URL parsers (`127.1`,
 * `2130706433`, `0x7f.1`, `0177.0.0.1`); no top-level domain is numeric (RFC 3696 section 2).
 */
function isNumber(text: string, start: number, end: number): boolean {
  let i = start;
  const hex = text.charCodeAt(i) === 0x30 && (text.charCodeAt(i + 1) | 0x20) === 0x78 && i + 1 < end;
  if (hex) i += 2;
  for (; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0x30 && c <= 0x39) continue;
    if (hex && (c | 0x20) >= 0x61 && (c | 0x20) <= 0x66) continue;
    return false;
  }
  return true;
}

/**
 * The canonical form of a name that a person wrote: as {@link canonicalName}, and U-labels become A-labels (UTS 46 by
 * the URL standard's host parser). For policy files only, never for packets.
 */
export function toAscii(text: string): string | NameDefect {
  if (/^[\0-\x7f]*$/.test(text)) return canonicalName(text);
  // ASCII that a URL's host would give another meaning (port, userinfo, percent-encoding) must not reach the parser.
  if (/[\0-\x20:/?#@[\]\\%<>^|]/.test(text)) return defects.bad_character;
  try {
    return canonicalName(new URL(`http://${text}/`).hostname);
  } catch {
    return defects.bad_character;
  }
}
