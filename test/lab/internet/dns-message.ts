/**
 * DNS messages of the lab's servers, encoded and decoded by `dns-packet` (HTTPS rdata by `https-record.ts`). An oracle
 * independent of the product's own parser. Decoding returns null for bytes that are not a query.
 */
import { createRequire } from "node:module";
import { encodeHttpsBinding } from "./https-record.ts";
import type { Answer, Rcode } from "./zone.ts";

type PacketQuestion = { name: string; type: string; class?: string };
type PacketRecord = {
  name: string;
  type: string;
  ttl?: number;
  data?: unknown;
  udpPayloadSize?: number;
  flags?: number;
  options?: unknown[];
};
type Packet = {
  id: number;
  type: "query" | "response";
  flags: number;
  questions: PacketQuestion[];
  answers?: PacketRecord[];
  authorities?: PacketRecord[];
  additionals?: PacketRecord[];
};
// The package ships no types; this is the part of it that the lab uses.
const dnsPacket = createRequire(import.meta.url)("dns-packet") as {
  encode(packet: Packet): Buffer;
  decode(bytes: Buffer): Packet;
};

const rcodes: Record<Rcode | "FORMERR", number> = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 };
const flagTruncated = 0x0200;
const flagRecursionDesired = 0x0100;
const flagRecursionAvailable = 0x0080;
/** Type numbers that `dns-packet` only knows as numbers, and the lab by name (IANA DNS parameters). */
const extraTypes: Record<string, string> = { UNKNOWN_64: "SVCB", UNKNOWN_65: "HTTPS" };

export type Query = {
  id: number;
  name: string;
  type: string;
  recursionDesired: boolean;
  /** The size that the client can take over UDP: 512 without EDNS (RFC 1035), else what it says (RFC 6891). */
  udpSize: number;
  edns: boolean;
};

export function decodeQuery(bytes: Buffer): Query | null {
  let packet: Packet;
  try {
    packet = dnsPacket.decode(bytes);
  } catch {
    return null;
  }
  const question = packet.questions[0];
  if (packet.type !== "query" || question === undefined || packet.questions.length !== 1) return null;
  const opt = packet.additionals?.find((record) => record.type === "OPT");
  return {
    id: packet.id,
    name: question.name,
    type: extraTypes[question.type] ?? question.type,
    recursionDesired: (packet.flags & flagRecursionDesired) !== 0,
    udpSize: Math.max(512, opt?.udpPayloadSize ?? 512),
    edns: opt !== undefined,
  };
}

export type Response = { rcode: Rcode | "FORMERR"; answers: Answer[]; truncated?: boolean };

/** The response to a query, with an SOA where the answer is empty (RFC 2308) and an OPT where the query had one. */
export function encodeResponse(query: Query, response: Response): Buffer {
  const flags =
    (query.recursionDesired ? flagRecursionDesired : 0) |
    flagRecursionAvailable |
    (response.truncated === true ? flagTruncated : 0) |
    rcodes[response.rcode];
  const last = response.answers.at(-1);
  const negative =
    response.truncated !== true &&
    (response.rcode === "NXDOMAIN" || (response.rcode === "NOERROR" && (last === undefined || last.type === "CNAME")));
  return dnsPacket.encode({
    id: query.id,
    type: "response",
    flags,
    questions: [{ name: query.name, type: packetType(query.type), class: "IN" }],
    answers: response.answers.map(packetRecord),
    authorities: negative && query.type !== "CNAME" ? [startOfAuthority] : [],
    additionals: query.edns ? [{ name: ".", type: "OPT", udpPayloadSize: 1232, flags: 0, options: [] }] : [],
  });
}

/** A response whose header alone is known: for bytes that are not a query (RFC 1035 section 4.1.1, FORMERR). */
export function encodeFormatError(bytes: Buffer): Buffer {
  const header = Buffer.alloc(12);
  bytes.copy(header, 0, 0, Math.min(2, bytes.length));
  header.writeUInt16BE(0x8000 | rcodes.FORMERR, 2);
  return header;
}

const startOfAuthority: PacketRecord = {
  name: "example",
  type: "SOA",
  ttl: 30,
  data: {
    mname: "ns.example",
    rname: "hostmaster.example",
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86_400,
    minimum: 30,
  },
};

function packetType(type: string): string {
  return Object.entries(extraTypes).find(([, name]) => name === type)?.[0] ?? type;
}

function packetRecord(answer: Answer): PacketRecord {
  const common = { name: answer.name, type: packetType(answer.type), ttl: answer.ttl ?? 60 };
  if (answer.type === "HTTPS") return { ...common, data: encodeHttpsBinding(answer.data) };
  return { ...common, data: answer.data };
}
