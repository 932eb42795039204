/**
 * The JA4 fingerprint of a ClientHello: which TLS library speaks, whatever name it asks for. For records and alerts only;
 * no verdict may rest on it, since any client can send any hello. Follows the published JA4 specification (the client
 * part alone, which is free to use).
 *
 * A client's hellos have the same fingerprint each time, and to work it out costs more than to read and judge the hello. So the last
 * ones are remembered, with all that they were made from: nothing but the very same numbers finds one again.
 */
import { createHash } from "node:crypto";
import { isGrease, type ClientHello } from "./hello.ts";

/** What a fingerprint is made from. */
type Traits = Pick<
  ClientHello,
  "cipherSuites" | "extensions" | "supportedVersions" | "signatureAlgorithms" | "legacyVersion" | "alpnEnds"
>;

interface Known {
  traits: Traits;
  transport: "tcp" | "quic";
  fingerprint: string;
}

/**
 * Fingerprints remembered, by a sum of what they were made from; another hello of the same sum takes the place. A fleet has some dozens
 * of TLS libraries; browsers that shuffle their extensions are new each time and find nothing.
 */
const places = 256;
const known: (Known | undefined)[] = Array.from({ length: places });
/** Longer ones are not kept: hellos that no library sends must not take memory. */
const mostNumbers = 512;

const versions = new Map([
  [0x0304, "13"],
  [0x0303, "12"],
  [0x0302, "11"],
  [0x0301, "10"],
  [0x0300, "s3"],
  [0x0002, "s2"],
]);

/** For example `t13d1516h2_8daaf6152771_e5627efa2ab1`. */
export function ja4(hello: ClientHello, transport: "tcp" | "quic"): string {
  const place = sumOf(hello) % places;
  const found = known[place];
  if (found !== undefined && found.transport === transport && isAlike(found.traits, hello)) return found.fingerprint;
  const fingerprint = computeJa4(hello, transport);
  const { cipherSuites, extensions, supportedVersions, signatureAlgorithms, legacyVersion, alpnEnds } = hello;
  const numbers = cipherSuites.length + extensions.length + supportedVersions.length + signatureAlgorithms.length;
  if (numbers <= mostNumbers) {
    const traits = { cipherSuites, extensions, supportedVersions, signatureAlgorithms, legacyVersion, alpnEnds };
    known[place] = { traits, transport, fingerprint };
  }
  return fingerprint;
}

/** Spreads hellos over the places; says nothing of what they are. */
function sumOf({ cipherSuites, extensions, signatureAlgorithms }: Traits): number {
  let sum = cipherSuites.length;
  for (let i = 0; i < cipherSuites.length; i++) sum = (Math.imul(sum, 31) + cipherSuites[i]!) | 0;
  for (let i = 0; i < extensions.length; i++) sum = (Math.imul(sum, 31) + extensions[i]!) | 0;
  for (let i = 0; i < signatureAlgorithms.length; i++) sum = (Math.imul(sum, 31) + signatureAlgorithms[i]!) | 0;
  return (sum ^ (sum >>> 16)) >>> 0;
}

function isAlike(a: Traits, b: Traits): boolean {
  return (
    a.legacyVersion === b.legacyVersion &&
    (a.alpnEnds === null
      ? b.alpnEnds === null
      : b.alpnEnds !== null && a.alpnEnds[0] === b.alpnEnds[0] && a.alpnEnds[1] === b.alpnEnds[1]) &&
    isSame(a.cipherSuites, b.cipherSuites) &&
    isSame(a.extensions, b.extensions) &&
    isSame(a.supportedVersions, b.supportedVersions) &&
    isSame(a.signatureAlgorithms, b.signatureAlgorithms)
  );
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The same without a memory: what the specification says. */
export function computeJa4(hello: Traits, transport: "tcp" | "quic"): string {
  const suites = hello.cipherSuites.filter((suite) => !isGrease(suite));
  const extensions = hello.extensions.filter((type) => !isGrease(type));
  const version = Math.max(0, ...hello.supportedVersions.filter((value) => !isGrease(value)));
  const head =
    (transport === "quic" ? "q" : "t") +
    (versions.get(version === 0 ? hello.legacyVersion : version) ?? "00") +
    (extensions.includes(0) ? "d" : "i") +
    count(suites.length) +
    count(extensions.length) +
    alpnMark(hello.alpnEnds);
  // Server name and ALPN depend on the site, not on the library, so they are left out of the hash.
  const stable = sortedHex(extensions.filter((type) => type !== 0 && type !== 16));
  const algorithms = hello.signatureAlgorithms.filter((value) => !isGrease(value)).map(hex4);
  const tail = algorithms.length === 0 ? stable : `${stable}_${algorithms.join(",")}`;
  return `${head}_${digest(sortedHex(suites))}_${extensions.length === 0 ? digest("") : digest(tail)}`;
}

function count(value: number): string {
  return String(Math.min(value, 99)).padStart(2, "0");
}

function alpnMark(ends: ClientHello["alpnEnds"]): string {
  if (ends === null) return "00";
  const text = String.fromCharCode(...ends);
  if (/^[0-9A-Za-z]{2}$/.test(text)) return text;
  return (ends[0] >> 4).toString(16) + (ends[1] & 15).toString(16);
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, "0");
}

function sortedHex(values: readonly number[]): string {
  return values.map(hex4).toSorted().join(",");
}

function digest(text: string): string {
  return text === "" ? "000000000000" : createHash("sha256").update(text).digest("hex").slice(0, 12);
}
