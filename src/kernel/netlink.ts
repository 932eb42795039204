/**
 * Netlink (RFC 3549): building messages, reading them back within bounds, and a socket that asks and waits for the
 * answer. Knows nfgenmsg, the header of the netfilter subsystems; knows no subsystem. Called by `nfqueue`, `conntrack`
 * and `ruleset`.
 *
 * Readers treat the bytes as hostile: every length is checked against what is really there, every step moves forward.
 * Messages that did not come from the kernel (a privileged process can address any netlink socket) are ignored.
 */
import * as libc from "./libc.ts";
import { MessageVector } from "./message-vector.ts";

export const NETLINK_NETFILTER = 12;
export const SOL_NETLINK = 270;
export const NETLINK_ADD_MEMBERSHIP = 1;
export const NETLINK_NO_ENOBUFS = 5;
export const NETLINK_CAP_ACK = 10;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_NONREC = 0x100;
export const NLM_F_DUMP = 0x300;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

/** Bytes of nlmsghdr, and of nlmsghdr followed by nfgenmsg. */
export const NLMSG_HEADER = 16;
export const NFGEN_HEADER = 20;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

const align = (length: number) => (length + 3) & ~3;

/** The type field of a netfilter message: subsystem in the high byte, message in the low one. */
export function netfilterType(subsystem: number, message: number): number {
  return (subsystem << 8) | message;
}

/** Writes messages one after another into one Buffer. The caller makes the Buffer large enough; overruns throw. */
export class MessageWriter {
  readonly bytes: Buffer;
  /** Bytes written so far. */
  length = 0;
  #start = 0;

  constructor(size: number) {
    this.bytes = Buffer.alloc(size);
  }

  /** Forgets everything written. */
  reset(): this {
    this.length = 0;
    return this;
  }

