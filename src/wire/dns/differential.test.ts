/**
 * Second opinions. `dns-packet` writes what we read and reads what we write; tshark reads every message of the captures and
 * thousands of damaged ones. Where a second opinion is wrong or looser, the reason is listed here.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import dnsPacket from "dns-packet";
import fc from "fast-check";
import { captures, ipPackets } from "../../../test/pcaps/read.ts";
import { type Row, tshark, writePcap } from "../../../test/pcaps/tshark.ts";
import { mutated } from "../../../test/support/fuzz.ts";
import { formatAddress } from "../../address/ip.ts";
import { Packet, parsePacket } from "../ip/packet.ts";
import { arbitraryMessage } from "../../../test/dns/arbitrary.ts";
import { encode } from "./encode.ts";
import { decode } from "./message.ts";
import { formatName, labelsOf, type WireName } from "./name.ts";
import { isDefect, type Message, type ResourceRecord, typeName } from "./types.ts";

interface TheirRecord {
  name: string;
  type: string;
  ttl: number;
  data: unknown;
}

/** dns-packet's text of a name: labels joined by dots, the root a dot. */
const joined = (name: WireName) => labelsOf(name).join(".") || ".";

/** Our record as dns-packet would show it; null for data that it reads differently on purpose or by mistake. */
function asTheirs(record: ResourceRecord): TheirRecord | null {
  const { data } = record;
  const base = { name: joined(record.name), type: typeName(record.type), ttl: record.ttl };
  switch (data.kind) {
    case "address":
      // It writes IPv6 without the longest run of zeros in some cases; the text is not what is compared here.
      return data.address.length === 4 ? { ...base, data: formatAddress(data.address) } : null;
    case "name":
      return { ...base, data: joined(data.target) };
    case "mx":
      return { ...base, data: { preference: data.preference, exchange: joined(data.exchange) } };
    case "srv":
      return {
        ...base,
        data: { priority: data.priority, weight: data.weight, port: data.port, target: joined(data.target) },
      };
    case "txt":
      return { ...base, data: data.strings.map((text) => Buffer.from(text)) };
    case "soa":
      return {
        ...base,
        data: {
          mname: joined(data.primary),
          rname: joined(data.mailbox),
          serial: data.serial,
          refresh: data.refresh,
          retry: data.retry,
          expire: data.expire,
          minimum: data.minimum,
        },
      };
    case "svcb":
    case "opaque":
      return null;
    default:
      return data satisfies never;
  }
}

const kinds = new Set(["address", "name", "mx", "srv", "txt", "soa"]);
/** It decodes labels as UTF-8 and splits them at literal dots: only names of plain ASCII labels can be compared. */
const plainName = (name: WireName) => labelsOf(name).every((label) => /^[\w-]+$/.test(label));

function plainRecord(record: ResourceRecord): boolean {
  const { data } = record;
  if (!kinds.has(data.kind) || !plainName(record.name)) return false;
  if (data.kind === "soa") return plainName(data.primary) && plainName(data.mailbox);
  if (data.kind === "mx") return plainName(data.exchange);
  return !("target" in data) || plainName(data.target);
}

const comparable = arbitraryMessage
  .map((message): Message => ({
    ...message,
    edns: null,
    questions: message.questions.map((question) => ({ ...question, type: 1 })),
    answers: message.answers.filter(plainRecord),
    authorities: message.authorities.filter(plainRecord),
    additionals: message.additionals.filter(plainRecord),
  }))
  .filter((message) => message.questions.every(({ name }) => plainName(name)));

test("dns-packet reads what we write", () => {
  fc.assert(
    fc.property(comparable, (message) => {
      const theirs = dnsPacket.decode(Buffer.from(encode(message)));
      assert.equal(theirs.id, message.header.id);
      assert.deepEqual(
        theirs.questions.map(({ name }) => name),
        message.questions.map(({ name }) => joined(name)),
      );
      for (const section of ["answers", "authorities", "additionals"] as const) {
        assert.equal(theirs[section].length, message[section].length);
        message[section].forEach((record, i) => {
          const expected = asTheirs(record);
          const { name, type, ttl, data } = theirs[section][i]!;
          if (expected !== null) assert.deepEqual({ name, type, ttl, data }, expected);
        });
      }
    }),
  );
});

