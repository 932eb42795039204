/**
 * IP addresses as values. An `Address` is the address's bytes as a string of 4 (IPv4) or 16 (IPv6) characters in
 * U+0000–U+00FF: one form for map keys, comparison and prefix walks, taken from a packet without parsing text.
 * It is for machines; `formatAddress` gives the text people read (RFC 5952).
 */
declare const addressBrand: unique symbol;
export type Address = string & { readonly [addressBrand]: true };

/** The address at `offset` of a packet; `length` is 4 or 16. */
export function addressFromBytes(bytes: Uint8Array, offset: number, length: 4 | 16): Address {
  const b = bytes;
  const o = offset;
  if (length === 4) return String.fromCharCode(b[o]!, b[o + 1]!, b[o + 2]!, b[o + 3]!) as Address;
  // Written out: `apply` over a subarray allocates ten times as much for each packet.
  // prettier-ignore
  return String.fromCharCode(
    b[o]!, b[o + 1]!, b[o + 2]!, b[o + 3]!, b[o + 4]!, b[o + 5]!, b[o + 6]!, b[o + 7]!,
    b[o + 8]!, b[o + 9]!, b[o + 10]!, b[o + 11]!, b[o + 12]!, b[o + 13]!, b[o + 14]!, b[o + 15]!,
  ) as Address;
}

/** The address's 4 or 16 bytes. */
export function addressToBytes(address: Address): Uint8Array {
  const bytes = new Uint8Array(address.length);
  for (let i = 0; i < address.length; i++) bytes[i] = address.charCodeAt(i);
  return bytes;
}

/** Parses dotted-quad IPv4 (no leading zeros, RFC 6943) or IPv6 text (RFC 4291, no zone); null when it is neither. */
export function parseAddress(text: string): Address | null {
  return text.includes(":") ? parseV6(text) : parseV4(text);
}

function parseV4(text: string): Address | null {
  // By characters: every packet's address that is text comes by here, several times.
  const numbers = [0, 0, 0, 0];
  let part = 0;
  let digits = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit === -2 && digits > 0 && part < 3) {
      part++;
      digits = 0;
    } else if (digit >= 0 && digit <= 9 && (digits === 0 || numbers[part] !== 0)) {
      numbers[part] = numbers[part]! * 10 + digit;
      digits++;
      if (numbers[part]! > 255) return null;
    } else return null;
  }
  if (part !== 3 || digits === 0) return null;
  return String.fromCharCode(numbers[0]!, numbers[1]!, numbers[2]!, numbers[3]!) as Address;
}

function parseV6(text: string): Address | null {
  if (text.length > 45) return null;
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : "";
  if (head === null || tail === null) return null;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return null;
  return (head + "\0".repeat(missing) + tail) as Address;
}

/** The bytes of colon-separated groups; `last` allows a dotted quad as the final one. */
function parseGroups(text: string, last: boolean): string | null {
  if (text === "") return "";
  const groups = text.split(":");
  let out = "";
  for (let i = 0; i < groups.length; i++) {
    const group = groups[i]!;
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      out += String.fromCharCode(value >> 8, value & 255);
    } else if (last && i === groups.length - 1) {
      const v4 = parseV4(group);
      if (v4 === null) return null;
      out += v4;
    } else return null;
  }
  return out.length <= 16 ? out : null;
}

/** Canonical text: dotted quad, or RFC 5952 (lower case, the longest run of zero groups as `::`). */
export function formatAddress(address: Address): string {
  if (address.length === 4) {
    return `${address.charCodeAt(0)}.${address.charCodeAt(1)}.${address.charCodeAt(2)}.${address.charCodeAt(3)}`;
  }
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((address.charCodeAt(i) << 8) | address.charCodeAt(i + 1));
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let j = i;
    while (j < 8 && groups[j] === 0) j++;
    if (j - i > length) {
      start = i;
      length = j - i;
    }
  }
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((g) => g.toString(16))
      .join(":");
  return start < 0 ? hex(0, 8) : `${hex(0, start)}::${hex(start + length, 8)}`;
}

/** 4 or 6. */
export function family(address: Address): 4 | 6 {
  return address.length === 4 ? 4 : 6;
}
