/**
 * N9: a QUIC ClientHello split over frames, packets and datagrams, coalesced, reordered, after a Retry. The name comes out
 * whole, or the flow is refused; nothing a server would discard is ever believed.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildHello, bytes, filler, serverNames } from "../../../test/wire/hello.ts";
import { cryptoFrame, datagram, firstId, padded, sealInitial, varint } from "../../../test/wire/initial.ts";
import { QuicInitial, quicLimits, type QuicResult } from "./initial.ts";

const hello = buildHello({ extensions: [serverNames("pypi.org"), filler(57, 30), filler(51, 1300)] });
const whole = cryptoFrame(0, hello);

/** Adds the datagrams in order; the last answer. */
function read(...datagrams: Uint8Array[]): QuicResult {
  const quic = new QuicInitial();
  let result: QuicResult = { state: "need_more" };
  for (const each of datagrams) result = quic.add(each);
  return result;
}

function assertName(result: QuicResult): void {
  assert.ok(result.state === "hello", JSON.stringify(result));
  assert.deepEqual(result.hello.sni, { kind: "name", raw: "pypi.org" });
}

const refusal = (result: QuicResult) => (result.state === "malformed" ? result.defect : result.state);

/** The hello in CRYPTO frames of the given sizes, the rest in the last. */
function frames(...sizes: number[]): Uint8Array[] {
  const out: Uint8Array[] = [];
  let at = 0;
  for (const size of [...sizes, hello.length]) {
    out.push(cryptoFrame(at, hello.subarray(at, at + size)));
    at += size;
  }
  return out;
}

describe("N9: the hello is put together", () => {
  test("from one packet, of version 1 and of version 2", () => {
    assertName(read(datagram(sealInitial(whole))));
    assertName(read(datagram(sealInitial(whole, { version: 2 }))));
  });

  test("from frames in any order with PING and PADDING between them, as Chrome sends them", () => {
    const [a, b, c] = frames(3, 200);
    assertName(read(datagram(sealInitial(bytes(c!, 0, 0, 1, a!, 1, b!, 0)))));
  });

  test("from two datagrams in either order, with nothing to say in between", () => {
    const [a, b] = frames(700);
    const first = datagram(sealInitial(padded(a!, 1162)));
    const second = datagram(sealInitial(padded(b!, 1162), { number: 1 }));
    for (const [one, other] of [
      [first, second],
      [second, first],
    ]) {
      const quic = new QuicInitial();
      assert.equal(quic.add(one!).state, "need_more");
      assertName(quic.add(other!));
    }
  });

  test("from packets coalesced in one datagram, around a 0-RTT packet", () => {
    const [a, b] = frames(700);
    const zeroRtt = bytes(0xd0, 0, 0, 0, 1, firstId.length, firstId, 0, 0x40, 30, new Uint8Array(30));
    assertName(read(datagram(sealInitial(a!), zeroRtt, sealInitial(b!, { number: 1 }))));
  });

  test("with a token, acknowledgements, and after the client changed to the server's connection id", () => {
    const [a, b] = frames(700);
    const ack = bytes(2, varint(7), varint(0), varint(1), varint(2), varint(0), varint(1));
    const token = new Uint8Array(80).fill(9);
    assertName(
      read(
        datagram(sealInitial(padded(bytes(ack, a!), 1100), { token })),
        datagram(sealInitial(padded(b!, 1162), { number: 1, dcid: Uint8Array.of(1, 2), keysOf: firstId })),
      ),
    );
  });

  test("after a Retry: new connection id, new keys, the same hello", () => {
    const [a, b] = frames(700);
    const dcid = Uint8Array.of(7, 7, 7, 7);
    const before = datagram(sealInitial(padded(a!, 1162)));
    const after = [
      datagram(sealInitial(padded(a!, 1162), { dcid, number: 1 })),
      datagram(sealInitial(padded(b!, 1162), { dcid, number: 2 })),
    ];
    assertName(read(before, ...after));
    // Half of it before and half after is no hello: a server starts anew.
    assert.equal(read(before, after[1]!).state, "need_more");
    const forged = cryptoFrame(0, bytes(hello.subarray(0, 50), 0xee, hello.subarray(51, 700)));
    assert.equal(read(datagram(sealInitial(padded(forged, 1162))), ...after).state, "overlap");
  });
});

