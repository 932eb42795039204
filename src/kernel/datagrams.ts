/**
 * A UDP socket that takes and gives many datagrams at once: Node's `dgram` takes a system call, and as much again around it, for each.
 * It is `dgram` that waits for the socket, and that sends what cannot leave at once; in between this talks to the kernel itself.
 * Called by the DNS firewall's listeners.
 */
import dgram from "node:dgram";
import { formatAddress, parseAddress } from "../address/ip.ts";
import { DatagramVector } from "./datagram-vector.ts";
import * as libc from "./libc.ts";
import { boundTo } from "./sockets.ts";

/** A peer as `dgram` writes it: a link-local address with its zone. */
export interface Peer {
  address: string;
  port: number;
}

type OnDatagram = (bytes: Uint8Array, from: Peer) => void;

/** Datagrams taken besides those of `dgram`'s own in one turn of the event loop: what else waits in it has its turn after them. */
const mostReceived = 64;
const mostSent = 64;
/** Longer ones, which are rare, `dgram` sends. */
const longestSent = 4096;

/** Of a thread, and used within a call only: each is a few hundred kilobytes that are touched. Longer datagrams than 64 KiB there are none. */
let vectors: { received: DatagramVector; sent: DatagramVector } | null = null;

export class DatagramSocket {
  /** What it is bound to; without a zone. */
  readonly local: Peer;
  readonly #socket: dgram.Socket;
  readonly #fd: number;
  readonly #vectors: { received: DatagramVector; sent: DatagramVector };
  readonly #sending: { bytes: Uint8Array; to: Peer }[] = [];
  #onDatagram: OnDatagram | null = null;
  #hasDrained = false;
  #isClosed = false;

  private constructor(socket: dgram.Socket, fd: number) {
    this.#socket = socket;
    this.#fd = fd;
    // Not `socket.address()`, which names the zone of a link-local address: the socket may be of another namespace, without that device.
    const { address, port } = boundTo(fd);
    this.local = { address: formatAddress(address), port };
    this.#vectors = vectors ??= {
      received: new DatagramVector(mostReceived, 65_536),
      sent: new DatagramVector(mostSent, longestSent),
    };
    // A client that is gone (ICMP port unreachable) is no failure of the socket.
    socket.on("error", () => {});
    socket.on("message", (bytes, from) => this.#received(bytes, from));
  }

  /** Takes over a bound descriptor, which {@link close} closes. Rejects where it is none. */
  static async adopt(fd: number, of: 4 | 6): Promise<DatagramSocket> {
    // Whoever is answered has an address, not a name: nobody is asked for it.
    const lookup: dgram.SocketOptions["lookup"] = (host, _options, done) => done(null, host, of);
    const socket = dgram.createSocket({ type: of === 4 ? "udp4" : "udp6", lookup });
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ fd }, () => {
        socket.off("error", reject);
        resolve();
      });
    });
    return new DatagramSocket(socket, fd);
  }

  /** Hands over every datagram from now on, in the order of their arrival; null: none, they are thrown away. */
  listen(onDatagram: OnDatagram | null): void {
    this.#onDatagram = onDatagram;
  }

  /**
   * Sends a datagram together with what else this callback of the event loop has to send, right after it. One that the
   * kernel refuses is lost, like one that gets lost on the way; of a socket that is closed, all are.
   */
  send(bytes: Uint8Array, to: Peer): void {
    if (this.#isClosed) return;
    if (this.#sending.push({ bytes, to }) === 1) process.nextTick(() => this.#flush());
  }

  /** Sends what is to be sent and closes the socket; again: nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#flush();
    // From here on the descriptor's number may be another file's.
    this.#isClosed = true;
    this.#socket.close();
  }

  #received(bytes: Uint8Array, { address, port }: Peer): void {
    this.#onDatagram?.(bytes, { address, port });
    if (this.#hasDrained || this.#isClosed) return;
    this.#hasDrained = true;
    setImmediate(() => void (this.#hasDrained = false));
    const { received } = this.#vectors;
    // An error is the next call's as well, which `dgram` makes.
    const count = received.receive(this.#fd);
    for (let i = 0; i < count; i++) {
      this.#onDatagram?.(received.bytes(i), { address: received.address(i), port: received.port(i) });
    }
  }

  #flush(): void {
    if (this.#isClosed) return;
    const all = this.#sending.splice(0);
    const { sent } = this.#vectors;
    for (let at = 0; at < all.length;) {
      const slots: (typeof all)[number][] = [];
      for (; at < all.length && slots.length < sent.slots; at++) {
        const { bytes, to } = all[at]!;
        // A zone is a name, which the kernel knows by its number: `dgram` looks it up.
        const address = bytes.length > longestSent || to.address.includes("%") ? null : parseAddress(to.address);
        if (address === null) this.#sendOne(bytes, to);
        else sent.put(slots.push(all[at]!) - 1, bytes, address, to.port);
      }
      this.#sendSlots(slots);
    }
  }

  #sendSlots(slots: readonly { bytes: Uint8Array; to: Peer }[]): void {
    for (let from = 0; from < slots.length;) {
      const count = this.#vectors.sent.send(this.#fd, from, slots.length);
      if (count > 0) from += count;
      else if (count === -libc.EAGAIN || count === -libc.ENOBUFS) {
        // No room in the socket's buffer: `dgram` waits for it.
        for (const { bytes, to } of slots.slice(from)) this.#sendOne(bytes, to);
        return;
      } else if (count !== -libc.EINTR) from++; // This one's own error; those behind it were not tried.
    }
  }

  #sendOne(bytes: Uint8Array, { address, port }: Peer): void {
    try {
      this.#socket.send(bytes, port, address, () => {});
    } catch {
      // No port to answer to (0, as a forger writes it): lost, as the kernel's refusals are.
    }
  }
}