test("we read what dns-packet writes", () => {
  fc.assert(
    fc.property(comparable, (message) => {
      const section = (records: ResourceRecord[]) => records.map(asTheirs).filter((record) => record !== null);
      const bytes = dnsPacket.encode({
        type: "response",
        id: message.header.id,
        questions: message.questions.map(({ name }) => ({ name: joined(name), type: "A" })),
        answers: section(message.answers),
        authorities: section(message.authorities),
        additionals: section(message.additionals),
      });
      const read = decode(bytes);
      assert.ok(!isDefect(read), isDefect(read) ? read.defect : "");
      for (const name of ["answers", "authorities", "additionals"] as const) {
        assert.deepEqual(section(read[name]), section(message[name]));
      }
    }),
  );
});

/** Every DNS message of the captures: UDP payloads, and what the lengths cut out of TCP payloads. */
function capturedMessages(): { from: string; bytes: Uint8Array }[] {
  const out: { from: string; bytes: Uint8Array }[] = [];
  const packet = new Packet();
  for (const { name, path } of captures("dns")) {
    const streams = new Map<string, number[]>();
    for (const { frame, bytes } of ipPackets(path)) {
      parsePacket(bytes, 0, bytes.length, packet);
      const { sourcePort, destinationPort, payloadOffset: at, payloadLength: length } = packet;
      if (packet.defect !== null || length === 0 || (sourcePort !== 53 && destinationPort !== 53)) continue;
      const payload = bytes.subarray(at, at + length);
      if (packet.transport === "udp") out.push({ from: `${name} frame ${frame}`, bytes: payload });
      if (packet.transport !== "tcp") continue;
      const key = `${packet.source} ${sourcePort} ${packet.destination} ${destinationPort}`;
      streams.set(key, [...(streams.get(key) ?? []), ...payload]);
    }
    for (const stream of streams.values()) {
      for (let at = 0; at + 2 <= stream.length;) {
        const end = at + 2 + ((stream[at]! << 8) | stream[at + 1]!);
        out.push({ from: `${name} over TCP`, bytes: Uint8Array.from(stream.slice(at + 2, end)) });
        at = end;
      }
    }
  }
  return out.filter(({ bytes }) => bytes.length > 0);
}

/** An IPv4 packet with this UDP payload, port 53 on both ends. */
function datagram(payload: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(28 + payload.length);
  bytes[0] = 0x45;
  bytes.writeUInt16BE(bytes.length, 2);
  bytes[8] = 64;
  bytes[9] = 17;
  bytes.set([192, 0, 2, 1, 192, 0, 2, 2], 12);
  bytes.writeUInt16BE(5353 + 1000, 20);
  bytes.writeUInt16BE(53, 22);
  bytes.writeUInt16BE(8 + payload.length, 24);
  bytes.set(payload, 28);
  return bytes;
}

const fields = [
  "frame.number",
  "dns.id",
  "dns.qry.name",
  "dns.resp.name",
  "dns.resp.type",
  "dns.resp.ttl",
  "dns.a",
  "dns.aaaa",
  "dns.cname",
  "_ws.malformed",
];