describe("N9: what a server would not accept is refused", () => {
  test("the same stream bytes twice with different content, in one packet or in two", () => {
    const forged = cryptoFrame(0, bytes(hello.subarray(0, 40), 0xee));
    const part = cryptoFrame(0, hello.subarray(0, 600));
    assert.equal(read(datagram(sealInitial(bytes(part, forged)))).state, "overlap");
    assert.equal(read(datagram(sealInitial(part)), datagram(sealInitial(forged, { number: 1 }))).state, "overlap");
  });

  test("frames a client may not send here, an unknown frame, a longer spelling of a known one", () => {
    for (const type of [0x04, 0x05, 0x07, 0x08, 0x10, 0x18, 0x1d, 0x1e, 0x21, 0x40]) {
      assert.equal(refusal(read(datagram(sealInitial(bytes(type, whole))))), "frame_type");
    }
  });

  test("frames cut off, no frames at all, reserved bits", () => {
    assert.equal(refusal(read(datagram(sealInitial(whole.subarray(0, 100))))), "frame_truncated");
    assert.equal(refusal(read(datagram(sealInitial(bytes(1, 2, varint(3), varint(0), varint(9)))))), "frame_truncated");
    assert.equal(refusal(read(datagram(sealInitial(bytes(0, 0, 0, 0, 0x1c, 0))))), "frame_truncated");
    assert.equal(refusal(read(datagram(sealInitial(bytes())))), "no_frames");
    assert.equal(refusal(read(datagram(sealInitial(whole, { reserved: 1 })))), "reserved_bits");
  });

  test("Initials in datagrams under 1200 bytes, which servers discard (RFC 9000 section 14.1)", () => {
    const small = buildHello({ extensions: [serverNames("pypi.org")] });
    assert.equal(refusal(read(sealInitial(cryptoFrame(0, small)))), "small_datagram");
  });

  test("packets of two connections in one datagram", () => {
    const other = sealInitial(whole, { dcid: new Uint8Array(8) });
    assert.equal(refusal(read(datagram(sealInitial(bytes(1, 0, 0, 0)), other))), "mixed_connections");
  });

  test("a packet that its keys do not open, a short first connection id, a Retry from the client", () => {
    const sealed = sealInitial(whole);
    sealed[sealed.length - 1]! ^= 1;
    assert.equal(refusal(read(datagram(sealed))), "undecryptable");
    assert.equal(refusal(read(datagram(sealInitial(whole, { dcid: Uint8Array.of(1, 2, 3) })))), "short_connection_id");
    const retry = bytes(0xf0, 0, 0, 0, 1, 8, firstId, 0, new Uint8Array(32));
    assert.equal(refusal(read(datagram(retry))), "retry_from_client");
  });

  test("another handshake message, and bytes after the hello", () => {
    assert.equal(refusal(read(datagram(sealInitial(cryptoFrame(0, bytes(2, 0, 0, 1, 0)))))), "not_client_hello");
    assert.equal(refusal(read(datagram(sealInitial(cryptoFrame(0, bytes(hello, 0)))))), "bytes_after_hello");
  });
});

describe("N9: what is not QUIC", () => {
  test("short headers, other versions, version negotiation, DNS, DTLS, nothing", () => {
    const unknown = (version: number[]) => bytes(0xc0, version, 8, firstId, 0, new Uint8Array(1200));
    for (const first of [
      new Uint8Array(0),
      bytes(0x40, new Uint8Array(40)),
      unknown([0, 0, 0, 0]),
      unknown([0xff, 0, 0, 29]),
      unknown([0x51, 0x30, 0x35, 0x30]),
      bytes(0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0),
      bytes(22, 0xfe, 0xfd, new Uint8Array(50)),
    ]) {
      assert.equal(read(first).state, "not_quic");
    }
  });

  test("0-RTT or Handshake packets where no Initial came before", () => {
    const handshake = bytes(0xe0, 0, 0, 0, 1, 8, firstId, 0, 0x40, 30, new Uint8Array(30));
    assert.equal(read(datagram(handshake)).state, "not_quic");
  });
});

describe("bounds", () => {
  test("datagrams", () => {
    const quic = new QuicInitial();
    const ping = datagram(sealInitial(bytes(1, 0, 0, 0)));
    for (let i = 0; i < quicLimits.datagrams; i++) assert.equal(quic.add(ping).state, "need_more");
    assert.equal(quic.add(datagram(sealInitial(whole))).state, "too_large");
  });

  test("packets in a datagram, each of which costs a decryption", () => {
    const pings = Array.from({ length: quicLimits.packetsPerDatagram + 1 }, () => sealInitial(bytes(1, 0, 0, 0)));
    assert.equal(read(datagram(...pings.slice(1))).state, "need_more");
    assert.equal(read(datagram(...pings)).state, "too_large");
  });

  test("offsets, ranges and the hello's own length", () => {
    assert.equal(read(datagram(sealInitial(cryptoFrame(quicLimits.bytes, bytes(1))))).state, "too_large");
    const huge = bytes(6, 0xff, new Uint8Array(7).fill(0xff), 1, 1);
    assert.equal(read(datagram(sealInitial(huge))).state, "too_large");
    const islands = Array.from({ length: quicLimits.ranges + 1 }, (_, i) => cryptoFrame(2 * i + 1, bytes(0)));
    assert.equal(read(datagram(sealInitial(bytes(...islands)))).state, "too_large");
    assert.equal(read(datagram(sealInitial(cryptoFrame(0, bytes(1, 1, 0, 0))))).state, "too_large");
  });

  test("an answer is final", () => {
    const quic = new QuicInitial();
    assert.equal(quic.add(bytes(0x40)).state, "not_quic");
    assert.equal(quic.add(datagram(sealInitial(whole))).state, "not_quic");
  });
});
