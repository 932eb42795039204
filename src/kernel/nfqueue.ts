/**
 * One NFQUEUE: packets the ruleset queued come up in batches, verdicts go down in batches. One instance per worker
 * thread. Called by the data path.
 *
 * Promises: no allocation per packet; one recvmmsg per batch of packets and one send per batch of verdicts; a queue
 * without a listener, a full queue and a verdict that cannot be delivered all end as a dropped packet, never as one
 * let through (no NFQA_CFG_F_FAIL_OPEN). Does not promise valid checksums: packets of local or virtual origin come
 * before their checksum is filled in (NFQA_SKB_CSUMNOTREADY), and large ones before segmentation (NFQA_CFG_F_GSO).
 */
import { SallyportError } from "../errors.ts";
import * as libc from "./libc.ts";
import { MessageVector } from "./message-vector.ts";
import {
  MessageWriter,
  NETLINK_CAP_ACK,
  NETLINK_NETFILTER,
  NETLINK_NO_ENOBUFS,
  NetlinkSocket,
  NFGEN_HEADER,
  NLM_F_ACK,
  NLM_F_REQUEST,
  SOL_NETLINK,
} from "./netlink.ts";
import {
  ATTR_MARK,
  ATTR_PAYLOAD,
  FIELD,
  FIELDS,
  MSG_CONFIG,
  MSG_PACKET,
  MSG_VERDICT,
  PacketMessages,
} from "./packet-message.ts";
import { queueStatistics } from "./queue-statistics.ts";

export { parseQueueStatistics, queueStatistics, type QueueStatistics } from "./queue-statistics.ts";

const CFG_CMD = 1;
const CFG_PARAMS = 2;
const CFG_QUEUE_MAXLEN = 3;
const CFG_MASK = 4;
const CFG_FLAGS = 5;
const CMD_BIND = 1;
const COPY_PACKET = 2;
const FLAG_GSO = 1 << 2;

const ATTR_VERDICT_HDR = 2;

const SLOTS = 32;
/** A 64 KiB packet and all attributes around it. */
const SLOT_SIZE = 72 * 1024;
/** Room for some 6000 verdicts, or three with a replaced 64 KiB packet. */
const SEND_SIZE = 256 * 1024;
/** nlmsghdr + nfgenmsg + verdict header + mark. */
const VERDICT_SIZE = NFGEN_HEADER + 12 + 8;
/** Packets that wait in one queue at most, where nothing else is said. */
export const QUEUE_LENGTH = 65_536;
const RECEIVE_BUFFER = 8 * 1024 * 1024;

export type Action = "accept" | "drop";

export interface QueueOptions {
  /** Packets the kernel holds for us before it drops new ones. */
  maxLength?: number;
  /** Bytes of each packet to copy up; the kernel's limit is 65531. */
  copyRange?: number;
}

/** An open NFQUEUE in the network namespace of the thread that opened it. */
export class QueueSocket {
  readonly fd: number;
  readonly queue: number;
  /**
   * The bytes that payload offsets point into. Overwritten by the next {@link receive}. Not a Buffer, whose `slice` would give
   * whoever keeps a packet's bytes a view of the next packet's.
   */
  readonly bytes: Uint8Array;
  /** Packets of the last {@link receive}. */
  count = 0;
  /** Verdicts the kernel refused because the packet was gone (ENOENT: the queue or its device went away). */
  lateVerdicts = 0;
  /** Other refusals by the kernel; each left its packet waiting or dropped. */
  refusedVerdicts = 0;
  /** Messages that were not packets of this queue in the kernel's format. */
  malformed = 0;
  readonly #socket: NetlinkSocket;
  readonly #slots = new MessageVector(SLOTS, SLOT_SIZE);
  readonly #messages = new PacketMessages(SLOTS);
  readonly #table = this.#messages.table;
  readonly #verdicts = Buffer.alloc(SEND_SIZE);
  #verdictLength = 0;

  private constructor(socket: NetlinkSocket, queue: number) {
    this.#socket = socket;
    this.fd = socket.fd;
    this.queue = queue;
    const { buffer, byteOffset, length } = this.#slots.bytes;
    this.bytes = new Uint8Array(buffer, byteOffset, length);
  }

