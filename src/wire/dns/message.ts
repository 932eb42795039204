/**
 * Bytes to DNS message, strictly: what this decoder accepts, every careful implementation reads the same way. It never
 * throws and its work is bounded by the message's length (each record takes at least 11 bytes, each name at most 255
 * and 127 pointers). Called by the DNS firewall for clients' queries and servers' answers.
 */
import { Cursor } from "./cursor.ts";
import { readName, root } from "./name.ts";
import { readData } from "./records.ts";
import {
  Class,
  type Defect,
  type DefectKind,
  type Edns,
  type Header,
  type Message,
  type Question,
  type ResourceRecord,
  Type,
} from "./types.ts";

const headerBytes = 12;
const maxMessageBytes = 65535;

/** The header's flags and ID, without the counts; null for fewer than 12 bytes. `rcode` is the header's four bits. */
export function decodeHeader(bytes: Uint8Array): Header | null {
  if (bytes.length < headerBytes) return null;
  const high = bytes[2]!;
  const low = bytes[3]!;
  return {
    id: (bytes[0]! << 8) | bytes[1]!,
    response: (high & 0x80) !== 0,
    opcode: (high >> 3) & 15,
    authoritative: (high & 4) !== 0,
    truncated: (high & 2) !== 0,
    recursionDesired: (high & 1) !== 0,
    recursionAvailable: (low & 0x80) !== 0,
    reserved: (low & 0x40) !== 0,
    authenticData: (low & 0x20) !== 0,
    checkingDisabled: (low & 0x10) !== 0,
    rcode: low & 15,
  };
}

/**
 * Decodes one whole message (RFC 1035 section 4, OPT of RFC 6891). A query has exactly one question and a plain response
 * at most one (RFC 9619); every byte belongs to a counted record. Returned byte arrays are copies.
 */
export function decode(bytes: Uint8Array): Message | Defect {
  const header = decodeHeader(bytes);
  if (header === null) return { defect: "short_header", offset: bytes.length, header };
  const defect = (kind: DefectKind, offset: number): Defect => ({ defect: kind, offset, header });
  if (bytes.length > maxMessageBytes) return defect("oversized", maxMessageBytes);
  const cursor = new Cursor(bytes);
  cursor.offset = 4;
  const questionCount = cursor.u16();
  const counts = [cursor.u16(), cursor.u16(), cursor.u16()] as const;
  if (header.response ? header.opcode === 0 && questionCount > 1 : questionCount !== 1) {
    return defect("question_count", 4);
  }
  const questions = readQuestions(cursor, questionCount);
  const opts: Opt[] = [];
  const answers = readSection(cursor, counts[0], null);
  const authorities = readSection(cursor, counts[1], null);
  const additionals = readSection(cursor, counts[2], opts);
  if (cursor.defect !== null) return defect(cursor.defect, cursor.defectOffset);
  if (cursor.left > 0) return defect("trailing_bytes", cursor.offset);
  const opt = opts[0] ?? null;
  if (opt !== null) header.rcode |= opt.extendedRcode << 4;
  return { header, questions, answers, authorities, additionals, edns: opt?.edns ?? null };
}

interface Opt {
  edns: Edns;
  extendedRcode: number;
}

function readQuestions(cursor: Cursor, count: number): Question[] {
  const out: Question[] = [];
  for (let i = 0; i < count && cursor.defect === null; i++) {
    out.push({ name: readName(cursor, "allowed"), type: cursor.u16(), class: cursor.u16() });
  }
  return out;
}

/** `opts` takes the OPT record of the additional section; null where none may be. */
function readSection(cursor: Cursor, count: number, opts: Opt[] | null): ResourceRecord[] {
  const out: ResourceRecord[] = [];
  for (let i = 0; i < count && cursor.defect === null; i++) {
    const name = readName(cursor, "allowed");
    const type = cursor.u16();
    const klass = cursor.u16();
    const ttl = cursor.u32();
    const length = cursor.u16();
    if (cursor.defect !== null) break;
    if (type === Type.OPT) {
      // RFC 6891 section 6.1.1: at most one, in the additional section, owned by the root.
      if (opts === null || opts.length > 0 || name !== root) cursor.fail("opt");
      else opts.push(readOpt(cursor, klass, ttl, length));
      continue;
    }
    const data = readData(cursor, type, klass === Class.IN, length);
    if (cursor.defect !== null) break;
    out.push({ name, type, class: klass, ttl: ttl > 0x7fffffff ? 0 : ttl, data });
  }
  return out;
}

function readOpt(cursor: Cursor, udpSize: number, flags: number, length: number): Opt {
  const options: Edns["options"] = [];
  const end = cursor.offset + length;
  if (end > cursor.end) cursor.fail("truncated");
  while (cursor.defect === null && cursor.offset < end) {
    const code = cursor.u16();
    const size = cursor.u16();
    if (cursor.offset + size > end) cursor.fail("rdata_length");
    else options.push({ code, data: cursor.take(size) });
  }
  const edns: Edns = { udpSize, version: (flags >>> 16) & 255, dnssecOk: (flags & 0x8000) !== 0, options };
  return { edns, extendedRcode: flags >>> 24 };
}
