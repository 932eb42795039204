/**
 * The sockets of this machine that are connected to somebody, as the kernel's socket diagnostics list them (sock_diag(7)), and
 * the end of one. Acts on the network namespace of the thread that opened it. Called by the enforcer.
 */
import { type Address, addressFromBytes, addressToBytes } from "../address/ip.ts";
import { KernelError } from "./libc.ts";
import { MessageWriter, NetlinkSocket, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_HEADER } from "./netlink.ts";

const NETLINK_SOCK_DIAG = 4;
const BY_FAMILY = 20;
const DESTROY = 21;
/** inet_diag_req_v2, and the inet_diag_sockid in it, which begins after 8 bytes. */
const REQUEST_SIZE = 56;
const ID_SIZE = 48;
/** TCP_ESTABLISHED, and what a connected UDP socket is in. */
const ESTABLISHED = 1;
const CLOSE_WAIT = 8;
const LISTEN = 10;
const families = { 4: 2, 6: 10 } as const;

export interface ConnectedSocket {
  /** 6 or 17. */
  protocol: number;
  /** The local end. */
  local: Address;
  localPort: number;
  remote: Address;
  remotePort: number;
  uid: number;
  inode: number;
  /** The kernel's own identification, for {@link SocketTable.destroy}. */
  id: Buffer;
  family: 4 | 6;
}

export class SocketTable {
  readonly #socket = new NetlinkSocket(NETLINK_SOCK_DIAG);

  /** TCP connections that are up, and UDP sockets that were connected. */
  connected(): ConnectedSocket[] {
    const found: ConnectedSocket[] = [];
    for (const protocol of [6, 17]) {
      for (const family of [4, 6] as const) {
        const states = (1 << ESTABLISHED) | (protocol === 6 ? 1 << CLOSE_WAIT : 0);
        this.#dump(family, protocol, states, (bytes, start, end) => {
          const socket = readSocket(bytes, start, end, protocol);
          if (socket !== null && socket.remotePort !== 0) found.push(socket);
        });
      }
    }
    return found;
  }

  /** The TCP ports that something listens on. */
  listening(): Set<number> {
    const ports = new Set<number>();
    for (const family of [4, 6] as const) {
      this.#dump(family, 6, 1 << LISTEN, (bytes, start, end) => {
        const socket = readSocket(bytes, start, end, 6);
        if (socket !== null) ports.add(socket.localPort);
      });
    }
    return ports;
  }

  /**
   * Ends a socket: its process reads ECONNABORTED, and a TCP peer gets a reset. False where it is gone already, or where this
   * kernel cannot (it was built without CONFIG_INET_DIAG_DESTROY).
   */
  destroy(socket: Pick<ConnectedSocket, "family" | "protocol" | "id">): boolean {
    const sequence = this.#socket.sequence();
    const writer = request(DESTROY, NLM_F_REQUEST | NLM_F_ACK, sequence, socket.family, socket.protocol, 0, socket.id);
    try {
      this.#socket.request("sock_diag destroy", writer, sequence);
      return true;
    } catch (error) {
      if (error instanceof KernelError && ["ENOENT", "EOPNOTSUPP", "EINVAL", "ESTALE"].includes(error.code))
        return false;
      throw error;
    }
  }

  /** {@link destroy}, by addresses. */
  destroyTuple(protocol: number, local: Address, localPort: number, remote: Address, remotePort: number): boolean {
    const id = Buffer.alloc(ID_SIZE);
    id.writeUInt16BE(localPort, 0);
    id.writeUInt16BE(remotePort, 2);
    id.set(addressToBytes(local), 4);
    id.set(addressToBytes(remote), 20);
    // INET_DIAG_NOCOOKIE: whichever socket has this tuple now.
    id.fill(0xff, 40, 48);
    const family = local.length === 4 ? 4 : 6;
    if (this.destroy({ family, protocol, id })) return true;
    if (family === 6) return false;
    // An IPv6 socket that speaks IPv4 has the addresses mapped.
    const mapped = Buffer.from(id);
    for (const [at, address] of [
      [4, local],
      [20, remote],
    ] as const) {
      mapped
        .fill(0, at, at + 10)
        .fill(0xff, at + 10, at + 12)
        .set(addressToBytes(address), at + 12);
    }
    return this.destroy({ family: 6, protocol, id: mapped });
  }

  close(): void {
    this.#socket.close();
  }

  #dump(
    family: 4 | 6,
    protocol: number,
    states: number,
    use: (bytes: Buffer, start: number, end: number) => void,
  ): void {
    const sequence = this.#socket.sequence();
    const writer = request(
      BY_FAMILY,
      NLM_F_REQUEST | NLM_F_DUMP,
      sequence,
      family,
      protocol,
      states,
      Buffer.alloc(ID_SIZE),
    );
    try {
      this.#socket.request("sock_diag", writer, sequence, (bytes, message) => {
        if (message.type === BY_FAMILY) use(bytes, message.start + NLMSG_HEADER, message.end);
      });
    } catch (error) {
      // A family or protocol that this kernel has no table of.
      if (!(error instanceof KernelError) || error.code !== "ENOENT") throw error;
    }
  }
}

function request(
  type: number,
  flags: number,
  sequence: number,
  family: 4 | 6,
  protocol: number,
  states: number,
  id: Buffer,
): MessageWriter {
  const writer = new MessageWriter(NLMSG_HEADER + REQUEST_SIZE);
  const { bytes } = writer;
  bytes.writeUInt32LE(NLMSG_HEADER + REQUEST_SIZE, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.writeUInt8(families[family], 16);
  bytes.writeUInt8(protocol, 17);
  bytes.writeUInt32LE(states, 20);
  bytes.set(id, 24);
  writer.length = bytes.length;
  return writer;
}

/** An inet_diag_msg; null where it is not whole. Exported for the fuzz target. */
export function readSocket(bytes: Buffer, start: number, end: number, protocol: number): ConnectedSocket | null {
  if (end - start < 72 || end > bytes.length) return null;
  const family = bytes.readUInt8(start) === families[6] ? 6 : 4;
  const id = Buffer.from(bytes.subarray(start + 4, start + 4 + ID_SIZE));
  const size = family === 4 ? 4 : 16;
  return {
    protocol,
    family,
    localPort: id.readUInt16BE(0),
    remotePort: id.readUInt16BE(2),
    local: plain(addressFromBytes(id, 4, size)),
    remote: plain(addressFromBytes(id, 20, size)),
    uid: bytes.readUInt32LE(start + 64),
    inode: bytes.readUInt32LE(start + 68),
    id,
  };
}

/** IPv4 where an IPv6 socket shows it mapped. */
function plain(address: Address): Address {
  return address.length === 16 && address.startsWith("\0".repeat(10) + "\xff\xff")
    ? (address.slice(12) as Address)
    : address;
}
