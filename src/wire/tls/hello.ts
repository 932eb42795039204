/**
 * Reads the body of a ClientHello (RFC 8446 section 4.1.2, and its ancestors back to SSL 3.0), the one message that
 * names the server before anything is encrypted. Carried by TLS records (`client-hello.ts`) and by QUIC CRYPTO frames
 * (`../quic/initial.ts`) alike. Strict where servers differ from each other: a hello that two servers could read as two
 * names is a defect, never a name. It judges no cryptography.
 */
import { readExtensions, readWords, type Extensions } from "./extensions.ts";

/** The longest ClientHello accepted, header not counted. Post-quantum key shares make 1.6 kB the normal case. */
export const maxHelloBytes = 32768;

/** What makes a ClientHello unreadable. Fixed words, fit for a record. */
export type HelloDefect =
  | "hello_truncated"
  | "hello_trailing_bytes"
  | "hello_version"
  | "session_id_length"
  | "cipher_suites_length"
  | "compression_methods_length"
  | "extensions_length"
  | "duplicate_extension"
  | "too_many_extensions"
  | "alpn_syntax"
  | "supported_versions_syntax"
  | "signature_algorithms_syntax"
  | "psk_not_last";

/** The server name the hello shows (RFC 6066 section 3), as sent. `name` is not yet known to be a host name. */
export type Sni = { kind: "none" } | { kind: "name"; raw: string } | { kind: "invalid"; defect: SniDefect };

export type SniDefect =
  | "syntax"
  | "empty"
  | "not_host_name"
  | "two_names"
  | "trailing_bytes"
  | "not_ascii"
  | "too_long";

export interface ClientHello extends Extensions {
  legacyVersion: number;
  /** The highest version offered, GREASE left out (RFC 8701), e.g. `TLS 1.3`; null where none is known. */
  version: string | null;
  sessionIdLength: number;
  /** Cipher suites in order, GREASE included. */
  cipherSuites: number[];
  /** Bytes of the handshake message, its header of 4 included. */
  bytes: number;
}

/**
 * Reads a whole ClientHello body: `message` without the 4-byte handshake header, and nothing after it.
 *
 * @returns the hello, or the defect as a string
 */
export function parseHello(message: Uint8Array): ClientHello | HelloDefect {
  const end = message.length;
  // Version, random and the session id's length.
  if (end < 35) return "hello_truncated";
  const legacyVersion = (message[0]! << 8) | message[1]!;
  if (message[0] !== 3) return "hello_version";
  const sessionIdLength = message[34]!;
  if (sessionIdLength > 32) return "session_id_length";
  let at = 35 + sessionIdLength;
  if (end - at < 2) return "hello_truncated";
  const suites = (message[at]! << 8) | message[at + 1]!;
  at += 2;
  if (suites === 0 || suites % 2 !== 0) return "cipher_suites_length";
  if (end - at < suites) return "hello_truncated";
  const cipherSuites = readWords(message, at, at + suites);
  at += suites;
  if (end - at < 1) return "hello_truncated";
  const methods = message[at]!;
  at += 1;
  if (methods === 0) return "compression_methods_length";
  if (end - at < methods) return "hello_truncated";
  at += methods;
  // Before TLS 1.2 a hello may simply end here; any other remainder must be exactly the extensions.
  const extensions = readExtensions(message, at);
  if (typeof extensions === "string") return extensions;
  const version = highestVersion(legacyVersion, extensions.supportedVersions);
  return { legacyVersion, version, sessionIdLength, cipherSuites, bytes: 4 + end, ...extensions };
}

/** True for the reserved values that clients throw in to keep servers tolerant (RFC 8701). */
export function isGrease(value: number): boolean {
  return (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff);
}

const versionNames = new Map([
  [0x0304, "TLS 1.3"],
  [0x0303, "TLS 1.2"],
  [0x0302, "TLS 1.1"],
  [0x0301, "TLS 1.0"],
  [0x0300, "SSL 3.0"],
]);

/** The extension overrules the legacy field (RFC 8446 section 4.2.1); drafts of TLS 1.3 count below all final versions. */
function highestVersion(legacy: number, supported: readonly number[]): string | null {
  if (supported.length === 0) return versionNames.get(Math.min(legacy, 0x0303)) ?? null;
  for (const [version, name] of versionNames) if (supported.includes(version)) return name;
  let draft = 0;
  for (const version of supported) if (version >> 8 === 0x7f && version > draft) draft = version;
  return draft === 0 ? null : `TLS 1.3 draft ${draft & 0xff}`;
}
