/**
 * Markers: tokens that a test sends and then looks for at the far end. A marker is 16 bytes, so that it fits the pattern
 * of `ping -p`, and is a valid DNS label; upper and lower case are the same marker, because DNS and TLS fold case.
 */
import { randomBytes } from "node:crypto";

const prefix = "SPMARK-";
const alphabet = "abcdefghijklmnopqrstuvwxyz234567";

/** A marker nobody has sent before: `SPMARK-` and nine characters (45 random bits). */
export function newMarker(): string {
  return prefix + Array.from(randomBytes(9), (byte) => alphabet[byte & 31]).join("");
}

/** Every marker in a text, whatever its case; a fresh expression each time because it keeps its place. */
export function markerPattern(): RegExp {
  return new RegExp(`${prefix}[a-z2-7]{9}`, "gi");
}

/**
 * The forms in which a marker may travel, lower case: itself, hex, and the part of base64 and base32 that stays the same
 * at each of the 3 and 5 ways the encoder's groups can fall. Base64 is compared without case, which can only find more.
 */
export function markerForms(marker: string): string[] {
  const forms = new Set<string>();
  for (const text of new Set([marker, marker.toLowerCase()])) {
    const bytes = Buffer.from(text, "latin1");
    forms.add(text.toLowerCase());
    forms.add(bytes.toString("hex"));
    for (let lead = 0; lead < 3; lead++) forms.add(aligned(bytes, lead, 6, base64).toLowerCase());
    for (let lead = 0; lead < 5; lead++) forms.add(aligned(bytes, lead, 5, base32));
  }
  return [...forms];
}

/** The characters of the encoding that depend on the marker's bits alone when `lead` other bytes come before it. */
function aligned(bytes: Buffer, lead: number, bits: number, encode: (bytes: Buffer) => string): string {
  const text = encode(Buffer.concat([Buffer.alloc(lead), bytes]));
  const first = Math.ceil((lead * 8) / bits);
  const end = Math.floor(((lead + bytes.length) * 8) / bits);
  return text.slice(first, end);
}

function base64(bytes: Buffer): string {
  return bytes.toString("base64");
}

/** RFC 4648 base32, lower case, no padding. */
function base32(bytes: Buffer): string {
  let out = "";
  let value = 0;
  let bits = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += alphabet[(value >> bits) & 31];
    }
  }
  return bits > 0 ? out + alphabet[(value << (5 - bits)) & 31] : out;
}
