/**
 * Sends whole IP packets made in user space, for example a forged RST that ends a refused connection on both sides.
 * They leave as packets of this host: through OUTPUT and POSTROUTING, so an existing conntrack entry's NAT applies.
 * Called by the data path.
 */
import { type Address, family } from "../address/ip.ts";
import * as libc from "./libc.ts";
import { socketAddress } from "./sockets.ts";

/** A pair of raw sockets (IPv4 and IPv6) in the network namespace of the thread that made it. */
export class RawSender {
  readonly #v4: number;
  readonly #v6: number;

  /** Needs CAP_NET_RAW. `mark` is the packet mark (SO_MARK) of everything sent. Throws KernelError. */
  constructor(mark = 0) {
    this.#v4 = open(libc.AF_INET, libc.SOL_IP, libc.IP_HDRINCL, mark);
    try {
      this.#v6 = open(libc.AF_INET6, libc.SOL_IPV6, libc.IPV6_HDRINCL, mark);
    } catch (error) {
      libc.close(this.#v4);
      throw error;
    }
  }

  /**
   * Sends `packet`, a complete IP packet with valid transport checksum, by the route to `destination`, which is the
   * packet's own. (The kernel fills in the IPv4 header checksum.) True when it was handed to the network; false where
   * the kernel would not take it now (no route, full buffer, a firewall rule).
   */
  send(packet: Uint8Array, destination: Address): boolean {
    const fd = family(destination) === 4 ? this.#v4 : this.#v6;
    return libc.sendto(fd, packet, packet.length, libc.MSG_DONTWAIT, socketAddress(destination, 0)) >= 0;
  }

  close(): void {
    libc.close(this.#v4);
    libc.close(this.#v6);
  }
}

function open(domain: number, level: number, option: number, mark: number): number {
  const fd = libc.socket(domain, libc.SOCK_RAW, libc.IPPROTO_RAW);
  try {
    // An IPPROTO_RAW socket implies the option for IPv4; saying so costs nothing and covers IPv6.
    libc.setsockopt(fd, level, option, 1);
    if (mark !== 0) libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_MARK, mark);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}
