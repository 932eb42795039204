/**
 * Network devices, their addresses and the default routes, asked of the kernel (rtnetlink(7)) in the namespace of the calling thread.
 * `ip` tells the same and is a program to start: an enforcer around a machine looks once a second, and a job waits for the first look.
 */
import { type Address, addressFromBytes } from "../address/ip.ts";
import {
  AttributeCursor,
  type MessageCursor,
  MessageWriter,
  NetlinkSocket,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_HEADER,
} from "./netlink.ts";

const NETLINK_ROUTE = 0;
const GET_LINK = 18;
const GET_ADDRESS = 22;
const GET_ROUTE = 26;

const ETHERNET = 1;
const LOOPBACK = 772;
const MAIN_TABLE = 254;
const UNICAST = 1;
const LINK_SCOPE = 253;

export interface Link {
  index: number;
  name: string;
  /** What `ip -d link` calls its kind; null for a network card and the loopback. */
  kind: string | null;
  ethernet: boolean;
  loopback: boolean;
  /** Indexes of the bridge or bond it is a port of, and of the device that it sends by. */
  master: number | null;
  lower: number | null;
}

export interface LinkAddress {
  index: number;
  address: Address;
  bits: number;
  /** Good on this link only. */
  linkLocal: boolean;
}

export function readLinks(): Link[] {
  return ask("link dump", GET_LINK, 16, readLink);
}

export function readAddresses(): LinkAddress[] {
  return ask("address dump", GET_ADDRESS, 8, readLinkAddress);
}

/** Indexes of the devices by which the main table's default routes leave, in no order and as often as they are named. */
export function readDefaultRoutes(): number[] {
  return ask("route dump", GET_ROUTE, 12, readDefaultRoute).flat();
}

function ask<T>(
  call: string,
  type: number,
  header: number,
  read: (bytes: Buffer, start: number, end: number) => T | null,
): T[] {
  const socket = new NetlinkSocket(NETLINK_ROUTE);
  try {
    const sequence = socket.sequence();
    const writer = new MessageWriter(64);
    writer.beginBare(type, NLM_F_REQUEST | NLM_F_DUMP, sequence, Buffer.alloc(header)).end();
    const found: T[] = [];
    socket.request(call, writer, sequence, (bytes: Buffer, { start, end }: MessageCursor) => {
      const each = read(bytes, start + NLMSG_HEADER, end);
      if (each !== null) found.push(each);
    });
    return found;
  } finally {
    socket.close();
  }
}

/** The body of a message: `ifinfomsg` and attributes. Null where it is none. Exported for the fuzz target. */
export function readLink(bytes: Buffer, start: number, end: number): Link | null {
  if (end - start < 16 || end > bytes.length) return null;
  const type = bytes.readUInt16LE(start + 2);
  const found: Link = {
    index: bytes.readInt32LE(start + 4),
    name: "",
    kind: null,
    ethernet: type === ETHERNET,
    loopback: type === LOOPBACK,
    master: null,
    lower: null,
  };
  let isElsewhere = false;
  const attributes = new AttributeCursor().over(bytes, start + 16, end);
  while (attributes.next()) {
    const { type, offset, length } = attributes;
    if (type === 3) found.name = textAt(bytes, offset, length);
    else if (type === 5 && length === 4) found.lower = bytes.readInt32LE(offset);
    // The index is one of another namespace.
    else if (type === 37) isElsewhere = true;
    else if (type === 10 && length === 4) found.master = bytes.readInt32LE(offset);
    else if (type === 18) {
      const info = new AttributeCursor().over(bytes, offset, offset + length);
      while (info.next()) if (info.type === 1) found.kind = textAt(bytes, info.offset, info.length);
    }
  }
  if (isElsewhere) found.lower = null;
  return found.name === "" ? null : found;
}

/** `ifaddrmsg` and attributes. Exported for the fuzz target. */
export function readLinkAddress(bytes: Buffer, start: number, end: number): LinkAddress | null {
  if (end - start < 8 || end > bytes.length) return null;
  const size = { 2: 4, 10: 16 }[bytes.readUInt8(start)] as 4 | 16 | undefined;
  if (size === undefined) return null;
  // A tunnel's own address is the local one; the other is its peer's.
  let local: Address | null = null;
  let other: Address | null = null;
  const attributes = new AttributeCursor().over(bytes, start + 8, end);
  while (attributes.next()) {
    const { type, offset, length } = attributes;
    if (length !== size || (type !== 1 && type !== 2)) continue;
    const address = addressFromBytes(bytes, offset, size);
    if (type === 2) local = address;
    else other = address;
  }
  const address = local ?? other;
  if (address === null) return null;
  const linkLocal = bytes.readUInt8(start + 3) === LINK_SCOPE;
  return { index: bytes.readUInt32LE(start + 4), address, bits: bytes.readUInt8(start + 1), linkLocal };
}

/** `rtmsg` and attributes: the devices of a default route. Null where it is another. Exported for the fuzz target. */
export function readDefaultRoute(bytes: Buffer, start: number, end: number): number[] | null {
  if (end - start < 12 || end > bytes.length) return null;
  if (bytes.readUInt8(start + 1) !== 0 || bytes.readUInt8(start + 7) !== UNICAST) return null;
  let table = bytes.readUInt8(start + 4);
  const devices: number[] = [];
  const attributes = new AttributeCursor().over(bytes, start + 12, end);
  while (attributes.next()) {
    const { type, offset, length } = attributes;
    if (type === 4 && length === 4) devices.push(bytes.readInt32LE(offset));
    else if (type === 15 && length === 4) table = bytes.readUInt32LE(offset);
    else if (type === 9) devices.push(...nextHops(bytes, offset, offset + length));
  }
  return table === MAIN_TABLE ? devices : null;
}

/** `rtnexthop`s, one after another: length, flags, hops, device, attributes. */
function nextHops(bytes: Buffer, start: number, end: number): number[] {
  const devices: number[] = [];
  for (let at = start; end - at >= 8;) {
    const length = bytes.readUInt16LE(at);
    if (length < 8) break;
    devices.push(bytes.readInt32LE(at + 4));
    at += (length + 3) & ~3;
  }
  return devices;
}

function textAt(bytes: Buffer, offset: number, length: number): string {
  return bytes.toString("utf8", offset, offset + length).replace(/\0.*$/s, "");
}
