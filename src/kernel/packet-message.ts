/**
 * Reads the messages of an NFQUEUE: one packet with its attributes, or an error about a verdict. Pure bytes, reused tables, no
 * allocation per packet. Called by `nfqueue.ts`. A message that is not the kernel's format in every part is `malformed`: its
 * packet stays undecided, that is, not sent on.
 */
import { AttributeCursor, netfilterType, NFGEN_HEADER, NLMSG_ERROR, NLMSG_HEADER } from "./netlink.ts";

const SUBSYSTEM_QUEUE = 3;
export const MSG_PACKET = netfilterType(SUBSYSTEM_QUEUE, 0);
export const MSG_VERDICT = netfilterType(SUBSYSTEM_QUEUE, 1);
export const MSG_CONFIG = netfilterType(SUBSYSTEM_QUEUE, 2);

const ATTR_PACKET_HDR = 1;
export const ATTR_MARK = 3;
const ATTR_INDEV = 5;
const ATTR_OUTDEV = 6;
export const ATTR_PAYLOAD = 10;
const ATTR_CAP_LEN = 13;

/** Fields of a row of the table. */
export const FIELD = {
  id: 0,
  mark: 1,
  hook: 2,
  inDevice: 3,
  outDevice: 4,
  offset: 5,
  length: 6,
  fullLength: 7,
} as const;
export const FIELDS = 8;

/** `error`: the kernel refused a verdict; its errno is in `errno`. */
export type Kind = "packet" | "error" | "malformed";

export class PacketMessages {
  /** Rows of {@link FIELDS} numbers; the caller says which row a packet goes into. */
  readonly table: Uint32Array;
  errno = 0;
  readonly #attributes = new AttributeCursor();

  constructor(rows: number) {
    this.table = new Uint32Array(rows * FIELDS);
  }

  /** Reads the message at `bytes[start, start + received)` into row `row`. */
  read(bytes: Buffer, start: number, received: number, queue: number, row: number): Kind {
    const length = received < NLMSG_HEADER ? 0 : bytes.readUInt32LE(start);
    if (length < NLMSG_HEADER || length > received) return "malformed";
    const type = bytes.readUInt16LE(start + 4);
    if (type === NLMSG_ERROR) {
      this.errno = length < NLMSG_HEADER + 4 ? 0 : -bytes.readInt32LE(start + NLMSG_HEADER);
      return "error";
    }
    if (type !== MSG_PACKET || length < NFGEN_HEADER || bytes.readUInt16BE(start + 18) !== queue) return "malformed";
    return this.#readPacket(bytes, start + NFGEN_HEADER, start + length, row * FIELDS);
  }

  #readPacket(bytes: Buffer, start: number, end: number, at: number): Kind {
    const table = this.table;
    table.fill(0, at, at + FIELDS);
    let identified = false;
    const attribute = this.#attributes.over(bytes, start, end);
    while (attribute.next()) {
      const { type, offset, length } = attribute;
      if (type === ATTR_PACKET_HDR && length >= 7) {
        identified = true;
        table[at + FIELD.id] = bytes.readUInt32BE(offset);
        table[at + FIELD.hook] = bytes[offset + 6]!;
      } else if (type === ATTR_PAYLOAD) {
        table[at + FIELD.offset] = offset;
        table[at + FIELD.length] = length;
      } else if (length >= 4) {
        if (type === ATTR_MARK) table[at + FIELD.mark] = bytes.readUInt32BE(offset);
        else if (type === ATTR_INDEV) table[at + FIELD.inDevice] = bytes.readUInt32BE(offset);
        else if (type === ATTR_OUTDEV) table[at + FIELD.outDevice] = bytes.readUInt32BE(offset);
        else if (type === ATTR_CAP_LEN) table[at + FIELD.fullLength] = bytes.readUInt32BE(offset);
      }
    }
    if (!identified) return "malformed";
    if (table[at + FIELD.fullLength] === 0) table[at + FIELD.fullLength] = table[at + FIELD.length]!;
    return "packet";
  }
}
