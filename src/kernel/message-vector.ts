/** Many netlink messages in one system call (recvmmsg(2)). Called by the readers of queues and of process events. */
import { addressOf, MSG_TRUNC, recvmmsg } from "./libc.ts";

const MMSGHDR = 64;
const SOCKADDR_NL = 12;

/**
 * An array of `struct mmsghdr` with one iovec each into one shared buffer, and room for the sender's `sockaddr_nl`.
 * Holds every Buffer whose address it contains.
 */
export class MessageVector {
  readonly slots: number;
  readonly slotSize: number;
  /** All slots' bytes; slot `i` starts at `i * slotSize`. */
  readonly bytes: Buffer;
  /** The `struct mmsghdr` array for {@link recvmmsg}. */
  readonly headers: Buffer;
  readonly #vectors: Buffer;
  readonly #names: Buffer;

  constructor(slots: number, slotSize: number) {
    this.slots = slots;
    this.slotSize = slotSize;
    this.bytes = Buffer.alloc(slots * slotSize);
    this.headers = Buffer.alloc(slots * MMSGHDR);
    this.#vectors = Buffer.alloc(slots * 16);
    this.#names = Buffer.alloc(slots * SOCKADDR_NL);
    const bytes = addressOf(this.bytes);
    const vectors = addressOf(this.#vectors);
    const names = addressOf(this.#names);
    for (let i = 0; i < slots; i++) {
      this.#vectors.writeBigUInt64LE(bytes + BigInt(i * slotSize), i * 16);
      this.#vectors.writeBigUInt64LE(BigInt(slotSize), i * 16 + 8);
      const header = i * MMSGHDR;
      this.headers.writeBigUInt64LE(names + BigInt(i * SOCKADDR_NL), header);
      this.headers.writeUInt32LE(SOCKADDR_NL, header + 8);
      this.headers.writeBigUInt64LE(vectors + BigInt(i * 16), header + 16);
      this.headers.writeBigUInt64LE(1n, header + 24);
    }
  }

  /** Receives without blocking; the number of filled slots, or `-errno`. */
  receive(fd: number): number {
    const count = recvmmsg(fd, this.headers, this.slots);
    // The kernel overwrote msg_namelen of the slots it filled.
    for (let i = 0; i < count; i++) this.headers.writeUInt32LE(SOCKADDR_NL, i * MMSGHDR + 8);
    return count;
  }

  /** Bytes in slot `i` (what was cut off by MSG_TRUNC not counted). */
  length(i: number): number {
    return this.headers.readUInt32LE(i * MMSGHDR + 56);
  }

  /** True where slot `i` was too small for its message. */
  truncated(i: number): boolean {
    return (this.headers.readUInt32LE(i * MMSGHDR + 48) & MSG_TRUNC) !== 0;
  }

  /** The sender's netlink port of slot `i`; 0 is the kernel. */
  sender(i: number): number {
    return this.#names.readUInt32LE(i * SOCKADDR_NL + 4);
  }
}
