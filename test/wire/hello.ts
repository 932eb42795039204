/** Builds ClientHellos byte by byte, right ones and wrong ones, for the tests of the TLS and QUIC parsers. */

export interface HelloParts {
  legacyVersion?: number;
  sessionId?: Uint8Array;
  cipherSuites?: number[];
  compression?: number[];
  /** In order; null leaves the whole block out. */
  extensions?: Extension[] | null;
  /** Bytes after the extensions. */
  trailing?: Uint8Array;
}

export type Extension = readonly [type: number, data: Uint8Array];

export function bytes(...parts: (number | Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(parts.flatMap((part) => (typeof part === "number" ? [part] : [...part])));
}

export const ascii = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));

const u16 = (value: number) => [value >> 8, value & 255];

/** A vector behind its length of one or two bytes. */
export const vector = (prefix: 1 | 2, data: Uint8Array) => bytes(prefix === 1 ? [data.length] : u16(data.length), data);

/** A server_name extension with these host_name entries. */
export const serverNames = (...names: string[]): Extension => [
  0,
  vector(2, bytes(...names.map((name) => bytes(0, vector(2, ascii(name)))))),
];

export const alpn = (...protocols: string[]): Extension => [
  16,
  vector(2, bytes(...protocols.map((protocol) => vector(1, ascii(protocol))))),
];

export const supportedVersions = (...versions: number[]): Extension => [
  43,
  vector(1, bytes(...versions.flatMap((version) => u16(version)))),
];

/** An extension of `size` bytes: padding, or the key share of a post-quantum group. */
export const filler = (type: number, size: number): Extension => [type, new Uint8Array(size)];

/** A handshake message of type ClientHello, header included. */
export function buildHello(parts: HelloParts = {}): Uint8Array<ArrayBuffer> {
  const extensions = parts.extensions === undefined ? [serverNames("pypi.org")] : parts.extensions;
  const block =
    extensions === null
      ? []
      : [vector(2, bytes(...extensions.map(([type, data]) => bytes(u16(type), vector(2, data)))))];
  const body = bytes(
    u16(parts.legacyVersion ?? 0x0303),
    new Uint8Array(32).fill(0x5a),
    vector(1, parts.sessionId ?? new Uint8Array(0)),
    vector(2, bytes(...(parts.cipherSuites ?? [0x1301, 0x1302]).flatMap((suite) => u16(suite)))),
    vector(1, bytes(...(parts.compression ?? [0]))),
    ...block,
    parts.trailing ?? [],
  );
  return bytes(1, body.length >> 16, u16(body.length & 0xffff), body);
}

/** TLS records of type handshake around `message`, cut at the given offsets. */
export function records(message: Uint8Array, ...cuts: number[]): Uint8Array<ArrayBuffer> {
  const edges = [0, ...cuts, message.length];
  return bytes(...edges.slice(1).map((to, i) => bytes(22, 3, 1, vector(2, message.subarray(edges[i], to)))));
}
