/** What the witness finds in packets, and the little servers of the sink against other implementations. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseAddress } from "../../address/ip.ts";
import { parseTls } from "../../wire/tls/client-hello.ts";
import { QuicInitial } from "../../wire/quic/initial.ts";
import { newCanary } from "../canary.ts";
import { dnsQuery } from "../probe/fire.ts";
import { helloRecord, quicInitial } from "../probe/hello.ts";
import { echoRequest, flag, fragments, packet, protocol, tcp, udp } from "../probe/packet.ts";
import { throwAwayCertificate } from "./certificate.ts";
import { answerTo } from "./name-server.ts";
import { Witness } from "./witness.ts";

const token = "a-token-of-this-test";
const canary = newCanary(token, "x");
const from = { 4: parseAddress("192.0.2.1")!, 6: parseAddress("2001:db8::1")! };
const to = { 4: parseAddress("203.0.113.9")!, 6: parseAddress("2001:db8:9::9")! };

function seen(...packets: Uint8Array[]): [string, string][] {
  const witness = new Witness(token);
  for (const each of packets) witness.seePacket(each);
  return witness.sightings().map(({ channel, where }) => [channel, where]);
}

describe("the witness finds a canary in", () => {
  for (const v of [4, 6] as const) {
    const at = v === 4 ? "203.0.113.9" : "[2001:db8:9::9]";
    const bare = v === 4 ? "203.0.113.9" : "2001:db8:9::9";
    test(`a ping over IPv${v}`, () => {
      const kind = v === 4 ? protocol.icmp : protocol.icmp6;
      assert.deepEqual(seen(packet(from[v], to[v], kind, echoRequest(from[v], to[v], Buffer.from(canary)))), [
        ["packet", bare],
      ]);
    });
    test(`a stream over IPv${v} that two segments share`, () => {
      const part = (text: string) =>
        packet(from[v], to[v], protocol.tcp, tcp(from[v], to[v], [5, 80], flag.ack, Buffer.from(text)));
      assert.deepEqual(seen(part(`POST ${canary.slice(0, 7)}`), part(`${canary.slice(7)} HTTP`)), [
        ["packet", `${at}:80`],
      ]);
    });
    test(`a QUIC hello over IPv${v}, whose encryption hides nothing`, () => {
      const hello = quicInitial({ sni: "allowed.example", canary });
      const found = seen(packet(from[v], to[v], protocol.udp, udp(from[v], to[v], [5, 443], hello)));
      assert.deepEqual(found, [["quic", `${at}:443`]]);
    });
  }
  test("the second of two fragments", () => {
    const whole = packet(
      from[4],
      to[4],
      protocol.udp,
      udp(from[4], to[4], [5, 9], Buffer.from("x".repeat(32) + canary)),
    );
    assert.deepEqual(seen(...fragments(whole, 24)), [["packet", "203.0.113.9"]]);
  });
  test("nothing else, and never throws, whatever the bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => assert.deepEqual(seen(bytes), [])));
  });
});

describe("hellos made by hand", () => {
  test("are what our own parsers, which other suites hold against other implementations, read", () => {
    const read = parseTls(helloRecord({ sni: "allowed.example", canary, ech: canary }));
    assert.ok(read.state === "hello");
    assert.deepEqual([read.hello.sni, read.hello.ech], [{ kind: "name", raw: "allowed.example" }, true]);
    assert.equal(new QuicInitial().add(quicInitial({ sni: "allowed.example", canary })).state, "hello");
  });
});

describe("the sink", () => {
  test("has a certificate that a parser of certificates takes, signed by itself", () => {
    const { cert } = throwAwayCertificate("sink.invalid");
    const read = new X509Certificate(cert);
    assert.equal(read.subject, "CN=sink.invalid");
    assert.ok(read.verify(read.publicKey));
    assert.ok(Date.parse(read.validFrom) < Date.now() && Date.parse(read.validTo) > Date.now());
  });

  test("answers DNS as another codec reads it, and nothing that is no question", () => {
    const { decode } = createRequire(import.meta.url)("dns-packet") as {
      decode(this: void, bytes: Buffer): { type: string; answers: { name: string; type: string; data: unknown }[] };
    };
    const zone = (name: string, family: 4 | 6) =>
      name === "a.example" ? (family === 4 ? "203.0.113.9" : "2001:db8:9::9") : null;
    const answers = (name: string, type: number) =>
      decode(answerTo(dnsQuery(name, type), zone, "echo: 00")!).answers.map((each) => [
        each.name,
        each.type,
        String(each.data),
      ]);
    assert.deepEqual(answers("a.example", 1), [["a.example", "A", "203.0.113.9"]]);
    assert.deepEqual(answers("a.example", 28), [["a.example", "AAAA", "2001:db8:9::9"]]);
    assert.deepEqual(answers("b.example", 16), [["b.example", "TXT", "echo: 00"]]);
    assert.deepEqual(answers("b.example", 1), []);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const answer = answerTo(Buffer.from(bytes), zone, null);
        assert.ok(answer === null || (answer[2]! & 0x80) !== 0);
      }),
    );
  });
});
