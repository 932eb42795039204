/**
 * Messages: what is accepted is exactly what the RFCs allow, and everything that is accepted survives being written again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseAddress } from "../../address/ip.ts";
import { arbitraryMessage } from "../../../test/dns/arbitrary.ts";
import { encode, extendedError } from "./encode.ts";
import { decode } from "./message.ts";
import { fromHostName } from "./name.ts";
import { Class, type Header, isDefect, type Message, Rcode, type ResourceRecord, Type } from "./types.ts";

const header: Header = {
  id: 0x1234,
  response: false,
  opcode: 0,
  authoritative: false,
  truncated: false,
  recursionDesired: true,
  recursionAvailable: false,
  reserved: false,
  authenticData: false,
  checkingDisabled: false,
  rcode: 0,
};
const pypi = fromHostName("pypi.org")!;
const question = { name: pypi, type: Type.A, class: Class.IN };
const query: Message = { header, questions: [question], answers: [], authorities: [], additionals: [], edns: null };
const address = (text: string): ResourceRecord => ({
  name: pypi,
  type: text.includes(":") ? Type.AAAA : Type.A,
  class: Class.IN,
  ttl: 300,
  data: { kind: "address", address: parseAddress(text)! },
});

const defectOf = (bytes: Uint8Array) => {
  const message = decode(bytes);
  return isDefect(message) ? message.defect : null;
};

/** Bytes of a response with one answer of `type` and this data. */
function answerBytes(type: number, data: number[]): Uint8Array {
  const bytes = encode({ ...query, header: { ...header, response: true } });
  bytes[7] = 1;
  const fixed = [0xc0, 12, type >> 8, type & 255, 0, 1, 0, 0, 0, 60, data.length >> 8, data.length & 255];
  return Uint8Array.from([...bytes, ...fixed, ...data]);
}

test("decode(encode(message)) is the message, for every kind of record", () => {
  fc.assert(fc.property(arbitraryMessage, (message) => assert.deepEqual(decode(encode(message)), message)));
});

test("64 kB of the longest compressed names cost milliseconds, not seconds (D7)", () => {
  // One opaque record whose data is a ladder: the root, then 126 times a label and a pointer to the rung below.
  const rungs = 126;
  const ladderAt = 12 + 11;
  const rung = (i: number) => (i < 0 ? ladderAt : ladderAt + 1 + 4 * i);
  const pointer = (target: number) => [0xc0 | (target >> 8), target & 255];
  const ladder = [0, ...Array.from({ length: rungs }, (_, i) => [1, 0x61, ...pointer(rung(i - 1))]).flat()];
  const message = [0, 0x12, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  message.push(0, 0, 10, 0, 1, 0, 0, 0, 0, ladder.length >> 8, ladder.length & 255, ...ladder);
  // Then as many empty records as fit, each owned by the top rung.
  let count = 1;
  for (; message.length + 12 <= 65535; count++) {
    message.push(...pointer(rung(rungs - 1)), 0, 10, 0, 1, 0, 0, 0, 0, 0, 0);
  }
  message[6] = count >> 8;
  message[7] = count & 255;
  const bytes = Uint8Array.from(message);
  // The quickest of a few times: a busy machine slows one down, not all.
  let took = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5 && took >= 1000; i++) {
    const started = performance.now();
    decode(bytes);
    took = performance.now() - started;
  }
  const decoded = decode(bytes);
  assert.ok(!isDefect(decoded), isDefect(decoded) ? decoded.defect : "");
  assert.equal(decoded.answers.at(-1)!.name.length, 2 * rungs + 1);
  assert.ok(took < 1000, `${took} ms`);
});

test("a query has exactly one question and every byte is accounted for (D7, RFC 9619)", () => {
  const bytes = encode(query);
  assert.equal(defectOf(bytes), null);
  assert.equal(defectOf(Uint8Array.from([...bytes, 0])), "trailing_bytes");
  assert.equal(defectOf(bytes.subarray(0, bytes.length - 1)), "truncated");
  assert.equal(defectOf(bytes.subarray(0, 11)), "short_header");
  for (const count of [0, 2]) {
    const changed = Uint8Array.from(bytes);
    changed[5] = count;
    assert.equal(defectOf(changed), "question_count");
  }
  assert.equal(defectOf(new Uint8Array(65536)), "oversized");
});

test("the header survives a defect, so that the sender can be told FORMERR", () => {
  const bytes = Uint8Array.from([...encode(query), 0]);
  const defect = decode(bytes);
  assert.ok(isDefect(defect));
  assert.equal(defect.header?.id, 0x1234);
});

