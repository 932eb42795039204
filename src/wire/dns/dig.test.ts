/**
 * A second reader: `dig`, with BIND's parser, reads from a socket what our encoder writes, and our decoder reads what dig sends.
 * Where they disagree, {@link disagreements} says why.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import fc from "fast-check";
import { arbitraryMessage } from "../../../test/dns/arbitrary.ts";
import { addressToBytes, parseAddress } from "../../address/ip.ts";
import { encode } from "./encode.ts";
import { decode } from "./message.ts";
import { formatName, fromHostName, fromLabels, root, type WireName } from "./name.ts";
import { isDefect, type Message, type RecordData, type ResourceRecord, SvcKey, Type } from "./types.ts";

const run = promisify(execFile);

/** Answers a query with the bytes that stand ready for its name; keeps what was asked. */
class Server {
  readonly #udp = dgram.createSocket("udp4");
  readonly #tcp = net.createServer((socket) => {
    socket.on("error", () => {});
    let framed = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      framed = Buffer.concat([framed, Buffer.from(chunk)]);
      if (framed.length < 2 || framed.length < 2 + framed.readUInt16BE(0)) return;
      const bytes = this.#answer(framed.subarray(2));
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      socket.end(Buffer.concat([length, bytes]));
    });
  });
  readonly #ready = new Map<string, Message>();
  readonly asked = new Map<string, Message>();
  port = 0;

  async open(): Promise<void> {
    this.#udp.on("message", (bytes, { port, address }) => this.#udp.send(this.#answer(bytes), port, address));
    // A port that is free for UDP may be taken for TCP.
    for (;;) {
      await once(this.#tcp.listen(0, "127.0.0.1"), "listening");
      this.port = (this.#tcp.address() as net.AddressInfo).port;
      try {
        await new Promise<void>((resolve, reject) => {
          this.#udp.once("error", reject).bind(this.port, "127.0.0.1", () => resolve());
        });
        return;
      } catch {
        await new Promise((resolve) => this.#tcp.close(resolve));
      }
    }
  }

  close(): void {
    this.#udp.close();
    this.#tcp.close();
  }

  answerWith(message: Message): void {
    this.#ready.set(message.questions[0]!.name, message);
  }

  #answer(bytes: Uint8Array): Uint8Array {
    const query = decode(bytes);
    assert.ok(!isDefect(query), `our decoder refuses dig's query: ${JSON.stringify(query)}`);
    const { name } = query.questions[0]!;
    this.asked.set(name, query);
    const message = this.#ready.get(name)!;
    const { id, opcode } = query.header;
    return encode({ ...message, header: { ...message.header, id, opcode }, questions: query.questions });
  }
}

const server = new Server();
before(() => server.open());
after(() => server.close());

async function dig(...args: readonly string[]): Promise<string> {
  const common = ["-r", "@127.0.0.1", "-p", `${server.port}`, "+tries=1", "+time=5", "+noidnout", "+nocmd", "+nostats"];
  const { stdout } = await run("dig", [...common, ...args], { encoding: "latin1", maxBuffer: 1 << 24 });
  return stdout;
}

/** Data without compression. A wire name is its own wire form, a character a byte. */
function plain(data: RecordData): Buffer {
  const u16 = (...values: number[]) => Buffer.from(values.flatMap((value) => [value >> 8, value & 255]));
  const u32 = (...values: number[]) => u16(...values.flatMap((value) => [value >>> 16, value & 0xffff]));
  const name = (wire: WireName) => Buffer.from(wire, "latin1");
  switch (data.kind) {
    case "address":
      return Buffer.from(data.address, "latin1");
    case "name":
      return name(data.target);
    case "soa": {
      const { serial, refresh, retry, expire, minimum } = data;
      return Buffer.concat([name(data.primary), name(data.mailbox), u32(serial, refresh, retry, expire, minimum)]);
    }
    case "mx":
      return Buffer.concat([u16(data.preference), name(data.exchange)]);
    case "txt":
      return Buffer.concat(data.strings.flatMap((text) => [Buffer.of(text.length), text]));
    case "srv":
      return Buffer.concat([u16(data.priority, data.weight, data.port), name(data.target)]);
    case "svcb": {
      const params = data.params.flatMap(({ key, value }) => [u16(key, value.length), value]);
      return Buffer.concat([u16(data.priority), name(data.target), ...params]);
    }
    case "opaque":
      return Buffer.from(data.bytes);
  }
}

/** Master-file text as labels (RFC 1035 section 5.1): `\.` is a dot in a label, `\007` a byte. */
function nameOf(text: string): WireName {
  if (text === ".") return root;
  const labels = [""];
  for (const [, code, escaped, other] of text.replace(/\.$/, "").matchAll(/\\(\d{3})|\\(.)|(.)/gs)) {
    if (other === ".") labels.push("");
    else labels[labels.length - 1] += code === undefined ? (escaped ?? other!) : String.fromCharCode(Number(code));
  }
  return fromLabels(labels)!;
}

const asLine = ({ name, ttl, type, data }: ResourceRecord): string =>
  [Buffer.from(name, "latin1").toString("hex"), ttl, type, plain(data).toString("hex")].join(" ");

/** A section of dig's words, written by us as dig would: the facts of the header, and the records in their order. */
interface Reading {
  rcode: number;
  flags: string;
  edns: string | null;
  records: Record<string, string[]>;
}

const statuses = "NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE".split(" ");

/** What dig shows with `+unknownformat`: every record with its type's number and its data in hex. A text: why it shows none. */
function readingOf(text: string): Reading | string {
  const refusal = /^;; (?:Got bad packet: .*|Warning: Message parser reports malformed message packet\.)$/m.exec(text);
  if (refusal !== null) return refusal[0];
  const records: Record<string, string[]> = { ANSWER: [], AUTHORITY: [], ADDITIONAL: [] };
  let section = "";
  for (const line of text.split("\n")) {
    const title = /^;; (\w+) (?:PSEUDO)?SECTION:/.exec(line);
    if (title !== null) section = title[1]!;
    const record = /^(\S+)\s+(\d+)\s+CLASS1\s+TYPE(\d+)\s+\\# (\d+)\s*([0-9A-F ]*)$/.exec(line);
    if (record === null) continue;
    const [, name, ttl, type, , hex] = record;
    const wire = Buffer.from(nameOf(name!), "latin1").toString("hex");
    records[section]!.push([wire, ttl, type, hex!.replaceAll(" ", "").toLowerCase()].join(" "));
  }
  const status = /status: (?:RESERVED(\d+)|(\w+))/.exec(text)!;
  const edns = /^; EDNS: version: (\d+), flags:( do)?; udp: (\d+)$/m.exec(text);
  return {
    rcode: status[1] === undefined ? statuses.indexOf(status[2]!) : Number(status[1]),
    flags: /^;; flags: ([^;]*);/m.exec(text)![1]!,
    edns: edns === null ? null : `${edns[1]}${edns[2] ?? ""} ${edns[3]}`,
    records,
  };
}

const sectionsOf = (message: Message) => [message.answers, message.authorities, message.additionals] as const;

function written({ header, edns, ...message }: Message): Reading {
  const flags = [
    ["qr", header.response],
    ["aa", header.authoritative],
    ["tc", header.truncated],
    ["rd", header.recursionDesired],
    ["ra", header.recursionAvailable],
    ["ad", header.authenticData],
    ["cd", header.checkingDisabled],
  ] as const;
  const [answers, authorities, additionals] = sectionsOf({ header, edns, ...message }).map((list) => list.map(asLine));
  return {
    rcode: header.rcode,
    flags: flags.flatMap(([flag, isSet]) => (isSet ? [flag] : [])).join(" "),
    edns: edns === null ? null : `${edns.version}${edns.dnssecOk ? " do" : ""} ${edns.udpSize}`,
    records: { ANSWER: answers!, AUTHORITY: authorities!, ADDITIONAL: additionals! },
  };
}

/** Where dig reads another thing than was written, and why that is right. */
const disagreements: readonly { why: string; dig: RegExp; of: (message: Message) => boolean }[] = [
  {
    why: "CAA is carried as it came: nothing is judged by it. BIND checks the tag (RFC 8659 section 4.1)",
    dig: /Got bad packet: FORMERR|malformed message packet/,
    of: (message) => sectionsOf(message).some((list) => list.some(({ type }) => type === Type.CAA)),
  },
  {
    why: "SSHFP is carried as it came. BIND wants an algorithm and a type of fingerprint (RFC 4255 section 3.1)",
    dig: /Got bad packet: (?:FORMERR|unexpected end of input)|malformed message packet/,
    of: (message) =>
      sectionsOf(message).some((list) => list.some(({ type, data }) => type === Type.SSHFP && plain(data).length < 4)),
  },
  {
    why: "EDNS options are carried as they came. BIND checks the lengths of those that it knows (all up to 17)",
    dig: /malformed OPT option/,
    of: ({ edns }) => edns !== null && edns.options.some(({ code }) => code <= 17),
  },
];

describe("dig reads what our encoder writes", () => {
  const seed = 20_260_101;
  const messages = fc.sample(arbitraryMessage, { seed, numRuns: 64 }).map((message, i): Message => {
    const question = { name: fromHostName(`m${i}.example`)!, type: Type.A as number, class: 1 };
    return { ...message, questions: [question] };
  });
  const batches = Array.from({ length: 4 }, (_, i) => messages.slice(16 * i, 16 * i + 16));

  test(`${messages.length} random messages, over UDP and TCP: header, EDNS, and each record in its place`, async () => {
    for (const message of messages) server.answerWith(message);
    const found = new Map<string, number>();
    const compare = async (batch: readonly Message[], i: number) => {
      const asked = batch.flatMap(({ questions: [question] }) => [formatName(question!.name), "A"]);
      const text = await dig("+unknownformat", "+norecurse", i % 2 === 0 ? "+notcp" : "+tcp", ...asked);
      const shown = text
        .split(
          /^(?=;; Got bad packet)|^(?=;; Warning: Message parser)|(?<!malformed message packet\.\n)^(?=;; Got answer)/m,
        )
        .filter((each) => /^;; (?:Got|Warning)/.test(each));
      assert.equal(shown.length, batch.length, text);
      for (const [at, message] of batch.entries()) {
        const reading = readingOf(shown[at]!);
        if (typeof reading !== "string") assert.deepEqual(reading, written(message));
        else {
          const known = disagreements.find(({ dig: says, of }) => says.test(reading) && of(message));
          assert.ok(known !== undefined, `${reading}: ${JSON.stringify(message)}`);
          found.set(known.why, (found.get(known.why) ?? 0) + 1);
        }
      }
    };
    await Promise.all(
      [0, 1].map(async (lane) => {
        for (const [i, batch] of batches.entries()) if (i % 2 === lane) await compare(batch, i >> 1);
      }),
    );
    assert.deepEqual(
      disagreements.filter(({ why }) => !found.has(why)).map(({ why }) => why),
      [],
      "never seen",
    );
    assert.ok([...found.values()].reduce((sum, each) => sum + each, 0) < messages.length / 3);
  });

  test("every type that the firewall reads, in words", async () => {
    const name = fromHostName("types.example")!;
    const target = fromHostName("Mail.a.example")!;
    const address = (text: string): RecordData => ({ kind: "address", address: parseAddress(text)! });
    const hints = Buffer.from(addressToBytes(parseAddress("2001:db8::53")!));
    const params = [
      { key: SvcKey.alpn, value: Buffer.from("\x02h3\x02h2") },
      { key: SvcKey.port, value: Buffer.of(0x20, 0xfb) },
      { key: SvcKey.ipv4hint, value: Buffer.of(192, 0, 2, 53) },
      { key: SvcKey.ech, value: Buffer.from("ech") },
      { key: SvcKey.ipv6hint, value: hints },
    ];
    const shown = 'alpn="h3,h2" port=8443 ipv4hint=192.0.2.53 ech=ZWNo ipv6hint=2001:db8::53';
    const texts = ["a b", 'q"\\', "\x00\xff"].map((text) => Buffer.from(text, "latin1"));
    const soa = { serial: 4_294_967_295, refresh: 7200, retry: 900, expire: 1_209_600, minimum: 60 };
    const rows: [number, RecordData, string][] = [
      [Type.A, address("192.0.2.1"), "A 192.0.2.1"],
      [Type.AAAA, address("2001:db8::1:0:0:2"), "AAAA 2001:db8::1:0:0:2"],
      [Type.MX, { kind: "mx", preference: 10, exchange: target }, "MX 10 Mail.a.example."],
      [Type.TXT, { kind: "txt", strings: texts }, 'TXT "a b" "q\\"\\\\" "\\000\\255"'],
      [Type.SRV, { kind: "srv", priority: 1, weight: 2, port: 443, target }, "SRV 1 2 443 Mail.a.example."],
      [Type.PTR, { kind: "name", target }, "PTR Mail.a.example."],
      [Type.NS, { kind: "name", target: name }, "NS types.example."],
      [Type.CNAME, { kind: "name", target: fromLabels(["a.b", "\0"])! }, "CNAME a\\.b.\\000."],
      [Type.DNAME, { kind: "name", target }, "DNAME Mail.a.example."],
      [Type.HTTPS, { kind: "svcb", priority: 0, target, params: [] }, "HTTPS 0 Mail.a.example."],
      [Type.HTTPS, { kind: "svcb", priority: 1, target: root, params }, `HTTPS 1 . ${shown}`],
      [
        Type.SVCB,
        { kind: "svcb", priority: 2, target, params: params.slice(0, 1) },
        'SVCB 2 Mail.a.example. alpn="h3,h2"',
      ],
      [
        Type.SOA,
        { kind: "soa", primary: name, mailbox: fromLabels(["host.master", "example"])!, ...soa },
        "SOA types.example. host\\.master.example. 4294967295 7200 900 1209600 60",
      ],
    ];
    const { header } = messages[0]!;
    const records = rows.map(([type, data]): ResourceRecord => ({ name, type, class: 1, ttl: 300, data }));
    const edns = null;
    for (const way of ["+notcp", "+tcp"]) {
      server.answerWith({
        header: { ...header, rcode: 0 },
        questions: [{ name, type: Type.ANY, class: 1 }],
        answers: records,
        authorities: [],
        additionals: [],
        edns,
      });
      const text = await dig("+noall", "+answer", "+norecurse", way, "types.example", "ANY");
      const lines = text.split("\n").filter((line) => line !== "");
      assert.deepEqual(
        lines.map((line) => line.replaceAll(/\s+/g, " ")),
        rows.map(([, , words]) => `types.example. 300 IN ${words}`),
      );
    }
  });
});

describe("our decoder reads what dig sends", () => {
  const plainHeader = {
    response: false,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
    recursionAvailable: false,
    reserved: false,
    authenticData: true,
    checkingDisabled: false,
    rcode: 0,
  };
  const plainEdns = { udpSize: 1232, version: 0, dnssecOk: false };
  const hex = (code: number, data: string) => ({ code, data });
  type Options = { code: number; data: string }[];
  interface Sent {
    header?: Partial<Message["header"]>;
    edns?: (Partial<NonNullable<Message["edns"]>> & { has?: Options }) | null;
    type?: number;
    class?: number;
  }
  const cases: [args: string[], sent: Sent][] = [
    [[], {}],
    [["+norecurse", "+noadflag"], { header: { recursionDesired: false, authenticData: false } }],
    [["+cdflag", "+aaflag"], { header: { checkingDisabled: true, authoritative: true } }],
    [["+zflag"], { header: { reserved: true } }],
    [["+raflag"], { header: { recursionAvailable: true } }],
    [["+opcode=2"], { header: { opcode: 2 } }],
    [["+noedns"], { edns: null }],
    [["+dnssec", "+bufsize=4096"], { edns: { dnssecOk: true, udpSize: 4096 } }],
    [["+edns=3", "+noednsneg"], { edns: { version: 3 } }],
    [["+cookie=0011223344556677"], { edns: { has: [hex(10, "0011223344556677")] } }],
    [["+nsid"], { edns: { has: [hex(3, "")] } }],
    [["+subnet=192.0.2.0/24"], { edns: { has: [hex(8, "00011800c00002")] } }],
    [["+subnet=2001:db8::/33"], { edns: { has: [hex(8, "0002210020010db800")] } }],
    [["+ednsopt=65001:c0ffee"], { edns: { has: [hex(65001, "c0ffee")] } }],
    [["+keepalive", "+tcp"], { edns: { has: [hex(11, "")] } }],
    [["-t", "HTTPS"], { type: Type.HTTPS }],
    [["-t", "TYPE64999", "-c", "CH"], { type: 64_999, class: 3 }],
  ];
  for (const [i, [args, sent]] of cases.entries()) {
    test(args.join(" ") || "a plain question", async () => {
      const text = `q${i}.Example`;
      const name = fromHostName(text)!;
      server.answerWith({
        header: { ...plainHeader, id: 0, response: true },
        questions: [{ name, type: 1, class: 1 }],
        answers: [],
        authorities: [],
        additionals: [],
        edns: null,
      });
      await dig("+nocookie", ...args, text);
      const { header, questions, edns, ...records } = server.asked.get(name)!;
      assert.deepEqual({ ...header, id: 0 }, { id: 0, ...plainHeader, ...sent.header });
      assert.deepEqual(questions, [{ name, type: sent.type ?? Type.A, class: sent.class ?? 1 }]);
      assert.deepEqual(records, { answers: [], authorities: [], additionals: [] });
      const { has = [], ...more } = sent.edns ?? {};
      const options = edns?.options.map(({ code, data }) => ({ code, data: Buffer.from(data).toString("hex") }));
      if (sent.edns === null) assert.equal(edns, null);
      else assert.deepEqual({ ...edns, options }, { ...plainEdns, ...more, options: has });
    });
  }
});
