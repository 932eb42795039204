/** What two readers of the same ClientHello must agree on, taken from tshark's fields and from our own structure. */
import type { ClientHello } from "../../src/wire/tls/hello.ts";
import type { Row } from "./tshark.ts";

export interface HelloReading {
  name: string | null;
  legacyVersion: number;
  cipherSuites: number[];
  extensions: number[];
  supportedVersions: number[];
  /** Null where the hello has delegated credentials (RFC 9345): tshark shows their algorithms in the same field. */
  signatureAlgorithms: number[] | null;
  alpn: string[];
  /** Of the handshake message without its header. */
  length: number;
}

/** Fields of tshark that {@link describeHello} needs. */
export const helloFields = [
  "tls.handshake.extensions_server_name",
  "tls.handshake.version",
  "tls.handshake.ciphersuite",
  "tls.handshake.extension.type",
  "tls.handshake.extensions.supported_version",
  "tls.handshake.sig_hash_alg",
  "tls.handshake.extensions_alpn_str",
  "tls.handshake.length",
];

const DELEGATED_CREDENTIALS = 34;

export const describeHello = {
  fromTshark(row: Row): HelloReading {
    const numbers = (field: string) => row[field]!.map(Number);
    return {
      name: row["tls.handshake.extensions_server_name"]![0] ?? null,
      legacyVersion: numbers("tls.handshake.version")[0]!,
      cipherSuites: numbers("tls.handshake.ciphersuite"),
      extensions: numbers("tls.handshake.extension.type"),
      supportedVersions: numbers("tls.handshake.extensions.supported_version"),
      signatureAlgorithms: numbers("tls.handshake.extension.type").includes(DELEGATED_CREDENTIALS)
        ? null
        : numbers("tls.handshake.sig_hash_alg"),
      alpn: row["tls.handshake.extensions_alpn_str"]!,
      length: numbers("tls.handshake.length")[0]!,
    };
  },

  fromOurs(hello: ClientHello): HelloReading {
    return {
      name: hello.sni.kind === "name" ? hello.sni.raw : null,
      legacyVersion: hello.legacyVersion,
      cipherSuites: hello.cipherSuites,
      extensions: hello.extensions,
      supportedVersions: hello.supportedVersions,
      signatureAlgorithms: hello.extensions.includes(DELEGATED_CREDENTIALS) ? null : hello.signatureAlgorithms,
      alpn: hello.alpn,
      length: hello.bytes - 4,
    };
  },
};