  /** Starts a message with nlmsghdr and nfgenmsg. `resource` is host order here, big endian on the wire. */
  begin(type: number, flags: number, sequence: number, family = 0, resource = 0): this {
    const at = (this.#start = this.length);
    this.bytes.writeUInt32LE(0, at);
    this.bytes.writeUInt16LE(type, at + 4);
    this.bytes.writeUInt16LE(flags, at + 6);
    this.bytes.writeUInt32LE(sequence >>> 0, at + 8);
    this.bytes.writeUInt32LE(0, at + 12);
    this.bytes.writeUInt8(family, at + 16);
    this.bytes.writeUInt8(0, at + 17);
    this.bytes.writeUInt16BE(resource, at + 18);
    this.length = at + NFGEN_HEADER;
    return this;
  }

  /** Starts a message of another subsystem: nlmsghdr and then `body`, the header of that one. */
  beginBare(type: number, flags: number, sequence: number, body: Uint8Array): this {
    this.begin(type, flags, sequence);
    this.length = this.#start + NLMSG_HEADER;
    this.bytes.set(body, this.length);
    this.length += body.length;
    return this;
  }

  /** Ends the message: its length is now known. */
  end(): this {
    this.bytes.writeUInt32LE(this.length - this.#start, this.#start);
    return this;
  }

  attribute(type: number, value: Uint8Array): this {
    const at = this.#header(type, value.length);
    this.bytes.set(value, at);
    return this;
  }

  /** A NUL-terminated string. */
  text(type: number, value: string): this {
    return this.attribute(type, Buffer.from(`${value}\0`));
  }

  u8(type: number, value: number): this {
    this.bytes.writeUInt8(value, this.#header(type, 1));
    return this;
  }

  u16(type: number, value: number): this {
    this.bytes.writeUInt16BE(value, this.#header(type, 2));
    return this;
  }

  u32(type: number, value: number): this {
    this.bytes.writeUInt32BE(value >>> 0, this.#header(type, 4));
    return this;
  }

  /** An attribute made of the attributes that `fill` writes. */
  nest(type: number, fill: () => void): this {
    const at = this.length;
    this.#header(type | NLA_F_NESTED, 0);
    fill();
    this.bytes.writeUInt16LE(this.length - at, at);
    return this;
  }

  #header(type: number, size: number): number {
    const at = this.length;
    this.bytes.writeUInt16LE(size + 4, at);
    this.bytes.writeUInt16LE(type, at + 2);
    this.bytes.fill(0, at + 4 + size, at + 4 + align(size));
    this.length = at + 4 + align(size);
    return at + 4;
  }
}

/** Walks the messages in `bytes[0, end)`. Stops at the first one whose length is impossible. */
export class MessageCursor {
  readonly #bytes: Buffer;
  readonly #end: number;
  #next = 0;
  type = 0;
  flags = 0;
  sequence = 0;
  /** The message's first byte, and the one after its last. */
  start = 0;
  end = 0;

  constructor(bytes: Buffer, end: number) {
    this.#bytes = bytes;
    this.#end = Math.min(end, bytes.length);
  }

  next(): boolean {
    const at = this.#next;
    if (this.#end - at < NLMSG_HEADER) return false;
    const length = this.#bytes.readUInt32LE(at);
    if (length < NLMSG_HEADER || length > this.#end - at) return false;
    this.type = this.#bytes.readUInt16LE(at + 4);
    this.flags = this.#bytes.readUInt16LE(at + 6);
    this.sequence = this.#bytes.readUInt32LE(at + 8);
    this.start = at;
    this.end = at + length;
    this.#next = at + align(length);
    return true;
  }

  /** The errno of an NLMSG_ERROR or NLMSG_DONE message; 0 is an acknowledgement, or a dump that is whole. */
  error(): number {
    return this.end - this.start < NLMSG_HEADER + 4 ? 0 : -this.#bytes.readInt32LE(this.start + NLMSG_HEADER);
  }
}

/** Walks attributes in a range of bytes. Reusable: {@link AttributeCursor.over} starts again. */
export class AttributeCursor {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;
  type = 0;
  /** The value's first byte and its length. */
  offset = 0;
  length = 0;

  over(bytes: Buffer, start: number, end: number): this {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = Math.min(end, bytes.length);
    return this;
  }

  next(): boolean {
    const at = this.#at;
    if (this.#end - at < 4) return false;
    const length = this.#bytes.readUInt16LE(at);
    if (length < 4 || length > this.#end - at) return false;
    this.type = this.#bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK;
    this.offset = at + 4;
    this.length = length - 4;
    this.#at = at + align(length);
    return true;
  }
}

/** How long a request waits for the kernel. It answers in the same system call; this only ends a defect's hang. */
const ANSWER_SECONDS = 10;

/** Answers to many requests that are taken in one system call, and room for each: one thing's attributes. */
const answersAtOnce = 32;
const answerSize = 8192;

/** A netlink socket. */
export class NetlinkSocket {
  readonly fd: number;
  #sequence = 1;
  readonly #bytes = Buffer.alloc(1 << 17);
  readonly #from = Buffer.alloc(12);
  readonly #fromLength = Buffer.alloc(4);
  #answers: MessageVector | null = null;

  /** Opens and binds, in the calling thread's network namespace; the kernel picks the port. */
  constructor(protocol: number) {
    this.fd = libc.socket(libc.AF_NETLINK, libc.SOCK_RAW, protocol);
    try {
      const local = Buffer.alloc(12);
      local.writeUInt16LE(libc.AF_NETLINK);
      libc.bind(this.fd, local);
      const timeout = Buffer.alloc(16);
      timeout.writeBigInt64LE(BigInt(ANSWER_SECONDS));
      libc.setsockopt(this.fd, libc.SOL_SOCKET, libc.SO_RCVTIMEO, timeout);
      libc.setsockopt(this.fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    } catch (error) {
      libc.close(this.fd);
      throw error;
    }
  }

  /** The sequence number for the next request. */
  sequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0;
    return this.#sequence;
  }

  /** Sends what `writer` holds. Throws {@link libc.KernelError}. */
  send(writer: MessageWriter): void {
    const sent = libc.send(this.fd, writer.bytes, writer.length, 0);
    if (sent < 0) throw new libc.KernelError("netlink send", -sent);
  }

  /**
   * Receives one datagram from the kernel: a cursor over its messages (valid until the next receive), or `-errno`.
   * Datagrams from other processes are skipped.
   */
  receive(flags = 0): { bytes: Buffer; messages: MessageCursor } | number {
    for (;;) {
      const length = libc.recvfrom(this.fd, this.#bytes, flags, this.#from, this.#fromLength);
      if (length === -libc.EINTR) continue;
      if (length < 0) return length;
      if (this.#from.readUInt32LE(4) !== 0) continue;
      return { bytes: this.#bytes, messages: new MessageCursor(this.#bytes, length) };
    }
  }

  /**
   * Sends a request and reads answers until its acknowledgement or the end of its dump. `onMessage` gets each message
   * with the request's sequence number, `onOther` what else the kernel had to say meanwhile. Throws
   * {@link libc.KernelError} with the kernel's errno; `call` names the request in it.
   */
  request(
    call: string,
    writer: MessageWriter,
    sequence: number,
    onMessage?: (bytes: Buffer, message: MessageCursor) => void,
    onOther?: (bytes: Buffer, message: MessageCursor) => void,
  ): void {
    this.send(writer);
    for (;;) {
      const datagram = this.receive();
      if (typeof datagram === "number") throw new libc.KernelError(call, -datagram);
      const { bytes, messages } = datagram;
      while (messages.next()) {
        if (messages.sequence !== sequence) {
          onOther?.(bytes, messages);
          continue;
        }
        if (messages.type === NLMSG_DONE) {
          // A dump that failed ends like one that did not, but says why.
          const errno = messages.error();
          if (errno > 0) throw new libc.KernelError(call, errno);
          return;
        }
        if (messages.type === NLMSG_ERROR) {
          const errno = messages.error();
          if (errno === 0) return;
          throw new libc.KernelError(call, errno);
        }
        onMessage?.(bytes, messages);
      }
    }
  }

  /**
   * Sends what `writer` holds, requests for one thing each without NLM_F_ACK, the first of which has the sequence number `first`.
   * Each gets one message back, which `onMessage` is handed with the request's place, or `onError` its errno: what is wrong with one is not
   * the others' fault. Throws {@link libc.KernelError} where nothing more comes.
   */
  requestEach(
    call: string,
    writer: MessageWriter,
    first: number,
    count: number,
    onMessage: (place: number, bytes: Buffer, message: MessageCursor) => void,
    onError: (place: number, errno: number) => void,
  ): void {
    this.send(writer);
    const answers = (this.#answers ??= new MessageVector(answersAtOnce, answerSize));
    const take = (bytes: Buffer, messages: MessageCursor): number => {
      let taken = 0;
      while (messages.next()) {
        const place = (messages.sequence - first) >>> 0;
        // An earlier request's, which gave up waiting.
        if (place >= count) continue;
        taken++;
        if (messages.type === NLMSG_ERROR) onError(place, messages.error());
        else onMessage(place, bytes, messages);
      }
      return taken;
    };
    for (let answered = 0; answered < count;) {
      // The kernel answers while it is asked: all of it waits here by now.
      const received = answers.receive(this.fd);
      for (let i = 0; i < received; i++) {
        if (answers.sender(i) !== 0) continue;
        if (answers.truncated(i)) throw new libc.KernelError(call, libc.EMSGSIZE);
        const start = i * answerSize;
        const bytes = answers.bytes.subarray(start, start + answers.length(i));
        answered += take(bytes, new MessageCursor(bytes, bytes.length));
      }
      if (received > 0 || received === -libc.EINTR) continue;
      if (received !== -libc.EAGAIN) throw new libc.KernelError(call, -received);
      const datagram = this.receive();
      if (typeof datagram === "number") throw new libc.KernelError(call, -datagram);
      answered += take(datagram.bytes, datagram.messages);
    }
  }

  close(): void {
    libc.close(this.fd);
  }
}
