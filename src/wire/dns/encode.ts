/**
 * DNS message to bytes, with name compression and truncation to a size. Called by the DNS firewall for its own queries
 * and for every answer to a policed client. The caller's message must hold valid names and data that fits its type; the
 * decoder's output always does.
 */
import { root, type WireName } from "./name.ts";
import { type DataWriter, writeData } from "./records.ts";
import { type Edns, EdnsOption, type Header, type Message, type ResourceRecord, Type } from "./types.ts";

const headerBytes = 12;

/** Pointers hold 14 bits (RFC 1035 section 4.1.4). */
const pointerReach = 0x4000;

/** Where messages are written: one after the other, and each is copied out. It grows to the longest. */
let shared = new Uint8Array(512);

class Writer implements DataWriter {
  bytes = shared;
  length = 0;
  private readonly names = new Map<string, number>();

  private room(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = shared = grown;
  }

  u16(value: number): void {
    this.room(2);
    this.bytes[this.length++] = value >>> 8;
    this.bytes[this.length++] = value;
  }

  u32(value: number): void {
    this.u16(value >>> 16);
    this.u16(value & 0xffff);
  }

  raw(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /**
   * Suffixes are matched byte for byte, not case-folded: a question's own spelling must come back in the answer's
   * owner names (clients that randomise case compare it).
   */
  name(name: WireName, compress: boolean): void {
    let at = 0;
    while (name.charCodeAt(at) > 0) {
      const suffix = name.slice(at);
      const seen = compress ? this.names.get(suffix) : undefined;
      if (seen !== undefined) return this.u16(0xc000 | seen);
      if (this.length < pointerReach && (compress || !this.names.has(suffix))) this.names.set(suffix, this.length);
      const count = 1 + name.charCodeAt(at);
      this.room(count);
      for (let i = 0; i < count; i++) this.bytes[this.length++] = name.charCodeAt(at + i);
      at += count;
    }
    this.room(1);
    this.bytes[this.length++] = 0;
  }

  patch16(offset: number, value: number): void {
    this.bytes[offset] = value >>> 8;
    this.bytes[offset + 1] = value;
  }
}

/**
 * Encodes a message in at most `limit` bytes (512 to 65535). Records that do not fit are left out whole and TC is set
 * for answers and authorities (RFC 2181 section 9); the OPT record is kept, without its options if need be. An `rcode`
 * over 15 needs `edns`.
 */
export function encode(message: Message, limit = 65535): Uint8Array {
  const writer = new Writer();
  writer.length = headerBytes;
  for (const question of message.questions) {
    writer.name(question.name, true);
    writer.u16(question.type);
    writer.u16(question.class);
  }
  let edns = message.edns;
  if (edns !== null && writer.length + optSize(edns) > limit) edns = { ...edns, options: [] };
  const reserved = edns === null ? 0 : optSize(edns);
  const available = limit - reserved;
  let cut = false;
  const sections = [message.answers, message.authorities, message.additionals];
  const counts = [0, 0, 0];
  for (let s = 0; s < sections.length && !cut; s++) {
    for (const record of sections[s]!) {
      const before = writer.length;
      writeRecord(writer, record);
      if (writer.length > available) {
        writer.length = before;
        cut = s < 2;
        break;
      }
      counts[s]!++;
    }
  }
  if (edns !== null) writeOpt(writer, edns, message.header.rcode);
  writeHeader(writer, message.header, cut || message.header.truncated);
  [message.questions.length, counts[0]!, counts[1]!, counts[2]! + (edns === null ? 0 : 1)].forEach((count, i) =>
    writer.patch16(4 + 2 * i, count),
  );
  return writer.bytes.slice(0, writer.length);
}

function writeHeader(writer: Writer, header: Header, truncated: boolean): void {
  writer.patch16(0, header.id);
  writer.bytes[2] =
    (header.response ? 0x80 : 0) |
    ((header.opcode & 15) << 3) |
    (header.authoritative ? 4 : 0) |
    (truncated ? 2 : 0) |
    (header.recursionDesired ? 1 : 0);
  writer.bytes[3] =
    (header.recursionAvailable ? 0x80 : 0) |
    (header.reserved ? 0x40 : 0) |
    (header.authenticData ? 0x20 : 0) |
    (header.checkingDisabled ? 0x10 : 0) |
    (header.rcode & 15);
}

function writeRecord(writer: Writer, record: ResourceRecord): void {
  writer.name(record.name, true);
  writer.u16(record.type);
  writer.u16(record.class);
  writer.u32(record.ttl);
  const lengthAt = writer.length;
  writer.u16(0);
  writeData(writer, record.type, record.data);
  writer.patch16(lengthAt, writer.length - lengthAt - 2);
}

function optSize(edns: Edns): number {
  return edns.options.reduce((sum, option) => sum + 4 + option.data.length, 11);
}

function writeOpt(writer: Writer, edns: Edns, rcode: number): void {
  writer.name(root, false);
  writer.u16(Type.OPT);
  writer.u16(edns.udpSize);
  writer.u16(((rcode >>> 4) << 8) | edns.version);
  writer.u16(edns.dnssecOk ? 0x8000 : 0);
  writer.u16(optSize(edns) - 11);
  for (const option of edns.options) {
    writer.u16(option.code);
    writer.u16(option.data.length);
    writer.raw(option.data);
  }
}

/** An Extended DNS Error option (RFC 8914 section 2). `text` is for people; cut at 200 characters. */
export function extendedError(code: number, text: string): Edns["options"][number] {
  const words = new TextEncoder().encode(text.slice(0, 200));
  const data = new Uint8Array(2 + words.length);
  data[0] = code >>> 8;
  data[1] = code;
  data.set(words, 2);
  return { code: EdnsOption.extendedError, data };
}