  /**
   * Binds queue `queue` (0..65535) in this thread's network namespace.
   * Throws SallyportError QUEUE_IN_USE, MISSING_CAPABILITY or KERNEL_FEATURE.
   */
  static open(queue: number, options: QueueOptions = {}): QueueSocket {
    const socket = new NetlinkSocket(NETLINK_NETFILTER);
    try {
      configure(socket, queue, (writer) => writer.attribute(CFG_CMD, Uint8Array.of(CMD_BIND, 0, 0, 0)));
      // A burst beyond the buffer must drop packets and be counted, not put the socket into an error state.
      libc.setsockopt(socket.fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
      libc.setsockopt(socket.fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
      libc.setsockopt(socket.fd, libc.SOL_SOCKET, libc.SO_RCVBUFFORCE, RECEIVE_BUFFER);
      libc.setsockopt(socket.fd, libc.SOL_SOCKET, libc.SO_SNDBUFFORCE, SEND_SIZE * 2);
      const parameters = Buffer.alloc(5);
      parameters.writeUInt32BE(Math.min(options.copyRange ?? 0xffff, 0xffff));
      parameters.writeUInt8(COPY_PACKET, 4);
      // Flags and length before the copy mode: packets flow once it is set.
      configure(socket, queue, (writer) => writer.u32(CFG_FLAGS, FLAG_GSO).u32(CFG_MASK, FLAG_GSO));
      configure(socket, queue, (writer) => writer.u32(CFG_QUEUE_MAXLEN, options.maxLength ?? QUEUE_LENGTH));
      configure(socket, queue, (writer) => writer.attribute(CFG_PARAMS, parameters));
    } catch (error) {
      socket.close();
      throw openError(queue, error);
    }
    return new QueueSocket(socket, queue);
  }

  /**
   * Takes up to 32 packets without blocking; returns how many. 0 does not mean that nothing waits when `malformed` or
   * `lateVerdicts` grew: poll again. Throws KernelError where the socket is broken.
   */
  receive(): number {
    this.count = 0;
    const filled = this.#slots.receive(this.fd);
    if (filled < 0) {
      if (filled === -libc.EAGAIN || filled === -libc.EINTR || filled === -libc.ENOBUFS) return 0;
      throw new libc.KernelError("recvmmsg", -filled);
    }
    for (let slot = 0; slot < filled; slot++) this.#parse(slot);
    return this.count;
  }

  /** The kernel's number for packet `i` of the batch, for {@link verdict}. */
  packetId(i: number): number {
    return this.#table[i * FIELDS + FIELD.id]!;
  }

  /** The packet's mark; 0 where it has none. */
  mark(i: number): number {
    return this.#table[i * FIELDS + FIELD.mark]!;
  }

  /** The netfilter hook: 0 PREROUTING, 1 INPUT, 2 FORWARD, 3 OUTPUT, 4 POSTROUTING. */
  hook(i: number): number {
    return this.#table[i * FIELDS + FIELD.hook]!;
  }

  /** Index of the interface the packet came in by; 0 for none. */
  inDevice(i: number): number {
    return this.#table[i * FIELDS + FIELD.inDevice]!;
  }

  /** Index of the interface the packet leaves by; 0 where that is not known at this hook. */
  outDevice(i: number): number {
    return this.#table[i * FIELDS + FIELD.outDevice]!;
  }

  /** Where the IP packet starts in {@link bytes}. */
  payloadOffset(i: number): number {
    return this.#table[i * FIELDS + FIELD.offset]!;
  }

  /** Bytes of the IP packet that are in {@link bytes}. */
  payloadLength(i: number): number {
    return this.#table[i * FIELDS + FIELD.length]!;
  }

  /** Bytes of the whole IP packet; larger than {@link payloadLength} where the copy was cut. */
  fullLength(i: number): number {
    return this.#table[i * FIELDS + FIELD.fullLength]!;
  }

  /**
   * Decides packet `id`; sent by {@link flush}, or at once where the buffer is full. Without `mark` an accepted packet
   * keeps the mark it had. `replacement` is a whole IP packet with valid checksums that takes the packet's place.
   */
  verdict(id: number, action: Action, mark?: number, replacement?: Uint8Array): void {
    const attribute = replacement === undefined ? 0 : 4 + ((replacement.length + 3) & ~3);
    if (replacement !== undefined && replacement.length > 0xffff - 4) {
      throw new RangeError(`a replaced packet has at most 65531 bytes, not ${replacement.length}`);
    }
    if (this.#verdictLength + VERDICT_SIZE + attribute > SEND_SIZE) this.flush();
    const bytes = this.#verdicts;
    const start = this.#verdictLength;
    bytes.writeUInt16LE(MSG_VERDICT, start + 4);
    bytes.writeUInt16LE(NLM_F_REQUEST, start + 6);
    bytes.writeUInt32LE(0, start + 8);
    bytes.writeUInt32LE(0, start + 12);
    bytes.writeUInt16LE(0, start + 16);
    bytes.writeUInt16BE(this.queue, start + 18);
    bytes.writeUInt16LE(12, start + 20);
    bytes.writeUInt16LE(ATTR_VERDICT_HDR, start + 22);
    bytes.writeUInt32BE(action === "accept" ? 1 : 0, start + 24);
    bytes.writeUInt32BE(id, start + 28);
    let at = start + 32;
    if (mark !== undefined) {
      bytes.writeUInt16LE(8, at);
      bytes.writeUInt16LE(ATTR_MARK, at + 2);
      bytes.writeUInt32BE(mark >>> 0, at + 4);
      at += 8;
    }
    if (replacement !== undefined) {
      bytes.writeUInt16LE(replacement.length + 4, at);
      bytes.writeUInt16LE(ATTR_PAYLOAD, at + 2);
      bytes.set(replacement, at + 4);
      bytes.fill(0, at + 4 + replacement.length, at + attribute);
      at += attribute;
    }
    bytes.writeUInt32LE(at - start, start);
    this.#verdictLength = at;
  }

  /**
   * Sends the verdicts written so far as one datagram. The kernel takes its messages one by one; a refused one comes
   * back as an error message (counted by the next {@link receive}) and does not stop the others. Throws KernelError
   * where the datagram itself is refused: its packets then stay undecided, that is, not sent on.
   */
  flush(): void {
    if (this.#verdictLength === 0) return;
    const length = this.#verdictLength;
    this.#verdictLength = 0;
    for (;;) {
      const sent = libc.send(this.fd, this.#verdicts, length, 0);
      if (sent >= 0) return;
      if (sent !== -libc.EINTR) throw new libc.KernelError("NFQUEUE verdicts", -sent);
    }
  }

  /** Unbinds: the kernel drops what still waits, and everything queued from now on. */
  close(): void {
    this.#socket.close();
  }

  #parse(slot: number): void {
    if (this.#slots.sender(slot) !== 0 || this.#slots.truncated(slot)) {
      this.malformed++;
      return;
    }
    const start = slot * SLOT_SIZE;
    const kind = this.#messages.read(this.#slots.bytes, start, this.#slots.length(slot), this.queue, this.count);
    if (kind === "packet") this.count++;
    else if (kind === "malformed") this.malformed++;
    else if (this.#messages.errno === libc.ENOENT) this.lateVerdicts++;
    else if (this.#messages.errno !== 0) this.refusedVerdicts++;
  }
}

/** One acknowledged configuration message. */
function configure(socket: NetlinkSocket, queue: number, fill: (writer: MessageWriter) => void): void {
  const writer = new MessageWriter(128);
  const sequence = socket.sequence();
  writer.begin(MSG_CONFIG, NLM_F_REQUEST | NLM_F_ACK, sequence, 0, queue);
  fill(writer);
  // A packet can overtake the acknowledgement of the copy mode. It is dropped (its sender repeats it): left undecided
  // it would hold a place in the queue for ever.
  const drops = new MessageWriter(64);
  socket.request(`NFQUEUE ${queue} configuration`, writer.end(), sequence, undefined, (bytes, message) => {
    const at = message.start + NFGEN_HEADER + 4;
    if (message.type !== MSG_PACKET || at + 4 > message.end) return;
    const verdict = Buffer.alloc(8);
    bytes.copy(verdict, 4, at, at + 4);
    drops.reset().begin(MSG_VERDICT, NLM_F_REQUEST, 0, 0, queue).attribute(ATTR_VERDICT_HDR, verdict).end();
    socket.send(drops);
  });
}

function openError(queue: number, error: unknown): unknown {
  if (!(error instanceof libc.KernelError)) return error;
  const inUse = queueStatistics().some((row) => row.queue === queue);
  if (inUse && (error.code === "EPERM" || error.code === "EBUSY" || error.code === "EEXIST")) {
    return new SallyportError("QUEUE_IN_USE", `NFQUEUE ${queue} already has a listener.`, { queue }, error);
  }
  if (error.code === "EPERM") {
    return new SallyportError("MISSING_CAPABILITY", `NFQUEUE ${queue}: not permitted.`, { queue }, error);
  }
  return new SallyportError("KERNEL_FEATURE", `NFQUEUE ${queue}: ${error.message}.`, { queue }, error);
}
