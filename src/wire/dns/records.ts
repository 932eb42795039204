/**
 * The data of resource records, both ways. Types read here are checked to fill RDLENGTH exactly; all others are carried
 * as opaque bytes (RFC 3597). Called by `message.ts` and `encode.ts` only.
 */
import { addressFromBytes, addressToBytes } from "../../address/ip.ts";
import type { Cursor } from "./cursor.ts";
import { readName, type WireName } from "./name.ts";
import { type RecordData, type SvcParam, SvcKey, Type } from "./types.ts";

/**
 * Reads `length` bytes of data of `type` at the cursor and leaves it behind them. Only class IN has the formats of A,
 * AAAA, SRV and SVCB; `internet` false reads everything as opaque. On a defect the cursor is marked.
 */
export function readData(cursor: Cursor, type: number, internet: boolean, length: number): RecordData {
  if (cursor.left < length) {
    cursor.fail("truncated");
    return { kind: "opaque", bytes: new Uint8Array(0) };
  }
  const outer = cursor.end;
  const end = cursor.offset + length;
  cursor.end = end;
  const data = internet ? readTyped(cursor, type) : opaque(cursor);
  if (cursor.defect === null && cursor.offset !== end) cursor.fail("rdata_length");
  // A field that runs over RDLENGTH is the record's defect, not a short message.
  if (cursor.defect === "truncated") cursor.defect = "rdata_length";
  cursor.end = outer;
  cursor.offset = end;
  return data;
}

function readTyped(cursor: Cursor, type: number): RecordData {
  switch (type) {
    case Type.A:
      return readAddress(cursor, 4);
    case Type.AAAA:
      return readAddress(cursor, 16);
    case Type.CNAME:
    case Type.NS:
    case Type.PTR:
    case Type.DNAME:
      return { kind: "name", target: readName(cursor, "allowed") };
    case Type.SOA:
      return {
        kind: "soa",
        primary: readName(cursor, "allowed"),
        mailbox: readName(cursor, "allowed"),
        serial: cursor.u32(),
        refresh: cursor.u32(),
        retry: cursor.u32(),
        expire: cursor.u32(),
        minimum: cursor.u32(),
      };
    case Type.MX:
      return { kind: "mx", preference: cursor.u16(), exchange: readName(cursor, "allowed") };
    case Type.TXT:
      return readTxt(cursor);
    case Type.SRV:
      // RFC 2782 forbids compression here; RFC 3597 section 4 tells receivers to accept it from older servers.
      return {
        kind: "srv",
        priority: cursor.u16(),
        weight: cursor.u16(),
        port: cursor.u16(),
        target: readName(cursor, "allowed"),
      };
    case Type.SVCB:
    case Type.HTTPS:
      return readSvcb(cursor);
    default:
      return opaque(cursor);
  }
}

function opaque(cursor: Cursor): RecordData {
  return { kind: "opaque", bytes: cursor.take(cursor.left) };
}

function readAddress(cursor: Cursor, length: 4 | 16): RecordData {
  if (cursor.left !== length) {
    cursor.fail("rdata_length");
    return { kind: "opaque", bytes: new Uint8Array(0) };
  }
  const address = addressFromBytes(cursor.bytes, cursor.offset, length);
  cursor.offset += length;
  return { kind: "address", address };
}

/** One or more character-strings (RFC 1035 section 3.3.14). */
function readTxt(cursor: Cursor): RecordData {
  const strings: Uint8Array[] = [];
  if (cursor.left === 0) cursor.fail("rdata_length");
  while (cursor.left > 0) strings.push(cursor.take(cursor.u8()));
  return { kind: "txt", strings };
}

/** RFC 9460 section 2.2: keys strictly ascending; the target is never compressed. AliasMode takes no parameters. */
function readSvcb(cursor: Cursor): RecordData {
  const priority = cursor.u16();
  const target = readName(cursor, "forbidden");
  const params: SvcParam[] = [];
  let last = -1;
  while (cursor.left > 0) {
    const key = cursor.u16();
    const value = cursor.take(cursor.u16());
    if (cursor.defect !== null) break;
    if (key <= last || !validParam(key, value)) {
      cursor.fail("svc_params");
      break;
    }
    last = key;
    params.push({ key, value });
  }
  return { kind: "svcb", priority, target, params };
}

/** The value formats of RFC 9460 section 7; keys not listed there hold any bytes. */
function validParam(key: number, value: Uint8Array): boolean {
  switch (key) {
    case SvcKey.mandatory: {
      // Ascending keys without `mandatory` itself (section 8).
      let last = 0;
      for (let i = 0; i + 1 < value.length; i += 2) {
        const listed = (value[i]! << 8) | value[i + 1]!;
        if (listed <= last) return false;
        last = listed;
      }
      return value.length > 0 && value.length % 2 === 0;
    }
    case SvcKey.alpn: {
      let at = 0;
      while (at < value.length) {
        if (value[at] === 0) return false;
        at += 1 + value[at]!;
      }
      return value.length > 0 && at === value.length;
    }
    case SvcKey.noDefaultAlpn:
      return value.length === 0;
    case SvcKey.port:
      return value.length === 2;
    case SvcKey.ipv4hint:
      return value.length > 0 && value.length % 4 === 0;
    case SvcKey.ipv6hint:
      return value.length > 0 && value.length % 16 === 0;
    default:
      return true;
  }
}

/** What {@link writeData} needs from the encoder. */
export interface DataWriter {
  u16(value: number): void;
  u32(value: number): void;
  raw(bytes: Uint8Array): void;
  name(name: WireName, compress: boolean): void;
}

/** Writes data without its length. Names are compressed only in the types of RFC 1035 (RFC 3597 section 4). */
export function writeData(writer: DataWriter, type: number, data: RecordData): void {
  switch (data.kind) {
    case "address":
      return writer.raw(addressToBytes(data.address));
    case "name":
      return writer.name(data.target, type !== Type.DNAME);
    case "soa":
      writer.name(data.primary, true);
      writer.name(data.mailbox, true);
      for (const value of [data.serial, data.refresh, data.retry, data.expire, data.minimum]) writer.u32(value);
      return;
    case "mx":
      writer.u16(data.preference);
      return writer.name(data.exchange, true);
    case "txt":
      for (const text of data.strings) {
        writer.raw(Uint8Array.of(text.length));
        writer.raw(text);
      }
      return;
    case "srv":
      writer.u16(data.priority);
      writer.u16(data.weight);
      writer.u16(data.port);
      return writer.name(data.target, false);
    case "svcb":
      writer.u16(data.priority);
      writer.name(data.target, false);
      for (const param of data.params) {
        writer.u16(param.key);
        writer.u16(param.value.length);
        writer.raw(param.value);
      }
      return;
    case "opaque":
      return writer.raw(data.bytes);
  }
}
