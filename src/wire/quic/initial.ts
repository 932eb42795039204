/**
 * Reads the ClientHellos out of the QUIC datagrams of one flow (RFC 9000, RFC 9001; version 2: RFC 9369), however the client
 * spread them: many CRYPTO frames, many packets in a datagram, many datagrams, in any order (threat N9). Fed with the
 * client's datagrams only, one object a flow; bounded in datagrams, packets, bytes and connections.
 *
 * A client can open another connection on the same socket at any time, to whoever else answers at the address (threat N2). So
 * the reader goes on after a verdict (`letGo`) with every datagram that begins with a long header: what begins a connection
 * is a hello to judge again, what belongs to a judged one must repeat its bytes, and what belongs to none is refused.
 *
 * What it cannot read are packets with a short header, and Handshake packets: their ids may have been agreed upon under
 * encryption. They are let through, because only a server that holds the keys of their connection can open them, and it has
 * those from an Initial that was judged here; any other server answers with a stateless reset at most (RFC 9000 section
 * 10.3). What this leaves open is a connection that was begun elsewhere and moved to this flow's ports (RFC 9000 section 9):
 * it takes an accomplice outside, at the same address, who hands over the keys. See docs/limits.md.
 */
import type { ClientHello } from "../tls/hello.ts";
import { Connection, sameBytes, type StreamDefect } from "./connection.ts";
import { readHeader, type LongHeader } from "./header.ts";
import { minDatagram, quicLimits } from "./limits.ts";
import { hiddenInitials } from "./segments.ts";

export type { ClientHello } from "../tls/hello.ts";
export { quicLimits } from "./limits.ts";

export type QuicDefect =
  | StreamDefect
  | "header"
  | "short_connection_id"
  | "small_datagram"
  | "mixed_connections"
  | "undecryptable"
  | "unknown_connection"
  | "unknown_version"
  | "retry_from_client";

/**
 * - `pass`: after a verdict, a datagram that begins nothing.
 * - `not_quic`: not a client's first datagram of QUIC version 1 or 2; after a verdict, a long header of another version.
 * - `hello`: `before` is the name of the hello that this one takes the place of (HelloRetryRequest); null for a first one.
 */
export type QuicResult =
  | { state: "pass" }
  | { state: "need_more" }
  | { state: "not_quic" }
  | { state: "malformed"; defect: QuicDefect }
  | { state: "overlap" }
  | { state: "too_large" }
  | { state: "hello"; hello: ClientHello; before: { name: string | null } | null };

const needMore: QuicResult = { state: "need_more" };
const notQuic: QuicResult = { state: "not_quic" };
const tooLarge: QuicResult = { state: "too_large" };

/** RFC 9000 section 7.2: the id a client invents has 8 bytes or more. The ids that servers choose may be shorter. */
const minFirstConnectionId = 8;

export class QuicInitial {
  /** Something was let go: the kernel passes short headers, and datagrams are read one by one. */
  #following: boolean;
  #result: QuicResult = needMore;
  #datagrams = 0;
  /** Connections with a hello that was let go, and its name; oldest first. */
  readonly #judged = new Map<Connection, string | null>();
  /** The connection whose hello is not whole or not judged. It may be a judged one with a second hello. */
  #opening: Connection | null = null;
  /** The attempt before a Retry: the hello that follows must be the same (RFC 9000 section 17.2.5.3). */
  #beforeRetry: Connection | null = null;
  /** The datagram in hand has an Initial of the opening one. */
  #isTouched = false;

  /** @param following the flow was let go by somebody else before, who remembers nothing of it */
  constructor(following = false) {
    this.#following = following;
  }

  /** A hello has begun that is not judged. */
  get isOpening(): boolean {
    return this.#opening !== null;
  }

