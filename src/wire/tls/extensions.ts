/**
 * Walks a ClientHello's extensions and reads the few that matter to a firewall: server_name, ALPN, supported_versions,
 * signature_algorithms (for fingerprints), early_data, Encrypted Client Hello. All others are checked for their bounds
 * and their uniqueness only. Called by `hello.ts`. Read where they lie: a view of each would cost more than reading it does.
 */
import type { HelloDefect, Sni } from "./hello.ts";

export interface Extensions {
  sni: Sni;
  /** Application protocols in order (RFC 7301), at most {@link maxAlpn}; printable, other bytes as `\xNN`. */
  alpn: string[];
  /** First and last byte of the first protocol, as JA4 wants them; null without ALPN. */
  alpnEnds: [number, number] | null;
  /** Versions of the supported_versions extension, GREASE included; empty without it. */
  supportedVersions: number[];
  signatureAlgorithms: number[];
  /** Extension types in order, GREASE included. */
  extensions: number[];
  /** Encrypted Client Hello or its ancestor ESNI is there: real or GREASE, nobody on the path can tell (RFC 9849). */
  ech: boolean;
  /** The client means to send 0-RTT data after this hello (RFC 8446 section 4.2.10). */
  earlyData: boolean;
}

/** Extensions read before the hello is given up. Clients send fewer than 30. */
export const maxExtensions = 128;

/** Protocols kept from ALPN. */
export const maxAlpn = 16;

const SERVER_NAME = 0;
const SIGNATURE_ALGORITHMS = 13;
const ALPN = 16;
const PRE_SHARED_KEY = 41;
const EARLY_DATA = 42;
const SUPPORTED_VERSIONS = 43;

/** RFC 9849, the drafts before it with their own code points, and the experiment called ESNI. */
const encryptedHello = new Set([0xfe0d, 0xfe0c, 0xfe0b, 0xfe0a, 0xfe09, 0xfe08, 0xff02, 0xff03, 0xffce]);

/** Reads the extension block that starts at `from` and must end with the message. */
export function readExtensions(message: Uint8Array, from: number): Extensions | HelloDefect {
  const out: Extensions = {
    sni: { kind: "none" },
    alpn: [],
    alpnEnds: null,
    supportedVersions: [],
    signatureAlgorithms: [],
    extensions: [],
    ech: false,
    earlyData: false,
  };
  const end = message.length;
  if (from === end) return out;
  if (end - from < 2) return "hello_truncated";
  const block = u16(message, from);
  let at = from + 2;
  if (block > end - at) return "hello_truncated";
  if (block < end - at) return "hello_trailing_bytes";
  while (at < end) {
    if (end - at < 4) return "extensions_length";
    const type = u16(message, at);
    const length = u16(message, at + 2);
    at += 4;
    if (length > end - at) return "extensions_length";
    // RFC 8446 section 4.2 forbids repeats; servers that take the first and servers that take the last would differ.
    if (out.extensions.includes(type)) return "duplicate_extension";
    if (out.extensions.length === maxExtensions) return "too_many_extensions";
    out.extensions.push(type);
    const defect = readExtension(out, type, message, at, at + length);
    if (defect !== null) return defect;
    at += length;
    // RFC 8446 section 4.2.11.
    if (type === PRE_SHARED_KEY && at !== end) return "psk_not_last";
  }
  return out;
}

/** The extension's data is `bytes[from, end)`, here and below. */
function readExtension(
  out: Extensions,
  type: number,
  bytes: Uint8Array,
  from: number,
  end: number,
): HelloDefect | null {
  if (encryptedHello.has(type)) out.ech = true;
  if (type === EARLY_DATA) out.earlyData = true;
  if (type === SERVER_NAME) out.sni = readServerName(bytes, from, end);
  else if (type === ALPN) return readAlpn(out, bytes, from, end);
  else if (type === SUPPORTED_VERSIONS) {
    const versions = readList(bytes, from, end, 1);
    if (versions === null) return "supported_versions_syntax";
    out.supportedVersions = versions;
  } else if (type === SIGNATURE_ALGORITHMS) {
    const algorithms = readList(bytes, from, end, 2);
    if (algorithms === null) return "signature_algorithms_syntax";
    out.signatureAlgorithms = algorithms;
  }
  return null;
}

/** RFC 6066 section 3: a list that must hold exactly one entry, of type host_name. */
function readServerName(bytes: Uint8Array, from: number, end: number): Sni {
  const size = end - from;
  if (size < 2) return invalid("syntax");
  const list = u16(bytes, from);
  if (list > size - 2) return invalid("syntax");
  if (list < size - 2) return invalid("trailing_bytes");
  if (list === 0) return invalid("empty");
  if (list < 3) return invalid("syntax");
  const length = u16(bytes, from + 3);
  if (length > list - 3) return invalid("syntax");
  if (bytes[from + 2] !== 0) return invalid("not_host_name");
  if (length < list - 3) return invalid("two_names");
  if (length === 0) return invalid("empty");
  if (length > 255) return invalid("too_long");
  let raw = "";
  for (let i = from + 5; i < end; i++) {
    const byte = bytes[i]!;
    // NUL ends the name for servers written in C; controls, spaces and non-ASCII are no part of any A-label.
    if (byte <= 0x20 || byte >= 0x7f) return invalid("not_ascii");
    raw += String.fromCharCode(byte);
  }
  return { kind: "name", raw };
}

function invalid(defect: Extract<Sni, { kind: "invalid" }>["defect"]): Sni {
  return { kind: "invalid", defect };
}

/** RFC 7301 section 3.1. */
function readAlpn(out: Extensions, bytes: Uint8Array, from: number, end: number): HelloDefect | null {
  if (end - from < 4 || u16(bytes, from) !== end - from - 2) return "alpn_syntax";
  let at = from + 2;
  while (at < end) {
    const length = bytes[at]!;
    if (length === 0 || length > end - at - 1) return "alpn_syntax";
    if (out.alpnEnds === null) out.alpnEnds = [bytes[at + 1]!, bytes[at + length]!];
    if (out.alpn.length < maxAlpn) out.alpn.push(printable(bytes, at + 1, at + 1 + length));
    at += 1 + length;
  }
  return null;
}

/** A vector of 16-bit values behind a length of one or two bytes, at least one value and nothing after it. */
function readList(bytes: Uint8Array, from: number, end: number, prefix: 1 | 2): number[] | null {
  if (end - from < prefix + 2) return null;
  const length = prefix === 1 ? bytes[from]! : u16(bytes, from);
  if (length !== end - from - prefix || length % 2 !== 0) return null;
  return readWords(bytes, from + prefix, end);
}

/** The 16-bit values of `bytes[from, end)`, of which there is a whole number. */
export function readWords(bytes: Uint8Array, from: number, end: number): number[] {
  const values: number[] = [];
  for (let at = from; at < end; at += 2) values.push(u16(bytes, at));
  return values;
}

function printable(bytes: Uint8Array, from: number, end: number): string {
  let text = "";
  for (let i = from; i < end; i++) {
    const byte = bytes[i]!;
    text +=
      byte > 0x20 && byte < 0x7f && byte !== 0x5c
        ? String.fromCharCode(byte)
        : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return text;
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}
