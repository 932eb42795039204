/**
 * The header decoder sees what the receiving kernel will see, or says that it cannot (threats T2, T5, T6, T7): fragments,
 * source routes and hidden headers are defects, whatever stands in the rest of the packet.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { getHeapStatistics } from "node:v8";
import { bytes } from "../../../test/wire/hello.ts";
import { formatAddress, parseAddress, type Address } from "../../address/ip.ts";
import { buildTcp } from "./build.ts";
import { ACK, maxExtensionHeaders, Packet, parsePacket, PSH } from "./packet.ts";

const client4 = parseAddress("192.0.2.1")!;
const server4 = parseAddress("198.51.100.7")!;
const client6 = parseAddress("2001:db8::1")!;
const server6 = parseAddress("2001:db8:0:1::7")!;

function segment(source: Address, destination: Address, payload = bytes(1, 2, 3)) {
  const flags = ACK | PSH;
  return buildTcp({ source, destination, sourcePort: 40000, destinationPort: 443, seq: 7, ack: 9, flags, payload });
}

function parse(packet: Uint8Array, offset = 0, length = packet.length - offset): Packet {
  const out = new Packet();
  parsePacket(packet, offset, length, out);
  return out;
}

/** An IPv6 packet around `rest`, whose first header is of type `next`. */
function v6(next: number, rest: Uint8Array): Uint8Array<ArrayBuffer> {
  const packet = bytes(segment(client6, server6).subarray(0, 40), rest);
  packet[6] = next;
  packet[4] = rest.length >> 8;
  packet[5] = rest.length & 255;
  return packet;
}

const tcp6 = segment(client6, server6).subarray(40);

/** An extension header of 8 bytes. */
const extension = (next: number, ...rest: number[]) => bytes(next, 0, rest, new Uint8Array(6 - rest.length));

describe("TCP and UDP over IPv4 and IPv6", () => {
  for (const [client, server, header] of [
    [client4, server4, 20],
    [client6, server6, 40],
  ] as const) {
    test(`all fields of a segment of ${formatAddress(client)}`, () => {
      const packet = parse(segment(client, server));
      assert.equal(packet.defect, null);
      assert.equal(packet.source, client);
      assert.equal(packet.destination, server);
      assert.equal(packet.transport, "tcp");
      assert.deepEqual([packet.sourcePort, packet.destinationPort, packet.seq, packet.ack], [40000, 443, 7, 9]);
      assert.equal(packet.flags, ACK | PSH);
      assert.equal(packet.hopLimit, 64);
      assert.deepEqual([packet.transportOffset, packet.payloadOffset, packet.payloadLength], [header, header + 20, 3]);
    });
  }

  test("a packet anywhere in a buffer, with link-layer padding after it", () => {
    const packet = parse(bytes(9, 9, segment(client4, server4), 0, 0, 0), 2);
    assert.equal(packet.defect, null);
    assert.deepEqual([packet.payloadOffset, packet.payloadLength], [42, 3]);
  });

  test("IPv4 options are skipped by the header's own length", () => {
    const plain = segment(client4, server4);
    const packet = bytes(plain.subarray(0, 20), 1, 1, 1, 0, plain.subarray(20));
    packet[0] = 0x46;
    packet[3]! += 4;
    assert.equal(parse(packet).payloadOffset, 44);
    assert.equal(parse(packet).defect, null);
  });

  test("numbers over 2^31 stay unsigned", () => {
    const packet = segment(client4, server4);
    packet.fill(0xff, 24, 32);
    assert.deepEqual([parse(packet).seq, parse(packet).ack], [0xffffffff, 0xffffffff]);
  });

  test("ICMP belongs to IPv4 and ICMPv6 to IPv6; crossed over they are another protocol (T4, T5)", () => {
    const echo = bytes(128, 0, 0, 0, 1, 2);
    assert.deepEqual([parse(v6(58, echo)).transport, parse(v6(58, echo)).icmpType], ["icmp", 128]);
    assert.equal(parse(v6(1, echo)).transport, "other");
    const tunnel = segment(client4, server4);
    tunnel[9] = 47;
    assert.deepEqual([parse(tunnel).transport, parse(tunnel).protocol, parse(tunnel).defect], ["other", 47, null]);
  });
});

describe("T6: headers hidden by fragments", () => {
  test("the first, a middle and the last IPv4 fragment", () => {
    for (const field of [0x2000, 0x2010, 0x0010, 0x0001]) {
      const packet = segment(client4, server4);
      packet[6] = field >> 8;
      packet[7] = field & 255;
      assert.equal(parse(packet).defect, "fragment");
    }
  });

  test("IPv6 fragments, but not the atomic fragment, which is whole (RFC 6946)", () => {
    assert.equal(parse(v6(44, bytes(extension(6, 0, 1), tcp6))).defect, "fragment");
    assert.equal(parse(v6(44, bytes(extension(6, 0x05, 0xa8), tcp6))).defect, "fragment");
    const atomic = parse(v6(44, bytes(extension(6, 0, 0), tcp6)));
    assert.deepEqual([atomic.defect, atomic.destinationPort], [null, 443]);
  });

  test("two fragment headers", () => {
    assert.equal(parse(v6(44, bytes(extension(44, 0, 0), extension(6, 0, 0), tcp6))).defect, "bad_header");
  });
});

