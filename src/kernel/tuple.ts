/**
 * Connection tracking's records in netlink form: reading one into a {@link Flow}, writing a tuple to find one.
 * Pure bytes; called by `conntrack.ts`.
 */
import { type Address, addressFromBytes, addressToBytes, family } from "../address/ip.ts";
import { AttributeCursor, type MessageWriter } from "./netlink.ts";

export const AF_INET = 2;
export const AF_INET6 = 10;

export const CTA_TUPLE_ORIG = 1;
export const CTA_TUPLE_REPLY = 2;
export const CTA_STATUS = 3;
export const CTA_PROTOINFO = 4;
export const CTA_TIMEOUT = 7;
export const CTA_MARK = 8;
const CTA_COUNTERS_ORIG = 9;
const CTA_COUNTERS_REPLY = 10;
export const CTA_ID = 12;
const CTA_ZONE = 18;
export const CTA_MARK_MASK = 21;

const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;

/** One direction of a flow. Ports are 0 where the protocol has none; for ICMP they hold id, and type * 256 + code. */
export interface Tuple {
  /** IP protocol number. */
  protocol: number;
  source: Address;
  destination: Address;
  sourcePort: number;
  destinationPort: number;
}

export interface Counters {
  packets: number;
  bytes: number;
}

/** TCP states by the kernel's number (nf_conntrack_tcp.h). */
export const tcpStates = [
  "NONE",
  "SYN_SENT",
  "SYN_RECV",
  "ESTABLISHED",
  "FIN_WAIT",
  "CLOSE_WAIT",
  "LAST_ACK",
  "TIME_WAIT",
  "CLOSE",
  "SYN_SENT2",
] as const;

export type TcpState = (typeof tcpStates)[number];

/** One entry of the connection tracking table. */
export interface Flow {
  family: 4 | 6;
  protocol: number;
  /** As the first packet was sent. */
  original: Tuple;
  /** As its answers arrive, before address translation is undone. */
  reply: Tuple;
  mark: number;
  /** The kernel's number for this entry; tells a flow from a later one with the same tuple. */
  id: number;
  /** IPS_* bits: 0x2 seen reply, 0x4 assured, 0x8 confirmed, 0x10 source NAT, 0x20 destination NAT, 0x200 dying. */
  status: number;
  /** Seconds until the entry ends without traffic; 0 in destroy events. */
  timeout: number;
  zone: number;
  /** Zero where `net.netfilter.nf_conntrack_acct` was off when the flow began. */
  counters: { original: Counters; reply: Counters };
  /** Null for other protocols, and in destroy events of kernels that leave it out. */
  tcpState: TcpState | null;
}

const counter = (value: bigint) => Number(value);

/** The flow in `bytes[start, end)` (attributes after nfgenmsg); null where it is not complete. */
export function readFlow(bytes: Buffer, start: number, end: number): Flow | null {
  let original: Tuple | null = null;
  let reply: Tuple | null = null;
  const flow = {
    mark: 0,
    id: 0,
    status: 0,
    timeout: 0,
    zone: 0,
    counters: { original: { packets: 0, bytes: 0 }, reply: { packets: 0, bytes: 0 } },
    tcpState: null as TcpState | null,
  };
  const attribute = new AttributeCursor().over(bytes, start, end);
  while (attribute.next()) {
    const { type, offset, length } = attribute;
    if (type === CTA_TUPLE_ORIG) original = readTuple(bytes, offset, offset + length);
    else if (type === CTA_TUPLE_REPLY) reply = readTuple(bytes, offset, offset + length);
    else if (type === CTA_PROTOINFO) flow.tcpState = readTcpState(bytes, offset, offset + length);
    else if (type === CTA_COUNTERS_ORIG) flow.counters.original = readCounters(bytes, offset, offset + length);
    else if (type === CTA_COUNTERS_REPLY) flow.counters.reply = readCounters(bytes, offset, offset + length);
    else if (type === CTA_ZONE && length >= 2) flow.zone = bytes.readUInt16BE(offset);
    else if (length < 4) continue;
    else if (type === CTA_STATUS) flow.status = bytes.readUInt32BE(offset);
    else if (type === CTA_TIMEOUT) flow.timeout = bytes.readUInt32BE(offset);
    else if (type === CTA_MARK) flow.mark = bytes.readUInt32BE(offset);
    else if (type === CTA_ID) flow.id = bytes.readUInt32BE(offset);
  }
  if (original === null || reply === null || original.source.length !== reply.source.length) return null;
  return { family: family(original.source), protocol: original.protocol, original, reply, ...flow };
}

