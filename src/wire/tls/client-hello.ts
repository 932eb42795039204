/**
 * Finds the ClientHello at the start of a TCP stream (RFC 8446 section 5.1, RFC 5246 section 6.2.1): joins the
 * handshake message over as many records as the client cut it into, then reads it with `hello.ts`. It answers as early
 * as the bytes allow, and never says "not TLS" of something that a TLS server would accept: the caller refuses both, but
 * the record must be true. SSLv2-compatible hellos (RFC 5246 appendix E.2) are not TLS here.
 *
 * Stateless: called with the whole contiguous prefix each time it grows. Bytes after the hello (0-RTT) are not looked at.
 */
import { maxHelloBytes, parseHello, type ClientHello, type HelloDefect } from "./hello.ts";

export type { ClientHello, HelloDefect, Sni, SniDefect } from "./hello.ts";

/** Records one hello may be cut into. Real clients use one; the censorship-evading ones a handful. */
export const maxRecords = 32;

/** RFC 8446 section 5.1: a plaintext record's fragment. */
const maxRecordBytes = 16384;

const CHANGE_CIPHER_SPEC = 20;
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
const CLIENT_HELLO = 1;

export type RecordDefect =
  | "empty_record"
  | "record_too_long"
  | "record_type"
  | "record_version"
  | "not_client_hello"
  | "bytes_after_hello";

export type TlsDefect = RecordDefect | HelloDefect;

export type TlsResult =
  | { state: "need_more" }
  | { state: "not_tls" }
  | { state: "malformed"; defect: TlsDefect }
  | { state: "too_large" }
  /** `records`: how many the hello was cut into. `end`: offset of the first byte after its last record. */
  | { state: "hello"; hello: ClientHello; records: number; end: number };

const needMore: TlsResult = { state: "need_more" };
const notTls: TlsResult = { state: "not_tls" };
const tooLarge: TlsResult = { state: "too_large" };

function malformed(defect: TlsDefect): TlsResult {
  return { state: "malformed", defect };
}

/** Where the handshake bytes stand in the prefix: `[from, to)` pairs, one a record. */
type Piece = readonly [from: number, to: number];

/** Reads the client's stream from its first byte. */
export function parseTls(prefix: Uint8Array): TlsResult {
  const pieces: Piece[] = [];
  /** Handshake bytes announced by record headers so far, and those of them that are in the prefix. */
  let announced = 0;
  let present = 0;
  /** Length of the handshake message with its header; unknown until the header's 4 bytes are there. */
  let wanted = -1;
  let at = 0;
  for (;;) {
    if (pieces.length === maxRecords) return tooLarge;
    const left = prefix.length - at;
    if (left === 0) return needMore;
    const isFirst = pieces.length === 0;
    if (prefix[at] !== HANDSHAKE) return isFirst ? otherRecord(prefix) : malformed("record_type");
    if (left >= 2 && prefix[at + 1] !== 3) return isFirst ? notTls : malformed("record_version");
    if (left < 5) return needMore;
    const length = (prefix[at + 3]! << 8) | prefix[at + 4]!;
    if (length === 0) return malformed("empty_record");
    if (length > maxRecordBytes) return malformed("record_too_long");
    const from = at + 5;
    const to = Math.min(from + length, prefix.length);
    at = from + length;
    announced += length;
    if (to > from) {
      pieces.push([from, to]);
      present += to - from;
    }
    if (present > 0 && byteAt(prefix, pieces, 0) !== CLIENT_HELLO) return malformed("not_client_hello");
    if (wanted < 0 && present >= 4) {
      const size = (byteAt(prefix, pieces, 1) << 16) | (byteAt(prefix, pieces, 2) << 8) | byteAt(prefix, pieces, 3);
      if (size > maxHelloBytes) return tooLarge;
      wanted = size + 4;
    }
    // The client may not say more before the server answers, so a record holds nothing after the hello.
    if (wanted >= 0 && announced > wanted) return malformed("bytes_after_hello");
    if (to < at) return needMore;
    if (present === wanted) break;
  }
  const hello = parseHello(join(prefix, pieces, wanted).subarray(4));
  return typeof hello === "string" ? malformed(hello) : { state: "hello", hello, records: pieces.length, end: at };
}

/**
 * The first record is not of the handshake. OpenSSL passes over it where it is empty, whatever its type, or a warning, and
 * serves the hello that follows: such a stream is TLS, and broken TLS to us.
 */
function otherRecord(prefix: Uint8Array): TlsResult {
  if (prefix.length < 2) return needMore;
  if (prefix[1] !== 3) return notTls;
  if (prefix[0]! >= CHANGE_CIPHER_SPEC && prefix[0]! <= APPLICATION_DATA) return malformed("record_type");
  for (const at of [3, 4]) {
    if (at >= prefix.length) return needMore;
    if (prefix[at] !== 0) return notTls;
  }
  return malformed("empty_record");
}

/** Handshake byte `index`, which must be present. Only the header's 4 are asked for, so the walk is short. */
function byteAt(prefix: Uint8Array, pieces: readonly Piece[], index: number): number {
  let left = index;
  for (const [from, to] of pieces) {
    if (left < to - from) return prefix[from + left]!;
    left -= to - from;
  }
  return -1;
}

function join(prefix: Uint8Array, pieces: readonly Piece[], size: number): Uint8Array {
  const only = pieces[0]!;
  if (pieces.length === 1) return prefix.subarray(only[0], only[1]);
  const message = new Uint8Array(size);
  let at = 0;
  for (const [from, to] of pieces) {
    message.set(prefix.subarray(from, to), at);
    at += to - from;
  }
  return message;
}
