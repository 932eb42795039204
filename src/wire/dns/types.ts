/**
 * The numbers of DNS and the shape of a message, as this codec sees them. Called by everything that reads or writes DNS.
 * Values are facts from the bytes; nothing here decides.
 */
import type { Address } from "../../address/ip.ts";
import type { WireName } from "./name.ts";

/** Record and query types this codec or the firewall treats by name (IANA DNS Parameters). */
export const Type = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  NULL: 10,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  NAPTR: 35,
  DNAME: 39,
  OPT: 41,
  DS: 43,
  SSHFP: 44,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  TLSA: 52,
  SVCB: 64,
  HTTPS: 65,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
  CAA: 257,
} as const;

const typeNames = new Map<number, string>(Object.entries(Type).map(([name, value]) => [value, name]));

/** Mnemonic of a type, or `TYPE123` (RFC 3597). */
export function typeName(type: number): string {
  return typeNames.get(type) ?? `TYPE${type}`;
}

export const Class = { IN: 1, CH: 3, NONE: 254, ANY: 255 } as const;

export const Rcode = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

const rcodeNames = new Map<number, string>(Object.entries(Rcode).map(([name, value]) => [value, name]));

/** Mnemonic of a response code, or `RCODE9`. */
export function rcodeName(rcode: number): string {
  return rcodeNames.get(rcode) ?? `RCODE${rcode}`;
}

/** SvcParamKeys of SVCB and HTTPS records (RFC 9460 section 14.3.2, RFC 9848 for ech). */
export const SvcKey = { mandatory: 0, alpn: 1, noDefaultAlpn: 2, port: 3, ipv4hint: 4, ech: 5, ipv6hint: 6 } as const;

export const EdnsOption = { clientSubnet: 8, cookie: 10, padding: 12, extendedError: 15 } as const;

/** Extended DNS Error codes used in answers (RFC 8914 section 4). */
export const ExtendedError = {
  other: 0,
  staleAnswer: 3,
  blocked: 15,
  noReachableAuthority: 22,
  networkError: 23,
} as const;

export interface Header {
  /** 0 to 65535. */
  id: number;
  /** QR: true for a response. */
  response: boolean;
  /** 0 to 15; 0 is a plain query. */
  opcode: number;
  authoritative: boolean;
  truncated: boolean;
  recursionDesired: boolean;
  recursionAvailable: boolean;
  /** The reserved Z bit. */
  reserved: boolean;
  authenticData: boolean;
  checkingDisabled: boolean;
  /** 12 bits with OPT, else the header's 4. */
  rcode: number;
}

export interface Question {
  name: WireName;
  type: number;
  class: number;
}

/** One SvcParam; `value` is the wire form. */
export interface SvcParam {
  key: number;
  value: Uint8Array;
}

/** The data of one record. `opaque`: a type this codec carries without reading. */
export type RecordData =
  | { kind: "address"; address: Address }
  | { kind: "name"; target: WireName }
  | {
      kind: "soa";
      primary: WireName;
      mailbox: WireName;
      serial: number;
      refresh: number;
      retry: number;
      expire: number;
      minimum: number;
    }
  | { kind: "mx"; preference: number; exchange: WireName }
  | { kind: "txt"; strings: Uint8Array[] }
  | { kind: "srv"; priority: number; weight: number; port: number; target: WireName }
  | { kind: "svcb"; priority: number; target: WireName; params: SvcParam[] }
  | { kind: "opaque"; bytes: Uint8Array };

export interface ResourceRecord {
  name: WireName;
  type: number;
  class: number;
  /** Seconds, 0 to 2^31 - 1 (RFC 2181 section 8: a set top bit reads as 0). */
  ttl: number;
  data: RecordData;
}

/** The OPT pseudo-record (RFC 6891), lifted out of the additional section. */
export interface Edns {
  /** Largest UDP message the sender takes, bytes, as sent. */
  udpSize: number;
  version: number;
  dnssecOk: boolean;
  options: { code: number; data: Uint8Array }[];
}

export interface Message {
  header: Header;
  questions: Question[];
  answers: ResourceRecord[];
  authorities: ResourceRecord[];
  /** Without OPT. */
  additionals: ResourceRecord[];
  edns: Edns | null;
}

/** What is wrong with bytes that are not a DNS message. A closed list. */
export type DefectKind =
  | "short_header" // fewer than 12 bytes
  | "oversized" // more than 65535 bytes
  | "truncated" // the bytes end inside a field
  | "trailing_bytes" // bytes after the last counted record
  | "label_type" // a label length octet of 01xxxxxx or 10xxxxxx
  | "name_too_long" // more than 255 bytes (RFC 1035 section 2.3.4)
  | "pointer_forward" // a compression pointer that does not point strictly backwards
  | "pointer_header" // a compression pointer into the header
  | "pointer_limit" // more compression pointers than a name can need
  | "pointer_forbidden" // a compressed name where the type's RFC forbids one
  | "question_count" // a query without exactly one question, or a plain response with several (RFC 9619)
  | "rdata_length" // RDLENGTH does not fit the type's data
  | "svc_params" // SvcParams out of order, doubled or malformed (RFC 9460 section 2.2)
  | "opt"; // OPT doubled, outside the additional section, or not owned by the root

export interface Defect {
  defect: DefectKind;
  /** Where reading stopped. */
  offset: number;
  /** Present where at least the header was there: enough to answer FORMERR. */
  header: Header | null;
}

/** Tells {@link Message} and {@link Defect} apart. */
export function isDefect(value: Message | Defect): value is Defect {
  return "defect" in value;
}