function readTuple(bytes: Buffer, start: number, end: number): Tuple | null {
  const found = { protocol: -1, source: "" as Address, destination: "" as Address, sourcePort: 0, destinationPort: 0 };
  const part = new AttributeCursor().over(bytes, start, end);
  const field = new AttributeCursor();
  while (part.next()) {
    field.over(bytes, part.offset, part.offset + part.length);
    while (field.next()) {
      const { type, offset, length } = field;
      if (part.type === CTA_TUPLE_IP) {
        // 1 and 2 are the IPv4 source and destination, 3 and 4 the IPv6 ones.
        if (length !== 4 && length !== 16) continue;
        if (type === 1 || type === 3) found.source = addressFromBytes(bytes, offset, length);
        else if (type === 2 || type === 4) found.destination = addressFromBytes(bytes, offset, length);
      } else if (part.type === CTA_TUPLE_PROTO) readProtocol(bytes, type, offset, length, found);
    }
  }
  const complete = found.protocol >= 0 && found.source !== "" && found.source.length === found.destination.length;
  return complete ? found : null;
}

function readProtocol(bytes: Buffer, type: number, offset: number, length: number, into: Tuple): void {
  const value = length >= 2 ? bytes.readUInt16BE(offset) : length === 1 ? bytes.readUInt8(offset) : 0;
  if (type === CTA_PROTO_NUM) into.protocol = value & 0xff;
  else if (type === CTA_PROTO_SRC_PORT) into.sourcePort = value;
  else if (type === CTA_PROTO_DST_PORT) into.destinationPort = value;
  // ICMP and ICMPv6: id, type, code.
  else if (type === 4 || type === 7) into.sourcePort = value;
  else if (type === 5 || type === 8) into.destinationPort = (into.destinationPort & 0xff) | ((value & 0xff) << 8);
  else if (type === 6 || type === 9) into.destinationPort = (into.destinationPort & 0xff00) | (value & 0xff);
}

function readCounters(bytes: Buffer, start: number, end: number): Counters {
  const counters = { packets: 0, bytes: 0 };
  const field = new AttributeCursor().over(bytes, start, end);
  while (field.next()) {
    if (field.length < 8) continue;
    if (field.type === 1) counters.packets = counter(bytes.readBigUInt64BE(field.offset));
    else if (field.type === 2) counters.bytes = counter(bytes.readBigUInt64BE(field.offset));
  }
  return counters;
}

function readTcpState(bytes: Buffer, start: number, end: number): TcpState | null {
  const outer = new AttributeCursor().over(bytes, start, end);
  while (outer.next()) {
    // 1: CTA_PROTOINFO_TCP, and inside it 1: CTA_PROTOINFO_TCP_STATE.
    if (outer.type !== 1) continue;
    const inner = new AttributeCursor().over(bytes, outer.offset, outer.offset + outer.length);
    while (inner.next()) {
      if (inner.type === 1 && inner.length >= 1) return tcpStates[bytes.readUInt8(inner.offset)] ?? null;
    }
  }
  return null;
}

/** Writes a tuple as attribute `type` (CTA_TUPLE_ORIG or CTA_TUPLE_REPLY). */
export function writeTuple(writer: MessageWriter, type: number, tuple: Tuple): void {
  const v4 = tuple.source.length === 4;
  writer.nest(type, () => {
    writer.nest(CTA_TUPLE_IP, () => {
      writer.attribute(v4 ? 1 : 3, addressToBytes(tuple.source));
      writer.attribute(v4 ? 2 : 4, addressToBytes(tuple.destination));
    });
    writer.nest(CTA_TUPLE_PROTO, () => {
      writer.u8(CTA_PROTO_NUM, tuple.protocol);
      if (tuple.protocol === 1 || tuple.protocol === 58) {
        const first = tuple.protocol === 1 ? 4 : 7;
        writer.u16(first, tuple.sourcePort);
        writer.u8(first + 1, tuple.destinationPort >> 8);
        writer.u8(first + 2, tuple.destinationPort & 0xff);
      } else {
        writer.u16(CTA_PROTO_SRC_PORT, tuple.sourcePort);
        writer.u16(CTA_PROTO_DST_PORT, tuple.destinationPort);
      }
    });
  });
}

/** AF_INET or AF_INET6. */
export function addressFamily(address: Address): number {
  return family(address) === 4 ? AF_INET : AF_INET6;
}

/** What CTA_PROTOINFO_TCP holds of a connection that is up, with IP_CT_TCP_FLAG_BE_LIBERAL for both directions. */
export function writeLiberalTcp(writer: MessageWriter): void {
  const liberal = Uint8Array.of(0x08, 0x08);
  writer.u8(1, tcpStates.indexOf("ESTABLISHED")).attribute(4, liberal).attribute(5, liberal);
}
