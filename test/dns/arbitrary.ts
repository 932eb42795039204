/** Random DNS messages for property tests. */
import fc from "fast-check";
import type { Address } from "../../src/address/ip.ts";
import { fromLabels, root, type WireName } from "../../src/wire/dns/name.ts";
import {
  Class,
  type Edns,
  type Header,
  type Message,
  type RecordData,
  type ResourceRecord,
  type SvcParam,
  SvcKey,
  Type,
} from "../../src/wire/dns/types.ts";

/** Objects as the decoder makes them, with a prototype. */
const plainRecord = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record<T>(model, { noNullPrototype: true });

const u16 = fc.nat(65535);
const u32 = fc.nat(0xffffffff);
const data = (maxLength: number, minLength = 0) =>
  fc.uint8Array({ minLength, maxLength }).map((bytes) => Uint8Array.from(bytes));
const address = (length: 4 | 16) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => String.fromCharCode(...bytes) as Address);

const label = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom("pypi", "org", "example", "www", "_tcp", "WWW", "a") },
  { weight: 1, arbitrary: data(20, 1).map((bytes) => String.fromCharCode(...bytes)) },
);

/** Names from few labels, so that suffixes meet and are compressed; sometimes with any bytes. */
export const arbitraryName: fc.Arbitrary<WireName> = fc
  .array(label, { maxLength: 6 })
  .map((labels) => (labels.length === 0 ? root : fromLabels(labels)!));

const alpn = fc
  .array(data(6, 1), { minLength: 1, maxLength: 3 })
  .map((ids) => Uint8Array.from(ids.flatMap((id) => [id.length, ...id])));

const params: fc.Arbitrary<SvcParam[]> = fc
  .tuple(
    fc.option(alpn.map((value) => ({ key: SvcKey.alpn, value }))),
    fc.option(data(2, 2).map((value) => ({ key: SvcKey.port, value }))),
    fc.option(data(4, 4).map((value) => ({ key: SvcKey.ipv4hint, value }))),
    fc.option(data(30).map((value) => ({ key: SvcKey.ech, value }))),
    fc.option(data(16, 16).map((value) => ({ key: SvcKey.ipv6hint, value }))),
    fc.option(data(9).map((value) => ({ key: 65400, value }))),
  )
  .map((list) => list.filter((param): param is NonNullable<typeof param> => param !== null));

const typed: fc.Arbitrary<{ type: number; data: RecordData }> = fc.oneof(
  address(4).map((value) => ({ type: Type.A, data: { kind: "address" as const, address: value } })),
  address(16).map((value) => ({ type: Type.AAAA, data: { kind: "address" as const, address: value } })),
  plainRecord({
    type: fc.constantFrom(Type.CNAME, Type.NS, Type.PTR, Type.DNAME),
    data: plainRecord({ kind: fc.constant("name" as const), target: arbitraryName }),
  }),
  plainRecord({
    type: fc.constant(Type.SOA),
    data: plainRecord({
      kind: fc.constant("soa" as const),
      primary: arbitraryName,
      mailbox: arbitraryName,
      serial: u32,
      refresh: u32,
      retry: u32,
      expire: u32,
      minimum: u32,
    }),
  }),
  plainRecord({
    type: fc.constant(Type.MX),
    data: plainRecord({ kind: fc.constant("mx" as const), preference: u16, exchange: arbitraryName }),
  }),
  plainRecord({
    type: fc.constant(Type.TXT),
    data: plainRecord({
      kind: fc.constant("txt" as const),
      strings: fc.array(data(40), { minLength: 1, maxLength: 3 }),
    }),
  }),
  plainRecord({
    type: fc.constant(Type.SRV),
    data: plainRecord({
      kind: fc.constant("srv" as const),
      priority: u16,
      weight: u16,
      port: u16,
      target: arbitraryName,
    }),
  }),
  plainRecord({
    type: fc.constantFrom(Type.HTTPS, Type.SVCB),
    data: plainRecord({ kind: fc.constant("svcb" as const), priority: u16, target: arbitraryName, params }),
  }),
  plainRecord({
    type: fc.constantFrom(Type.NULL, Type.SSHFP, Type.CAA, 64999),
    data: plainRecord({ kind: fc.constant("opaque" as const), bytes: data(30) }),
  }),
);

const record: fc.Arbitrary<ResourceRecord> = fc
  .tuple(arbitraryName, typed, fc.nat(0x7fffffff))
  .map(([name, rest, ttl]) => ({ name, type: rest.type, class: Class.IN, ttl, data: rest.data }));

const flag = fc.boolean();

const header: fc.Arbitrary<Header> = plainRecord({
  id: u16,
  response: fc.constant(true),
  opcode: fc.constant(0),
  authoritative: flag,
  truncated: fc.constant(false),
  recursionDesired: flag,
  recursionAvailable: flag,
  reserved: fc.constant(false),
  authenticData: flag,
  checkingDisabled: flag,
  rcode: fc.nat(15),
});

const edns: fc.Arbitrary<Edns> = plainRecord({
  udpSize: u16,
  version: fc.constant(0),
  dnssecOk: flag,
  options: fc.array(plainRecord({ code: u16, data: data(20) }), { maxLength: 3 }),
});

const section = fc.array(record, { maxLength: 4 });

/** Responses with one question, every section, and sometimes OPT. */
export const arbitraryMessage: fc.Arbitrary<Message> = plainRecord({
  header,
  questions: fc.tuple(plainRecord({ name: arbitraryName, type: u16, class: fc.constant(Class.IN) })),
  answers: section,
  authorities: section,
  additionals: section,
  edns: fc.option(edns),
});