/** What tshark reads in each message, by position. */
async function secondOpinion(messages: readonly Uint8Array[]): Promise<(Row | undefined)[]> {
  const folder = mkdtempSync(join(tmpdir(), "dns-captures-"));
  try {
    const path = join(folder, "messages.pcap");
    writePcap(path, messages.map(datagram));
    const rows = new Map((await tshark(path, fields, "dns")).map((row) => [Number(row["frame.number"]![0]), row]));
    return messages.map((_, i) => rows.get(i + 1));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const shown = (name: WireName) => (name === "\0" ? "<Root>" : formatName(name));

/** What we read, in tshark's words. OPT counts as a record there. */
function ours(message: Message) {
  const records = [...message.answers, ...message.authorities, ...message.additionals];
  const typed = (type: number) => records.filter((record) => record.type === type && record.data.kind === "address");
  return {
    id: `0x${message.header.id.toString(16).padStart(4, "0")}`,
    questions: message.questions.map(({ name }) => shown(name)),
    owners: records.flatMap(({ name, type }) => (type === 33 ? [] : [shown(name)])),
    types: records.map(({ type }) => String(type)),
    a: typed(1).map(({ data }) => (data.kind === "address" ? formatAddress(data.address) : "")),
    aaaa: typed(28).map(({ data }) => (data.kind === "address" ? formatAddress(data.address) : "")),
    cname: records.flatMap(({ type, data }) => (type === 5 && data.kind === "name" ? [shown(data.target)] : [])),
  };
}

function theirs(row: Row) {
  const types = row["dns.resp.type"]!;
  // It shows the owners of SRV records in fields of their own.
  const owners = types.filter((type) => type !== "33");
  return {
    id: row["dns.id"]![0],
    questions: row["dns.qry.name"],
    owners: row["dns.resp.name"]!.filter((_, i) => owners[i] !== "41"),
    types: types.filter((type) => type !== "41"),
    a: row["dns.a"],
    aaaa: row["dns.aaaa"],
    cname: row["dns.cname"],
  };
}

function hasOpaqueData({ answers, authorities, additionals }: Message): boolean {
  return [...answers, ...authorities, ...additionals].some(({ data }) => data.kind === "opaque");
}

/** Some address or alias is of another class than IN. */
function hasForeignData({ answers, authorities, additionals }: Message): boolean {
  const records = [...answers, ...authorities, ...additionals];
  return records.some((record) => record.class !== 1 && [1, 5, 28].includes(record.type));
}

/** Messages of the captures that are refused here, and why that is right. */
const refused = new Map([
  ["dns-dns-corrupt-additionals frame 2", "truncated"], // Malformed for tshark too.
  ["dns-dns-forward-pointer frame 1", "question_count"], // Two questions in a query (RFC 9619); tshark reads both.
  ["dns-udp-junkrequest-first frame 1", "question_count"], // Text, not DNS.
]);

test("the captures read as tshark reads them, but for the messages listed", async () => {
  const messages = capturedMessages();
  assert.ok(messages.length > 250, `${messages.length} messages`);
  const opinions = await secondOpinion(messages.map(({ bytes }) => bytes));
  const seen = new Map<string, string>();
  messages.forEach(({ from, bytes }, i) => {
    const message = decode(bytes);
    const row = opinions[i];
    if (isDefect(message)) return void seen.set(from, message.defect);
    assert.ok(row !== undefined && row["_ws.malformed"]!.length === 0, `${from}: tshark calls it malformed`);
    assert.deepEqual(theirs(row), ours(message), from);
  });
  assert.deepEqual(seen, refused);
});

test("damaged messages that are accepted here read the same in tshark", async () => {
  const seeds = capturedMessages().map(({ bytes }) => bytes);
  const accepted = fc.sample(mutated(seeds), 4000).filter((bytes) => bytes.length > 0 && !isDefect(decode(bytes)));
  assert.ok(accepted.length > 400, `${accepted.length} accepted`);
  const opinions = await secondOpinion(accepted);
  accepted.forEach((bytes, i) => {
    const message = decode(bytes);
    const row = opinions[i];
    assert.ok(!isDefect(message));
    const hex = Buffer.from(bytes).toString("hex");
    assert.ok(row !== undefined, hex);
    if (row["_ws.malformed"]!.length > 0) {
      // It has formats for types whose data is bytes to us, such as WINS (65281).
      assert.ok(hasOpaqueData(message), `tshark calls it malformed: ${hex}`);
      return;
    }
    const [read, reread] = [ours(message), theirs(row)];
    // Its text for labels with unusual bytes is escaped twice or cut; and it reads the target of an alias in every class, of which we take
    // data for bytes unless it is IN. The structure around them is compared all the same.
    const isCut = JSON.stringify(read).includes("\\\\");
    if (isCut || hasForeignData(message)) assert.deepEqual([reread.id, reread.types], [read.id, read.types], hex);
    else assert.deepEqual(reread, read, hex);
  });
});