describe("T2: IPv6 extension headers", () => {
  test("up to eight are walked, a ninth is refused (RFC 7112)", () => {
    const chain = (count: number) =>
      v6(60, bytes(...Array.from({ length: count }, (_, i) => extension(i + 1 < count ? 60 : 6)), tcp6));
    const walked = parse(chain(maxExtensionHeaders));
    assert.deepEqual([walked.defect, walked.transport, walked.destinationPort], [null, "tcp", 443]);
    assert.equal(parse(chain(maxExtensionHeaders + 1)).defect, "too_many_extensions");
  });

  test("hop-by-hop options stand first or nowhere (RFC 8200 section 4.1)", () => {
    assert.equal(parse(v6(0, bytes(extension(6), tcp6))).defect, null);
    assert.equal(parse(v6(60, bytes(extension(0), extension(6), tcp6))).defect, "bad_header");
  });

  test("an authentication header is measured in its own units", () => {
    const packet = v6(51, bytes(6, 4, new Uint8Array(22), tcp6));
    assert.deepEqual([parse(packet).defect, parse(packet).payloadLength], [null, 3]);
  });

  test("an extension header that runs past the packet", () => {
    assert.equal(parse(v6(60, bytes(6, 200, new Uint8Array(6), tcp6))).defect, "truncated");
  });
});

describe("T1: the destination in the header is the real one", () => {
  test("IPv6 routing headers of type 0, and of any type with segments left", () => {
    assert.equal(parse(v6(43, bytes(extension(6, 0, 0), tcp6))).defect, "source_route");
    assert.equal(parse(v6(43, bytes(extension(6, 4, 1), tcp6))).defect, "source_route");
    assert.equal(parse(v6(43, bytes(extension(6, 4, 0), tcp6))).defect, null);
  });

  test("IPv4 loose and strict source routes, also behind other options", () => {
    const plain = segment(client4, server4);
    for (const kind of [131, 137]) {
      const packet = bytes(plain.subarray(0, 20), 1, kind, 7, 4, 203, 0, 113, 1, plain.subarray(20));
      packet[0] = 0x47;
      packet[3]! += 8;
      assert.equal(parse(packet).defect, "source_route");
    }
  });
});

describe("lengths that contradict each other", () => {
  const cases: [string, (packet: Uint8Array) => void, string][] = [
    ["version 5", (p) => (p[0] = 0x55), "bad_version"],
    ["IPv4 header of 16 bytes", (p) => (p[0] = 0x44), "bad_length"],
    ["total length below the header", (p) => (p[3] = 19), "bad_length"],
    ["total length over the bytes", (p) => (p[3]! += 1), "truncated"],
    ["TCP header of 16 bytes", (p) => (p[32] = 0x40), "bad_length"],
    ["TCP header past the packet", (p) => (p[32] = 0xf0), "bad_length"],
    ["options cut off", (p) => ((p[0] = 0x46), (p[20] = 7), (p[21] = 9)), "bad_header"],
  ];
  for (const [title, change, defect] of cases) {
    test(title, () => {
      const packet = segment(client4, server4);
      change(packet);
      assert.equal(parse(packet).defect, defect);
    });
  }

  test("UDP says its length, and nothing hides behind it", () => {
    const udp = (length: number) => v6(17, bytes(0, 53, 1, 187, length >> 8, length & 255, 0, 0, 1, 2, 3));
    assert.deepEqual([parse(udp(11)).defect, parse(udp(11)).payloadLength], [null, 3]);
    for (const length of [0, 7, 10, 12]) assert.equal(parse(udp(length)).defect, "bad_length");
  });

  test("every truncation of a packet is a defect", () => {
    for (const packet of [segment(client4, server4), segment(client6, server6)]) {
      for (let length = 0; length < packet.length; length++) {
        assert.notEqual(parse(packet, 0, length).defect, null, `${length} bytes`);
      }
    }
  });

  test("a range outside the buffer is no packet", () => {
    const packet = segment(client4, server4);
    assert.equal(parse(packet, 0, packet.length + 1).defect, "truncated");
    assert.equal(parse(packet, -1, 20).defect, "truncated");
  });
});

describe("the decoder's memory", () => {
  test("allocates the two addresses and nothing else", () => {
    const out = new Packet();
    const packet = segment(client4, server4);
    const run = (rounds: number) => {
      for (let i = 0; i < rounds; i++) parsePacket(packet, 0, packet.length, out);
    };
    const allocated = () => (getHeapStatistics() as unknown as { total_allocated_bytes: number }).total_allocated_bytes;
    run(50_000);
    allocated();
    const before = allocated();
    run(100_000);
    // Two strings of four characters: 48 bytes with compressed pointers, 64 without; the rest is V8's own granularity.
    const each = (allocated() - before) / 100_000;
    assert.ok(each > 0 && each <= 96, `${each} bytes a packet`);
  });
});
