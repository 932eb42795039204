/**
 * Asks the kernel for sockets (NETLINK_SOCK_DIAG): which one sends this packet, and which ones are there. An object belongs to
 * the network namespace in which it was made, for ever. Synchronous, about ten microseconds a question. Called by the process
 * room.
 *
 * The kernel answers "no such socket" and "no such facility" alike: {@link SockDiag.supports} tells them apart.
 */
import { type Address, family } from "../address/ip.ts";
import { type DiagQuestion, diagRequest, type DiagSocket, readDiagSocket, unmapped } from "./diag-message.ts";
import * as libc from "./libc.ts";
import { MessageWriter, NetlinkSocket, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_ERROR } from "./netlink.ts";

export type { DiagSocket } from "./diag-message.ts";

const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const TCP_LISTEN = 10;

/** IP protocol numbers of what has ports and sockets. */
export const socketProtocols = { tcp: 6, udp: 17, udplite: 136 } as const;
const RAW = 255;
export type SocketProtocol = keyof typeof socketProtocols;

/** What a packet shows of the socket that sent it. */
export interface SentTuple {
  protocol: SocketProtocol;
  source: Address;
  sourcePort: number;
  destination: Address;
  destinationPort: number;
  /** The interface it leaves by: a socket bound to one is found by its number only. */
  interfaceIndex?: number;
}

export class SockDiag {
  readonly #socket = new NetlinkSocket(NETLINK_SOCK_DIAG);
  readonly #writer = new MessageWriter(128);

  /**
   * The socket that sends packets like `tuple`: the one connected to its destination, or for UDP one that only has the source's
   * port; a listening one never. Of several UDP sockets that share a port the kernel names the best match, and of equal ones
   * any. Throws KernelError.
   */
  lookup(tuple: SentTuple): DiagSocket | null {
    const found = this.#lookup(tuple, 0);
    if (found !== null || (tuple.interfaceIndex ?? 0) === 0) return found;
    return this.#lookup(tuple, tuple.interfaceIndex!);
  }

  /** Whether this kernel can be asked for sockets of this protocol at all. */
  supports(protocol: SocketProtocol | "raw"): boolean {
    try {
      this.each({ protocol: protocol === "raw" ? RAW : socketProtocols[protocol], family: 4, states: 0 }, () => {});
      return true;
    } catch (error) {
      if (error instanceof libc.KernelError && (error.code === "ENOENT" || error.code === "EINVAL")) return false;
      throw error;
    }
  }

  /** Hands every socket of a protocol and family to `onSocket`, in no order. `onSocket` must not use this object. */
  each(question: DiagQuestion, onSocket: (socket: DiagSocket) => void): void {
    const sequence = this.#socket.sequence();
    this.#writer.reset().beginBare(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence, diagRequest(question));
    this.#socket.request("socket dump", this.#writer.end(), sequence, (bytes, message) => {
      const socket = readDiagSocket(bytes, message.start, message.end);
      if (socket !== null) onSocket(socket);
    });
  }

  /** Raw sockets for an IP protocol, of a family; null where the kernel cannot be asked (CONFIG_INET_RAW_DIAG). */
  raw(protocol: number, of: 4 | 6): DiagSocket[] | null {
    const found: DiagSocket[] = [];
    try {
      this.each({ family: of, protocol: RAW, rawProtocol: protocol }, (socket) => found.push(socket));
    } catch (error) {
      if (error instanceof libc.KernelError && (error.code === "ENOENT" || error.code === "EINVAL")) return null;
      throw error;
    }
    // A raw socket's local "port" is its protocol.
    return found.filter((socket) => socket.localPort === protocol);
  }

  close(): void {
    this.#socket.close();
  }

  #lookup(tuple: SentTuple, interfaceIndex: number): DiagSocket | null {
    const { protocol, source, sourcePort, destination, destinationPort } = tuple;
    // UDP is asked as if for an incoming packet, "swapped for historical reasons" (net/ipv4/udp_diag.c).
    const socket =
      protocol === "tcp"
        ? { local: source, localPort: sourcePort, remote: destination, remotePort: destinationPort }
        : { local: destination, localPort: destinationPort, remote: source, remotePort: sourcePort };
    const found = this.#one({ family: family(source), protocol: socketProtocols[protocol], socket, interfaceIndex });
    if (found === null || found.localPort !== sourcePort) return null;
    if (protocol === "tcp") return found.state === TCP_LISTEN ? null : found;
    // Connected elsewhere, it would not have sent this.
    if (found.remotePort === 0) return found;
    return found.remotePort === destinationPort && unmapped(found.remote) === destination ? found : null;
  }

  #one(question: DiagQuestion): DiagSocket | null {
    const sequence = this.#socket.sequence();
    this.#socket.send(
      this.#writer.reset().beginBare(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, sequence, diagRequest(question)).end(),
    );
    for (;;) {
      const datagram = this.#socket.receive();
      if (typeof datagram === "number") throw new libc.KernelError("socket lookup", -datagram);
      const { bytes, messages } = datagram;
      while (messages.next()) {
        if (messages.sequence !== sequence) continue;
        if (messages.type !== NLMSG_ERROR) return readDiagSocket(bytes, messages.start, messages.end);
        const errno = messages.error();
        if (errno === libc.ENOENT) return null;
        throw new libc.KernelError("socket lookup", errno);
      }
    }
  }
}
