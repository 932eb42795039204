/**
 * Reads what a TLS client says after its ClientHello, as far as it is in the clear: is it another ClientHello? A server that
 * answered the first one with a HelloRetryRequest takes another, and not every server compares the names (RFC 8446 section
 * 4.1.4; threat N10). Told from the client's bytes alone: a server that waits for that hello passes over some records
 * (change_cipher_spec, alerts, and early data if the first hello offered it, section 4.2.10) and breaks off at any other.
 *
 * Stateless: called with the contiguous bytes after the first hello's last record each time they grow.
 */
import { parseTls, type ClientHello } from "./client-hello.ts";
import { maxHelloBytes } from "./hello.ts";

/**
 * - `nothing_yet`: whole records, or the beginning of one, that such a server passes over.
 * - `need_more`: a handshake record has begun that may be a hello.
 * - `no_hello`: the server that was waiting for one would break off. `end`: how many bytes show it.
 * - `hello`: `end` is the offset of the first byte after its last record.
 */
export type AfterHello =
  | { state: "nothing_yet" }
  | { state: "need_more" }
  | { state: "no_hello"; end: number }
  | { state: "hello"; hello: ClientHello; end: number }
  | { state: "malformed" }
  | { state: "too_large" };

const CHANGE_CIPHER_SPEC = 20;
const ALERT = 21;
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
const CLIENT_HELLO = 1;

/** No server takes a longer hello, so a message that says it is longer is none: it is the ciphertext of another one. */
const noHelloBytes = 262_144;

/** Reads the client's bytes after its hello. `earlyData`: that hello offered it. */
export function readAfterHello(bytes: Uint8Array, earlyData: boolean): AfterHello {
  let at = 0;
  while (at < bytes.length) {
    const type = bytes[at]!;
    if (type === HANDSHAKE) return readHandshake(bytes, at, earlyData);
    const isPassedOver = type === CHANGE_CIPHER_SPEC || type === ALERT || (type === APPLICATION_DATA && earlyData);
    if (!isPassedOver) return { state: "no_hello", end: at + 1 };
    if (bytes.length - at < 5) break;
    at += 5 + ((bytes[at + 3]! << 8) | bytes[at + 4]!);
  }
  return { state: "nothing_yet" };
}

function readHandshake(bytes: Uint8Array, at: number, earlyData: boolean): AfterHello {
  // An empty record is passed over by some servers, so what follows it may still be a hello: read strictly below.
  const length = bytes.length - at < 5 ? -1 : (bytes[at + 3]! << 8) | bytes[at + 4]!;
  const message = at + 5;
  if (length > 0 && bytes.length > message && bytes[message] !== CLIENT_HELLO) {
    return { state: "no_hello", end: message + 1 };
  }
  if (length >= 4 && bytes.length >= message + 4) {
    const size = (bytes[message + 1]! << 16) | (bytes[message + 2]! << 8) | bytes[message + 3]!;
    if (size > noHelloBytes) return { state: "no_hello", end: message + 4 };
    if (size > maxHelloBytes) return { state: "too_large" };
  }
  const result = parseTls(bytes.subarray(at));
  switch (result.state) {
    case "need_more":
      return { state: "need_more" };
    case "too_large":
      return { state: "too_large" };
    case "hello":
      return { state: "hello", hello: result.hello, end: at + result.end };
    case "malformed": {
      // The first record held a piece of a message and the next one is application data: what looked like a hello was the
      // ciphertext of a resumed session's Finished. Where early data may come in between, a server could read on.
      const next = message + length;
      const isCut = result.defect === "record_type" && !earlyData && bytes[next] === APPLICATION_DATA;
      return isCut ? { state: "no_hello", end: next + 1 } : { state: "malformed" };
    }
    case "not_tls":
      return { state: "malformed" };
  }
}