test("record data that does not fill its length, or runs over it, is a defect", () => {
  assert.equal(defectOf(answerBytes(Type.A, [192, 0, 2, 1])), null);
  assert.equal(defectOf(answerBytes(Type.A, [192, 0, 2])), "rdata_length");
  assert.equal(defectOf(answerBytes(Type.A, [192, 0, 2, 1, 9])), "rdata_length");
  assert.equal(defectOf(answerBytes(Type.AAAA, [192, 0, 2, 1])), "rdata_length");
  assert.equal(defectOf(answerBytes(Type.CNAME, [0xc0, 12, 0])), "rdata_length");
  assert.equal(defectOf(answerBytes(Type.CNAME, [3, 0x61])), "rdata_length");
  assert.equal(defectOf(answerBytes(Type.TXT, [])), "rdata_length");
  assert.equal(defectOf(answerBytes(Type.TXT, [2, 0x61])), "rdata_length");
  assert.equal(defectOf(answerBytes(Type.MX, [0])), "rdata_length");
});

test("service parameters are ascending, well formed and never compressed (RFC 9460)", () => {
  const service = (...params: number[]) => defectOf(answerBytes(Type.HTTPS, [0, 1, 0, ...params]));
  assert.equal(service(0, 1, 0, 3, 2, 0x68, 0x32), null);
  assert.equal(service(0, 3, 0, 2, 1, 0xbb, 0, 1, 0, 3, 2, 0x68, 0x32), "svc_params");
  assert.equal(service(0, 3, 0, 2, 1, 0xbb, 0, 3, 0, 2, 1, 0xbb), "svc_params");
  assert.equal(service(0, 4, 0, 3, 192, 0, 2), "svc_params");
  assert.equal(service(0, 4, 0, 0), "svc_params");
  assert.equal(service(0, 6, 0, 4, 192, 0, 2, 1), "svc_params");
  assert.equal(service(0, 1, 0, 2, 5, 0x68), "svc_params");
  assert.equal(service(0, 0, 0, 2, 0, 0), "svc_params");
  assert.equal(service(0, 1, 0, 9, 2, 0x68, 0x32), "rdata_length");
  assert.equal(defectOf(answerBytes(Type.HTTPS, [0, 1, 0xc0, 12])), "pointer_forbidden");
});

test("OPT: once, in the additional section, owned by the root, options whole (RFC 6891)", () => {
  const edns = { udpSize: 1232, version: 0, dnssecOk: false, options: [] };
  const bytes = encode({ ...query, edns });
  const opt = bytes.subarray(bytes.length - 11);
  assert.equal(defectOf(bytes), null);
  const twice = Uint8Array.from([...bytes, ...opt]);
  twice[11] = 2;
  assert.equal(defectOf(twice), "opt");
  const answer = Uint8Array.from(bytes);
  answer[7] = 1;
  answer[11] = 0;
  assert.equal(defectOf(answer), "opt");
  const broken = Uint8Array.from([...bytes, 0, 10, 0, 5, 1]);
  broken[bytes.length - 1] = 5;
  assert.equal(defectOf(broken), "rdata_length");
});

test("an answer over the size is cut at a record, flagged TC, and keeps its OPT", () => {
  const answers = Array.from({ length: 60 }, (_, i) => address(`192.0.2.${i}`));
  const edns = { udpSize: 1232, version: 0, dnssecOk: false, options: [extendedError(15, "why")] };
  const message = { ...query, header: { ...header, response: true, rcode: Rcode.NOERROR }, answers, edns };
  for (let limit = 512; limit < 600; limit++) {
    const bytes = encode(message, limit);
    assert.ok(bytes.length <= limit);
    const cut = decode(bytes);
    assert.ok(!isDefect(cut));
    assert.ok(cut.header.truncated && cut.answers.length > 20 && cut.answers.length < 60);
    assert.equal(cut.edns?.options.length, 1);
  }
  assert.equal(encode(message, 65535)[2]! & 2, 0);
});

test("compression reaches no further than its 14 bits", () => {
  const answers = Array.from({ length: 1500 }, (_, i): ResourceRecord => ({
    ...address("192.0.2.1"),
    name: fromHostName(`host-${i}.some-longer-zone-${i % 7}.example`)!,
  }));
  const message = { ...query, header: { ...header, response: true }, answers };
  const bytes = encode(message);
  assert.ok(bytes.length > 0x4000);
  assert.deepEqual(decode(bytes), message);
});

test("a TTL with its top bit set reads as zero (RFC 2181 section 8)", () => {
  const bytes = answerBytes(Type.A, [192, 0, 2, 1]);
  bytes[bytes.length - 10] = 0x80;
  const message = decode(bytes);
  assert.ok(!isDefect(message));
  assert.equal(message.answers[0]!.ttl, 0);
});
