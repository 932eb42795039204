/**
 * Socket diagnostics' messages (linux/inet_diag.h, linux/sock_diag.h): writing a question for one socket or for all,
 * reading an answer. Pure bytes; called by `sock-diag.ts`.
 */
import { type Address, addressFromBytes } from "../address/ip.ts";
import { AttributeCursor, NLMSG_HEADER } from "./netlink.ts";

/** Bytes of `inet_diag_req_v2`, of `inet_diag_msg`, and where both keep `inet_diag_sockid`. */
const REQUEST = 56;
const ANSWER = 72;
const REQUEST_ID = 8;
const ANSWER_ID = 4;
const INET_DIAG_CGROUP_ID = 21;
const AF_INET = 2;
const AF_INET6 = 10;

/** A socket as seen from its own side. */
export interface SocketAddresses {
  local: Address;
  localPort: number;
  remote: Address;
  remotePort: number;
}

export interface DiagSocket extends SocketAddresses {
  family: 4 | 6;
  /** TCP's states by the kernel's number (1 established, 2 SYN sent, 10 listening); UDP knows 1 (connected) and 7. */
  state: number;
  uid: number;
  /** 0: nobody holds it any more (its process closed it, the kernel still speaks for it). */
  inode: number;
  /** No other socket of this boot has or had it. */
  cookie: bigint;
  /** The cgroup (v2) it was made in; null where the kernel (before 5.8) does not tell. */
  cgroup: bigint | null;
  /** The interface it is bound to; 0: none. */
  interfaceIndex: number;
}

export interface DiagQuestion {
  family: 4 | 6;
  /** IP protocol number. */
  protocol: number;
  /** Bits of TCP states; all by default. */
  states?: number;
  /** What to look for; without it everything is asked for. */
  socket?: SocketAddresses;
  interfaceIndex?: number;
  /** For raw sockets: `protocol` is 255, and this the one they are for. */
  rawProtocol?: number;
}

/** The body of a request, to follow nlmsghdr. */
export function diagRequest(question: DiagQuestion): Buffer {
  const bytes = Buffer.alloc(REQUEST);
  bytes[0] = question.family === 4 ? AF_INET : AF_INET6;
  bytes[1] = question.protocol;
  bytes[3] = question.rawProtocol ?? 0;
  bytes.writeUInt32LE(question.states ?? 0xffffffff, 4);
  const { socket } = question;
  if (socket !== undefined) {
    bytes.writeUInt16BE(socket.localPort, REQUEST_ID);
    bytes.writeUInt16BE(socket.remotePort, REQUEST_ID + 2);
    bytes.write(socket.local, REQUEST_ID + 4, "latin1");
    bytes.write(socket.remote, REQUEST_ID + 20, "latin1");
  }
  bytes.writeUInt32LE(question.interfaceIndex ?? 0, REQUEST_ID + 36);
  // INET_DIAG_NOCOOKIE: whichever socket it is.
  bytes.fill(0xff, REQUEST_ID + 40, REQUEST);
  return bytes;
}

/** The socket in `bytes[start, end)`, a whole message with its nlmsghdr; null where it is not complete. */
export function readDiagSocket(bytes: Buffer, start: number, end: number): DiagSocket | null {
  const at = start + NLMSG_HEADER;
  if (start < 0 || end > bytes.length || end - at < ANSWER) return null;
  const family = bytes[at] === AF_INET ? 4 : bytes[at] === AF_INET6 ? 6 : null;
  if (family === null) return null;
  const id = at + ANSWER_ID;
  const length = family === 4 ? 4 : 16;
  let cgroup: bigint | null = null;
  const attribute = new AttributeCursor().over(bytes, at + ANSWER, end);
  while (attribute.next()) {
    if (attribute.type === INET_DIAG_CGROUP_ID && attribute.length >= 8)
      cgroup = bytes.readBigUInt64LE(attribute.offset);
  }
  return {
    family,
    state: bytes[at + 1]!,
    localPort: bytes.readUInt16BE(id),
    remotePort: bytes.readUInt16BE(id + 2),
    local: addressFromBytes(bytes, id + 4, length),
    remote: addressFromBytes(bytes, id + 20, length),
    interfaceIndex: bytes.readUInt32LE(id + 36),
    cookie: bytes.readBigUInt64LE(id + 40),
    uid: bytes.readUInt32LE(at + 64),
    inode: bytes.readUInt32LE(at + 68),
    cgroup,
  };
}

const mappedPrefix = "\0\0\0\0\0\0\0\0\0\0\xff\xff";

/** An IPv4 address that an IPv6 socket wears (RFC 4291 section 2.5.5.2) as the IPv4 address; any other as it is. */
export function unmapped(address: Address): Address {
  return address.length === 16 && address.startsWith(mappedPrefix) ? (address.slice(12) as Address) : address;
}