  /** Bytes of memory held, roughly. */
  get memory(): number {
    let sum = this.#opening === null ? 0 : this.#opening.memory;
    for (const connection of this.#judged.keys()) sum += connection.memory;
    return sum;
  }

  /**
   * Reads the client's next datagram (UDP payload). Before the first {@link letGo} any answer but `need_more` is final and
   * is given again; after it each datagram has its own answer, and `need_more` means that it belongs to the hello to come.
   */
  add(datagram: Uint8Array): QuicResult {
    if (this.#following) return this.#read(datagram);
    if (this.#result.state === "need_more") this.#result = this.#read(datagram);
    return this.#result;
  }

  /** The hello just read is let go under this name; from now on its connection is known. */
  letGo(name: string | null): void {
    const opening = this.#opening;
    if (opening !== null) {
      opening.letGo();
      if (!this.#judged.has(opening)) this.#judged.set(opening, name);
      for (const oldest of this.#judged.keys()) {
        if (this.#judged.size <= quicLimits.connections) break;
        this.#judged.delete(oldest);
      }
    }
    this.#following = true;
    this.#forgetOpening();
  }

  /** What is not judged is refused. Of a connection that sends a hello that is refused nothing more is taken. */
  refuse(): void {
    if (this.#opening !== null) this.#judged.delete(this.#opening);
    this.#forgetOpening();
  }

  #forgetOpening(): void {
    this.#opening = null;
    this.#beforeRetry = null;
    this.#datagrams = 0;
  }

  #read(datagram: Uint8Array): QuicResult {
    let id: Uint8Array | null = null;
    let opened = 0;
    let at = 0;
    let isEarly = false;
    this.#isTouched = false;
    const mostOpened = quicLimits.packetsPerDatagram * Math.max(1, Math.floor(datagram.length / minDatagram));
    const starts: number[] = [];
    while (at < datagram.length) {
      const header = readHeader(datagram, at);
      if (header === "malformed") return malformed("header");
      // Data for later keys, which fills the datagram, or padding outside of packets.
      if (header === "short") break;
      if (header === "not_quic") return this.#isNew || at === 0 ? notQuic : malformed("unknown_version");
      // Zero is another protocol on the same port (RFC 7983), or a client that knows its server (RFC 9287).
      if (!header.fixedBit && !this.#following) return notQuic;
      // RFC 9000 section 12.2: coalesced packets are of one connection, and receivers may drop those that are not.
      if (id !== null && !sameBytes(id, header.dcid)) return malformed("mixed_connections");
      id = header.dcid;
      starts.push(at);
      if (header.type === "retry") return malformed("retry_from_client");
      if (header.type === "initial") {
        if (++opened > mostOpened) return tooLarge;
        const result = this.#readInitial(datagram, header);
        if (result !== null) return result;
      } else if (this.#isNew && !this.#following) return notQuic;
      if (header.type === "zero_rtt") isEarly = true;
      at = header.end;
    }
    for (const header of hiddenInitials(datagram, starts)) {
      if (header === null || ++opened > mostOpened) return tooLarge;
      const result = this.#readInitial(datagram, header, true);
      if (result !== null) return result;
    }
    if (isEarly && !this.#connections().some((each) => each.answersTo(id!))) return malformed("unknown_connection");
    return this.#answer(id);
  }

  /** Nothing is known of the flow. */
  get #isNew(): boolean {
    return this.#opening === null && this.#judged.size === 0;
  }

  #connections(): Connection[] {
    const known = [...this.#judged.keys()];
    return this.#opening === null || this.#opening.known ? known : [...known, this.#opening];
  }

  /**
   * Opens one Initial and collects its CRYPTO frames; null where there is nothing wrong with it. `isGuess`: only where one
   * can be opened there is one at all.
   *
   * A packet can be made that opens under the keys of a known connection and, to another message, under the keys of its own
   * id (AES-GCM does not commit to its key): which of the two a server reads is the sender's choice, so both are tried.
   */
  #readInitial(datagram: Uint8Array, header: LongHeader, isGuess = false): QuicResult | null {
    const known = this.#connections();
    let found: { connection: Connection; packet: NonNullable<ReturnType<Connection["open"]>> } | null = null;
    for (const connection of known) {
      const packet = connection.open(datagram, header);
      if (packet !== null && found !== null) return { state: "overlap" };
      if (packet !== null) found = { connection, packet };
    }
    const begun = known.some(({ id }) => sameBytes(id, header.dcid)) ? null : Connection.begin(datagram, header);
    if (begun !== null) {
      if (found !== null) return { state: "overlap" };
      if (this.#isNew && header.dcid.length < minFirstConnectionId) return malformed("short_connection_id");
      // A Retry makes new keys, of the id the server put into it (RFC 9001 section 5.2), and a client follows one at most.
      if (this.#beforeRetry !== null || (this.#opening?.known ?? false)) return malformed("mixed_connections");
      this.#beforeRetry = this.#opening;
      this.#opening = begun.connection;
      found = begun;
    }
    if (found === null) {
      if (isGuess) return null;
      const isShort = this.#isNew && header.dcid.length < minFirstConnectionId;
      return malformed(isShort ? "short_connection_id" : "undecryptable");
    }
    if (datagram.length < minDatagram) return malformed("small_datagram");
    const { connection, packet } = found;
    const failed = connection.take(packet, header);
    if (failed !== null) return failed;
    if (connection.known && connection.hasNews) {
      if (this.#opening !== null && connection !== this.#opening) return malformed("mixed_connections");
      this.#opening = connection;
    }
    if (connection === this.#opening) this.#isTouched = true;
    return null;
  }

  /** What a datagram that was read through and found to be in order means; `id` is that of its long headers. */
  #answer(id: Uint8Array | null): QuicResult {
    const opening = this.#opening;
    if (opening === null) return this.#following ? { state: "pass" } : notQuic;
    const concerns = this.#isTouched || (id !== null && opening.answersTo(id));
    if (this.#following && !concerns) return { state: "pass" };
    if (++this.#datagrams > quicLimits.datagrams) return tooLarge;
    const next = opening.next();
    if (next.state !== "hello") return next;
    if (this.#beforeRetry !== null && !opening.agreesWith(this.#beforeRetry)) return { state: "overlap" };
    const before = this.#judged.get(opening);
    return { ...next, before: before === undefined ? null : { name: before } };
  }
}

function malformed(defect: QuicDefect): QuicResult {
  return { state: "malformed", defect };
}
