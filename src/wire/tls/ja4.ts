/**
 * The JA4 fingerprint of a ClientHello: which TLS library speaks, whatever name it asks for. For records and alerts only;
 * no verdict may rest on it, since any client can send any hello. Follows the published JA4 specification (the client
 * part alone, which is free to use).
 */
import { createHash } from "node:crypto";
import { isGrease, type ClientHello } from "./hello.ts";

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
