/**
 * Reads the ClientHello out of a QUIC connection's first datagrams (RFC 9000, RFC 9001; version 2: RFC 9369), however the
 * client spread it: many CRYPTO frames, many packets in a datagram, many datagrams, in any order (threat N9). Fed with
 * the client's datagrams only, one object a flow; bounded in datagrams, packets and bytes.
 *
 * What it cannot promise: the name belongs to the *first* connection on these addresses and ports. Nothing in QUIC keeps a
 * client from opening another one later on the same socket, so an allowed flow still rests on its address binding.
 */
import { Reassembly } from "../reassembly.ts";
import { maxHelloBytes, parseHello, type ClientHello, type HelloDefect } from "../tls/hello.ts";
import { readFrames, type FrameDefect } from "./frames.ts";
import { readHeader, type LongHeader } from "./header.ts";
import { deriveClientKeys, openInitial, type InitialKeys } from "./keys.ts";

export type { ClientHello } from "../tls/hello.ts";

export const quicLimits = {
  datagrams: 16,
  /** Initial packets opened of one datagram: each costs a decryption. */
  packetsPerDatagram: 16,
  /** Bytes of the CRYPTO stream. */
  bytes: 65536,
  /** Pieces of it with gaps between them. */
  ranges: 64,
} as const;

export type QuicDefect =
  | HelloDefect
  | FrameDefect
  | "header"
  | "short_connection_id"
  | "small_datagram"
  | "mixed_connections"
  | "undecryptable"
  | "reserved_bits"
  | "retry_from_client"
  | "not_client_hello"
  | "bytes_after_hello";

/** `not_quic`: not a client's first datagram of QUIC version 1 or 2. */
export type QuicResult =
  | { state: "need_more" }
  | { state: "not_quic" }
  | { state: "malformed"; defect: QuicDefect }
  | { state: "overlap" }
  | { state: "too_large" }
  | { state: "hello"; hello: ClientHello };

const needMore: QuicResult = { state: "need_more" };

/** RFC 9000 section 7.2: the id a client invents has 8 bytes or more. The ids that servers choose may be shorter. */
const minFirstConnectionId = 8;

/** RFC 9000 section 14.1: servers discard Initials in smaller datagrams, so what these show is never acted on. */
const minDatagram = 1200;

const CLIENT_HELLO = 1;

export class QuicInitial {
  #result: QuicResult = needMore;
  #datagrams = 0;
  #keys: InitialKeys | null = null;
  #dcid: Uint8Array | null = null;
  #nextNumber = 0;
  #stream = newStream();
  /** The stream before a Retry: the hello that follows must be the same (RFC 9000 section 17.2.5.3). */
  #beforeRetry: Reassembly | null = null;

  /** Reads the client's next datagram (UDP payload). Any answer but `need_more` is final and is given again. */
  add(datagram: Uint8Array): QuicResult {
    if (this.#result.state === "need_more") this.#result = this.#read(datagram);
    return this.#result;
  }

  #read(datagram: Uint8Array): QuicResult {
    if (++this.#datagrams > quicLimits.datagrams) return { state: "too_large" };
    let dcid: Uint8Array | null = null;
    let opened = 0;
    let at = 0;
    while (at < datagram.length) {
      const header = readHeader(datagram, at);
      if (header === "malformed") return malformed("header");
      if (header === "not_quic" || header === "short") {
        // Before an Initial this is no QUIC start; after one it is data for later keys, or padding outside of packets.
        if (this.#keys === null) return { state: "not_quic" };
        break;
      }
      // RFC 9000 section 12.2: coalesced packets are of one connection, and receivers may drop those that are not.
      if (dcid !== null && !sameBytes(dcid, header.dcid)) return malformed("mixed_connections");
      dcid = header.dcid;
      if (header.type === "retry") return malformed("retry_from_client");
      if (header.type === "initial") {
        if (datagram.length < minDatagram) return malformed("small_datagram");
        if (++opened > quicLimits.packetsPerDatagram) return { state: "too_large" };
        const result = this.#readInitial(datagram, header);
        if (result !== null) return result;
      } else if (this.#keys === null) return { state: "not_quic" };
      at = header.end;
    }
    if (this.#keys === null) return { state: "not_quic" };
    return this.#readHello();
  }

  /** Opens one Initial and collects its CRYPTO frames; null where there is nothing wrong with it. */
  #readInitial(datagram: Uint8Array, header: LongHeader): QuicResult | null {
    const packet = this.#open(datagram, header);
    if (typeof packet === "string") return malformed(packet);
    if (!packet.reservedBitsClear) return malformed("reserved_bits");
    if (packet.number >= this.#nextNumber) this.#nextNumber = packet.number + 1;
    let failed: QuicResult | null = null;
    const defect = readFrames(packet.payload, (offset, data) => {
      const written = this.#stream.write(offset, data);
      if (written !== "ok") failed = { state: written };
      return failed === null;
    });
    return failed ?? (defect === null ? null : malformed(defect));
  }

  /**
   * With the keys of the first id; the client goes on to use the server's id, and the keys stay. Only a Retry makes new
   * keys, of the id the server put into it (RFC 9001 section 5.2), and a client follows one Retry at most.
   */
  #open(datagram: Uint8Array, header: LongHeader) {
    if (this.#keys !== null) {
      const packet = openInitial(datagram, header, this.#keys, this.#nextNumber);
      if (packet !== null) return packet;
      if (this.#beforeRetry !== null || sameBytes(this.#dcid!, header.dcid)) return "undecryptable";
    } else if (header.dcid.length < minFirstConnectionId) return "short_connection_id";
    const keys = deriveClientKeys(header.version, header.dcid);
    const packet = openInitial(datagram, header, keys, this.#nextNumber);
    if (packet === null) return "undecryptable";
    if (this.#keys !== null) {
      this.#beforeRetry = this.#stream;
      this.#stream = newStream();
    }
    this.#keys = keys;
    this.#dcid = new Uint8Array(header.dcid);
    return packet;
  }

  #readHello(): QuicResult {
    const bytes = this.#stream.contiguous();
    if (bytes.length > 0 && bytes[0] !== CLIENT_HELLO) return malformed("not_client_hello");
    if (bytes.length < 4) return needMore;
    const wanted = 4 + ((bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!);
    if (wanted - 4 > maxHelloBytes) return { state: "too_large" };
    if (bytes.length < wanted) return needMore;
    // The client has nothing more to say at this level until the server answers.
    if (bytes.length > wanted) return malformed("bytes_after_hello");
    if (this.#beforeRetry !== null && !this.#beforeRetry.agreesWith(bytes)) return { state: "overlap" };
    const hello = parseHello(bytes.subarray(4));
    return typeof hello === "string" ? malformed(hello) : { state: "hello", hello };
  }
}

function newStream(): Reassembly {
  return new Reassembly(quicLimits.bytes, quicLimits.ranges);
}

function malformed(defect: QuicDefect): QuicResult {
  return { state: "malformed", defect };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
