/**
 * Every IP packet that arrives at any interface of a network namespace, before any firewall there sees it (packet(7)).
 * Called by the simulator's sink, which has to see what no listener would. Says how many packets the kernel dropped: then
 * not having seen something means nothing.
 */
import * as libc from "./libc.ts";

const allProtocols = 0x0300; // ETH_P_ALL, in network order
const outgoing = 4; // PACKET_OUTGOING
const largest = 1 << 16;

export class PacketCapture {
  readonly #fd: number;
  readonly #bytes = Buffer.alloc(largest);
  readonly #from = Buffer.alloc(20);
  readonly #fromLength = Buffer.alloc(4);
  #dropped = 0;

  /** In the namespace of the calling thread. Needs CAP_NET_RAW. `buffer` is in bytes. Throws KernelError. */
  constructor(buffer = 32 << 20) {
    this.#fd = libc.socket(libc.AF_PACKET, libc.SOCK_DGRAM | libc.SOCK_NONBLOCK, allProtocols);
    try {
      libc.setsockopt(this.#fd, libc.SOL_SOCKET, libc.SO_RCVBUFFORCE, buffer);
    } catch (error) {
      libc.close(this.#fd);
      throw error;
    }
  }

  /** Hands over what has arrived since the last call, each packet from its IP header on. Valid until `take` returns. */
  drain(take: (packet: Uint8Array) => void): void {
    for (;;) {
      const size = libc.recvfrom(this.#fd, this.#bytes, libc.MSG_DONTWAIT, this.#from, this.#fromLength);
      if (size === -libc.EINTR) continue;
      if (size < 0) return;
      if (this.#from[10] !== outgoing) take(this.#bytes.subarray(0, size));
    }
  }

  /** How many packets did not fit, so far. */
  dropped(): number {
    // Reading resets the kernel's counters.
    this.#dropped += libc.getsockoptBytes(this.#fd, libc.SOL_PACKET, libc.PACKET_STATISTICS, 8).readUInt32LE(4);
    return this.#dropped;
  }

  close(): void {
    libc.close(this.#fd);
  }
}
