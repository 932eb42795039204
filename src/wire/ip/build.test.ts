/** The packets we send ourselves are the ones we mean, and a reset is the one its receiver must believe (RFC 9293). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Address } from "../../address/ip.ts";
import { parseAddress } from "../../address/ip.ts";
import { buildReset, buildResetFor, buildTcp } from "./build.ts";
import { transportChecksumValid } from "./checksum.ts";
import { ACK, FIN, Packet, parsePacket, RST, SYN } from "./packet.ts";

function parse(packet: Uint8Array): Packet {
  const out = new Packet();
  parsePacket(packet, 0, packet.length, out);
  assert.equal(out.defect, null);
  return out;
}

const address = (size: 4 | 16) =>
  fc.uint8Array({ minLength: size, maxLength: size }).map((b) => String.fromCharCode(...b) as Address);
const port = fc.integer({ min: 0, max: 65535 });
const word = fc.integer({ min: 0, max: 0xffffffff });
const segment = fc.constantFrom(4 as const, 16 as const).chain((size) =>
  fc.record({
    source: address(size),
    destination: address(size),
    sourcePort: port,
    destinationPort: port,
    seq: word,
    ack: word,
    flags: fc.integer({ min: 0, max: 255 }),
    payload: fc.uint8Array({ maxLength: 1200 }),
  }),
);

test("what is built is what is parsed, and its checksum holds until a byte changes", () => {
  fc.assert(
    fc.property(segment, fc.nat(), (wanted, pick) => {
      const bytes = buildTcp(wanted);
      const packet = parse(bytes);
      const { payload, ...rest } = wanted;
      for (const [key, value] of Object.entries(rest)) assert.equal(packet[key as keyof Packet], value, key);
      assert.deepEqual(bytes.subarray(packet.payloadOffset), payload);
      assert.ok(transportChecksumValid(bytes, packet));
      const at = packet.transportOffset + (pick % (bytes.length - packet.transportOffset));
      bytes[at]! ^= 1;
      assert.ok(!transportChecksumValid(bytes, packet));
    }),
  );
});

describe("the reset that answers a packet", () => {
  const source = parseAddress("192.0.2.1")!;
  const destination = parseAddress("198.51.100.7")!;
  const base = { source, destination, sourcePort: 40000, destinationPort: 443, seq: 0xffffffff, ack: 77 };

  test("a segment with ACK: exactly the sequence number it acknowledged, so that RFC 5961 accepts it", () => {
    const reset = parse(buildResetFor(parse(buildTcp({ ...base, flags: ACK })))!);
    assert.deepEqual([reset.flags, reset.seq, reset.source, reset.destinationPort], [RST, 77, destination, 40000]);
  });

  test("a SYN: RST and ACK of the SYN and its data, across the wrap", () => {
    const payload = Uint8Array.of(1, 2, 3);
    const reset = parse(buildResetFor(parse(buildTcp({ ...base, flags: SYN, payload })))!);
    assert.deepEqual([reset.flags, reset.seq, reset.ack], [RST | ACK, 0, 3]);
    const fin = parse(buildResetFor(parse(buildTcp({ ...base, flags: SYN | FIN })))!);
    assert.equal(fin.ack, 1);
  });

  test("never a reset, and never a packet with a defect", () => {
    assert.equal(buildResetFor(parse(buildReset({ ...base, ack: null }))), null);
    const fragment = buildTcp({ ...base, flags: ACK });
    fragment[6] = 0x20;
    const packet = new Packet();
    parsePacket(fragment, 0, fragment.length, packet);
    assert.equal(buildResetFor(packet), null);
  });
});

test("a caller's defects are not sent", () => {
  const base = { sourcePort: 1, destinationPort: 2, seq: 0, ack: 0, flags: RST };
  const [v4, v6] = [parseAddress("192.0.2.1")!, parseAddress("2001:db8::1")!];
  assert.throws(() => buildTcp({ ...base, source: v4, destination: v6 }), RangeError);
  assert.throws(() => buildTcp({ ...base, source: v4, destination: v4, payload: new Uint8Array(1201) }), RangeError);
});
