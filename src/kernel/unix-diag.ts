/**
 * Asks the kernel for connected unix stream sockets and who is at their other end (NETLINK_SOCK_DIAG, linux/unix_diag.h). A socket
 * that a server accepted has the server's path and belongs to the network namespace of who connected: only clients in the
 * namespace where the object was made are seen. Synchronous. Called by the process room.
 */
import * as libc from "./libc.ts";
import { AttributeCursor, MessageWriter, NetlinkSocket, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_HEADER } from "./netlink.ts";

const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const ESTABLISHED = 1;
/** Bytes of `unix_diag_req` and of `unix_diag_msg`. */
const REQUEST = 24;
const ANSWER = 16;
const SHOW = { name: 1, peer: 4 } as const;
const ATTRIBUTE = { name: 0, peer: 2 } as const;

const enough = new Error("enough");

/** The server's end of a connection. */
export interface AcceptedSocket {
  /** Where the server listens, as it was bound. */
  path: string;
  /** The inode of the client's end; 0: it is gone. */
  peer: number;
}

export class UnixDiag {
  #socket = new NetlinkSocket(NETLINK_SOCK_DIAG);
  readonly #writer = new MessageWriter(64);

  /**
   * Servers' ends of stream connections, in no order. `isEnough` is asked at each connected socket of the machine, and where it says so
   * nothing is told (null). Throws KernelError; ENOENT: without CONFIG_UNIX_DIAG.
   */
  accepted(isEnough: () => boolean = () => false): AcceptedSocket[] | null {
    const body = Buffer.alloc(REQUEST);
    body[0] = AF_UNIX;
    body.writeUInt32LE(1 << ESTABLISHED, 4);
    body.writeUInt32LE(SHOW.name | SHOW.peer, 12);
    const sequence = this.#socket.sequence();
    this.#writer.reset().beginBare(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence, body);
    const found: AcceptedSocket[] = [];
    try {
      this.#socket.request("unix socket dump", this.#writer.end(), sequence, (bytes, { start, end }) => {
        if (isEnough()) throw enough;
        const socket = readAccepted(bytes, start, end);
        if (socket !== null) found.push(socket);
      });
    } catch (error) {
      if (error !== enough) throw error;
      // With the socket goes the rest of the answer, which the kernel has not written yet.
      const next = new NetlinkSocket(NETLINK_SOCK_DIAG);
      this.#socket.close();
      this.#socket = next;
      return null;
    }
    return found;
  }

  close(): void {
    this.#socket.close();
  }
}

/** Whether it is that this kernel cannot be asked. */
export function isUnsupported(error: unknown): boolean {
  return error instanceof libc.KernelError && (error.code === "ENOENT" || error.code === "EINVAL");
}

/** The socket in `bytes[start, end)`, a whole message with its nlmsghdr; null for one that is no stream socket with a path. */
export function readAccepted(bytes: Buffer, start: number, end: number): AcceptedSocket | null {
  const at = start + NLMSG_HEADER;
  if (start < 0 || end > bytes.length || end - at < ANSWER) return null;
  if (bytes[at] !== AF_UNIX || bytes[at + 1] !== SOCK_STREAM) return null;
  let path = "";
  let peer = 0;
  const attribute = new AttributeCursor().over(bytes, at + ANSWER, end);
  while (attribute.next()) {
    const { type, offset, length } = attribute;
    if (type === ATTRIBUTE.name) path = bytes.toString("utf8", offset, offset + length);
    else if (type === ATTRIBUTE.peer && length >= 4) peer = bytes.readUInt32LE(offset);
  }
  // An abstract name begins with a NUL; a path may end with one.
  const nul = path.indexOf("\0");
  if (nul >= 0) path = path.slice(0, nul);
  return path === "" ? null : { path, peer };
}
