/**
 * Many UDP datagrams in one system call, each from or to a peer of its own (recvmmsg(2), sendmmsg(2)). Bytes and `sockaddr`s only;
 * called by `datagrams.ts`.
 */
import { type Address, addressFromBytes, formatAddress } from "../address/ip.ts";
import * as libc from "./libc.ts";

const MMSGHDR = 64;
/** Of `sockaddr_in` and `sockaddr_in6`; each slot has room for the longer one. */
const SOCKADDR_IN = 16;
const SOCKADDR_IN6 = 28;

const zeros = "\0".repeat(12);

/**
 * An array of `struct mmsghdr`, each with one iovec into one shared buffer and a `sockaddr`. Holds every Buffer whose address it
 * contains. One of these either receives or sends; what is in it stays until the next call only.
 */
export class DatagramVector {
  readonly slots: number;
  readonly slotSize: number;
  readonly #bytes: Buffer;
  readonly #headers: Buffer;
  readonly #vectors: Buffer;
  readonly #names: Buffer;

  constructor(slots: number, slotSize: number) {
    this.slots = slots;
    this.slotSize = slotSize;
    // Memory is taken of the system where the kernel writes to it: slots for the longest datagram cost what came in them.
    this.#bytes = Buffer.alloc(slots * slotSize);
    this.#headers = Buffer.alloc(slots * MMSGHDR);
    this.#vectors = Buffer.alloc(slots * 16);
    this.#names = Buffer.alloc(slots * SOCKADDR_IN6);
    const [bytes, vectors, names] = [this.#bytes, this.#vectors, this.#names].map(libc.addressOf) as [
      bigint,
      bigint,
      bigint,
    ];
    for (let i = 0; i < slots; i++) {
      this.#vectors.writeBigUInt64LE(bytes + BigInt(i * slotSize), i * 16);
      this.#vectors.writeBigUInt64LE(BigInt(slotSize), i * 16 + 8);
      this.#headers.writeBigUInt64LE(names + BigInt(i * SOCKADDR_IN6), i * MMSGHDR);
      this.#headers.writeUInt32LE(SOCKADDR_IN6, i * MMSGHDR + 8);
      this.#headers.writeBigUInt64LE(vectors + BigInt(i * 16), i * MMSGHDR + 16);
      this.#headers.writeBigUInt64LE(1n, i * MMSGHDR + 24);
    }
  }

  /** Receives what waits, without blocking; the number of filled slots, or `-errno`. */
  receive(fd: number): number {
    const count = libc.recvmmsg(fd, this.#headers, this.slots);
    // The kernel overwrote msg_namelen of the slots it filled.
    for (let i = 0; i < count; i++) this.#headers.writeUInt32LE(SOCKADDR_IN6, i * MMSGHDR + 8);
    return count;
  }

  /** A copy of slot `i`'s bytes. */
  bytes(i: number): Buffer {
    const start = i * this.slotSize;
    return Buffer.from(this.#bytes.subarray(start, start + this.#headers.readUInt32LE(i * MMSGHDR + 56)));
  }

  /** Who sent what is in slot `i`, in the text that Node's `dgram` has for it. */
  address(i: number): string {
    const at = i * SOCKADDR_IN6;
    const names = this.#names;
    if (names.readUInt16LE(at) === libc.AF_INET) return formatAddress(addressFromBytes(names, at + 4, 4));
    return v6Text(addressFromBytes(names, at + 8, 16), names.readUInt32LE(at + 24));
  }

  port(i: number): number {
    return this.#names.readUInt16BE(i * SOCKADDR_IN6 + 2);
  }

  /** Puts a datagram into slot `i`, to be sent. It must fit. */
  put(i: number, bytes: Uint8Array, to: Address, port: number): void {
    const v4 = to.length === 4;
    const at = i * SOCKADDR_IN6;
    const names = this.#names;
    names.fill(0, at, at + SOCKADDR_IN6);
    names.writeUInt16LE(v4 ? libc.AF_INET : libc.AF_INET6, at);
    names.writeUInt16BE(port, at + 2);
    const start = at + (v4 ? 4 : 8);
    for (let k = 0; k < to.length; k++) names[start + k] = to.charCodeAt(k);
    this.#headers.writeUInt32LE(v4 ? SOCKADDR_IN : SOCKADDR_IN6, i * MMSGHDR + 8);
    this.#bytes.set(bytes, i * this.slotSize);
    this.#vectors.writeUInt32LE(bytes.length, i * 16 + 8);
  }

  /** Sends slots `from` to `to` (not included), without blocking; how many went, or `-errno` of slot `from`. */
  send(fd: number, from: number, to: number): number {
    return libc.sendmmsg(fd, this.#headers.subarray(from * MMSGHDR), to - from);
  }
}

/** As libuv writes it: with the zone of a link-local address (RFC 4007), and with IPv4's dots where that is what it embeds. */
function v6Text(address: Address, scope: number): string {
  const isLinkLocal = address.charCodeAt(0) === 0xfe && (address.charCodeAt(1) & 0xc0) === 0x80;
  if (isLinkLocal && scope !== 0) return `${formatAddress(address)}%${libc.interfaceName(scope) ?? scope}`;
  const isEmbedding = address.startsWith(zeros) && !address.startsWith("\0\0", zeros.length);
  return isEmbedding ? `::${formatAddress(address.slice(zeros.length) as Address)}` : formatAddress(address);
}
