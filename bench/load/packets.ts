/**
 * Whole IPv4 packets on one link through FFI (packet(7), `SOCK_DGRAM`: the kernel puts the link header on and takes it off), many
 * with each system call. A generator on top of it pays for no socket, no timer and no descriptor of a connection, so that what is
 * measured is what stands between the generator's two ends and not the generator.
 */
import { readFileSync } from "node:fs";
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const f = {
  socket: libc.func("int socket(int, int, int)"),
  bind: libc.func("int bind(int, const uint8_t*, int)"),
  close: libc.func("int close(int)"),
  setsockopt: libc.func("int setsockopt(int, int, int, const uint8_t*, int)"),
  sendmmsg: libc.func("int sendmmsg(int, void*, unsigned int, int)"),
  recvmmsg: libc.func("int recvmmsg(int, void*, unsigned int, int, void*)"),
};

const AF_PACKET = 17;
const ETH_P_IP = 0x0800;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const MSG_WAITFORONE = 0x10000;
const MMSGHDR = 64;

/** Bytes kept of each packet that arrives: headers and the first of the payload; the length is the IP header's to say. */
const kept = 128;
/** The longest packet that is sent. */
const longest = 1514;

export class Link {
  /** Packets received last: slot `i` begins at `i * Link.slot`. */
  readonly received: Buffer;
  static readonly slot = kept;
  readonly #fd: number;
  readonly #incoming: Headers;
  readonly #outgoing: Headers;
  readonly #name: Buffer;
  #queued = 0;
  /** Packets that the kernel did not take, so far. */
  refused = 0;

  /**
   * @param device the interface's name, in this process's network namespace
   * @param neighbour the hardware address that every packet is sent to
   * @param waitMs how long {@link receive} waits for a first packet
   */
  constructor(device: string, neighbour: string, waitMs = 50, slots = 128) {
    const index = Number(readFileSync(`/sys/class/net/${device}/ifindex`, "utf8"));
    this.#name = Buffer.alloc(20);
    this.#name.writeUInt16LE(AF_PACKET, 0);
    this.#name.writeUInt16BE(ETH_P_IP, 2);
    this.#name.writeInt32LE(index, 4);
    this.#name.writeUInt8(6, 11);
    Buffer.from(neighbour.replaceAll(":", ""), "hex").copy(this.#name, 12);
    this.#fd = f.socket(AF_PACKET, 2, ((ETH_P_IP & 0xff) << 8) | (ETH_P_IP >> 8));
    if (this.#fd < 0 || f.bind(this.#fd, this.#name, 20) !== 0) throw new Error(`no packet socket on ${device}`);
    const size = Buffer.alloc(4);
    size.writeInt32LE(64 << 20, 0);
    f.setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, size, 4);
    const time = Buffer.alloc(16);
    time.writeBigInt64LE(BigInt(waitMs * 1000), 8);
    f.setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, time, 16);
    this.#incoming = new Headers(slots, kept, null);
    this.#outgoing = new Headers(slots, longest, this.#name);
    this.received = this.#incoming.bytes;
  }

  /** Waits for packets and takes those that are there; returns how many, 0 when none came in time. */
  receive(): number {
    return Math.max(0, f.recvmmsg(this.#fd, this.#incoming.headers, this.#incoming.slots, MSG_WAITFORONE, null));
  }

  /** Queues one packet, which `write` puts into the buffer at the place it is told and returns the length of. */
  send(write: (into: Buffer, at: number) => number): void {
    if (this.#queued === this.#outgoing.slots) this.flush();
    const { bytes, vectors } = this.#outgoing;
    const length = write(bytes, this.#queued * longest);
    vectors.writeUInt32LE(length, this.#queued * 16 + 8);
    this.#queued++;
  }

  /** Sends what is queued. */
  flush(): void {
    if (this.#queued === 0) return;
    const sent = Math.max(0, f.sendmmsg(this.#fd, this.#outgoing.headers, this.#queued, 0));
    this.refused += this.#queued - sent;
    this.#queued = 0;
  }

  /** The link is not used any more. */
  close(): void {
    f.close(this.#fd);
  }
}

/** The `mmsghdr`s of a burst and what they point at, held here because the kernel is given their addresses. */
class Headers {
  readonly slots: number;
  readonly bytes: Buffer;
  readonly headers: Buffer;
  readonly vectors: Buffer;

  constructor(slots: number, length: number, name: Buffer | null) {
    this.slots = slots;
    this.bytes = Buffer.alloc(slots * length);
    this.headers = Buffer.alloc(slots * MMSGHDR);
    this.vectors = Buffer.alloc(slots * 16);
    for (let i = 0; i < slots; i++) {
      this.vectors.writeBigUInt64LE(koffi.address(this.bytes) + BigInt(i * length), i * 16);
      this.vectors.writeBigUInt64LE(BigInt(length), i * 16 + 8);
      if (name !== null) {
        this.headers.writeBigUInt64LE(koffi.address(name), i * MMSGHDR);
        this.headers.writeUInt32LE(name.length, i * MMSGHDR + 8);
      }
      this.headers.writeBigUInt64LE(koffi.address(this.vectors) + BigInt(i * 16), i * MMSGHDR + 16);
      this.headers.writeBigUInt64LE(1n, i * MMSGHDR + 24);
    }
  }
}
