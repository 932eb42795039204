/**
 * What a client's Initial packets say of one connection: which packets are its own (their keys come from the first id the
 * client made up), and the CRYPTO stream put together from them. The stream is kept after its hello was judged: the same
 * bytes may come again, other bytes in their place may not, and a second hello (after a HelloRetryRequest, threat N10) is
 * read like the first. One flow's connections are kept by `initial.ts`.
 */
import { Reassembly } from "../reassembly.ts";
import { maxHelloBytes, parseHello, type ClientHello, type HelloDefect } from "../tls/hello.ts";
import { readFrames, type FrameDefect } from "./frames.ts";
import type { LongHeader, QuicVersion } from "./header.ts";
import { deriveClientKeys, openInitial, type InitialKeys, type Opened } from "./keys.ts";
import { quicLimits } from "./limits.ts";

export type StreamDefect = HelloDefect | FrameDefect | "reserved_bits" | "not_client_hello" | "bytes_after_hello";

export type Taken = { state: "malformed"; defect: StreamDefect } | { state: "overlap" } | { state: "too_large" };

export type NextHello = Taken | { state: "need_more" } | { state: "hello"; hello: ClientHello };

const CLIENT_HELLO = 1;

/** The first, and the one that answers a HelloRetryRequest: a server asks once (RFC 8446 section 4.1.4). */
const mostHellos = 2;

export class Connection {
  /** The destination id of the client's first Initial, or the one that a Retry put in its place: the keys derive from it. */
  readonly id: Uint8Array;
  readonly #keys = new Map<QuicVersion, InitialKeys>();
  readonly #stream = new Reassembly(quicLimits.bytes, quicLimits.ranges);
  /** The id that the client uses since the server has chosen one. */
  #serverId: Uint8Array | null = null;
  #nextNumber = 0;
  /** Bytes of the stream up to the end of the last hello that was let go, and up to the last byte seen. */
  #judged = 0;
  #end = 0;
  #hellos = 0;

  private constructor(id: Uint8Array) {
    this.id = new Uint8Array(id);
  }

  /** The connection that this Initial begins where its own id's keys open it; null where they do not. */
  static begin(datagram: Uint8Array, header: LongHeader): { connection: Connection; packet: Opened } | null {
    const connection = new Connection(header.dcid);
    const packet = connection.open(datagram, header);
    return packet === null ? null : { connection, packet };
  }

  /** Some hello of it was let go. */
  get known(): boolean {
    return this.#hellos > 0;
  }

  /** Bytes came that no judged hello has. */
  get hasNews(): boolean {
    return this.#end > this.#judged;
  }

  /** Bytes of memory held, roughly. */
  get memory(): number {
    return 512 + this.#stream.capacity;
  }

  /** Whether packets to this id are the connection's: the client's first id, or the server's as the client repeated it. */
  answersTo(id: Uint8Array): boolean {
    return sameBytes(this.id, id) || (this.#serverId !== null && sameBytes(this.#serverId, id));
  }

  /**
   * Opens a packet with the connection's keys; null where they do not fit. The client goes on to use the server's id and the
   * keys stay; a server may choose the other version in its answer, whose keys derive from the same id (RFC 9369 section 4.1).
   *
   * A number that was shortened on the wire is completed by what the receiver has seen, and a server may have seen fewer
   * packets than we: one packet could be two messages. So such a packet opens nothing; no client sends so many Initials
   * that it needs one.
   */
  open(datagram: Uint8Array, header: LongHeader): Opened | null {
    let keys = this.#keys.get(header.version);
    if (keys === undefined) this.#keys.set(header.version, (keys = deriveClientKeys(header.version, this.id)));
    const packet = openInitial(datagram, header, keys, this.#nextNumber);
    return packet === null || packet.isCompleted ? null : packet;
  }

  /** Takes the CRYPTO frames of a packet that {@link open} gave; null where there is nothing wrong with it. */
  take(packet: Opened, header: LongHeader): Taken | null {
    if (!packet.reservedBitsClear) return { state: "malformed", defect: "reserved_bits" };
    if (packet.number >= this.#nextNumber) this.#nextNumber = packet.number + 1;
    if (!sameBytes(this.id, header.dcid)) this.#serverId = new Uint8Array(header.dcid);
    let failed: Taken | null = null;
    const defect = readFrames(packet.payload, (offset, data) => {
      const written = this.#stream.write(offset, data);
      if (written !== "ok") failed = { state: written };
      else if (data.length > 0) this.#end = Math.max(this.#end, offset + data.length);
      return failed === null;
    });
    return failed ?? (defect === null ? null : { state: "malformed", defect });
  }

  /** The next hello that was not let go yet. */
  next(): NextHello {
    const bytes = this.#stream.contiguous().subarray(this.#judged);
    if (this.#hellos === mostHellos) return malformed("bytes_after_hello");
    if (bytes.length > 0 && bytes[0] !== CLIENT_HELLO) return malformed("not_client_hello");
    if (bytes.length < 4) return { state: "need_more" };
    const wanted = 4 + ((bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!);
    if (wanted - 4 > maxHelloBytes) return { state: "too_large" };
    // The client has nothing more to say at this level until the server answers.
    if (this.#end > this.#judged + wanted) return malformed("bytes_after_hello");
    if (bytes.length < wanted) return { state: "need_more" };
    const hello = parseHello(bytes.subarray(4));
    return typeof hello === "string" ? malformed(hello) : { state: "hello", hello };
  }

  /** The hello that {@link next} gave is let go. */
  letGo(): void {
    this.#judged = this.#end;
    this.#hellos++;
  }

  /** Whether the hello so far says the same as the stream of another attempt, as far as both were seen. */
  agreesWith(other: Connection): boolean {
    return other.#stream.agreesWith(this.#stream.contiguous());
  }
}

function malformed(defect: StreamDefect): Taken {
  return { state: "malformed", defect };
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
