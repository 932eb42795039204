/** The generator's packets are what a kernel takes: both checksums right for any ends and numbers, and read back as they were meant. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ACK, addressNumber, PSH, Segment, SYN, Template } from "../../bench/load/segments.ts";

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const port = fc.integer({ min: 0, max: 0xffff });

/** RFC 1071 over some bytes, begun with a sum: 0xffff where a checksum among them is right. */
function ones(bytes: Buffer, begin: number): number {
  let sum = begin;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

test("checksums are right and a segment reads as it was written", () => {
  fc.assert(
    fc.property(word, word, port, port, word, word, fc.uint8Array({ maxLength: 1448 }), fc.boolean(), (...given) => {
      const [source, destination, sourcePort, destinationPort, sequence, acknowledged, payload, opens] = given;
      const template = opens ? new Template(SYN) : new Template(ACK | PSH, payload);
      const into = Buffer.alloc(1600, 0xaa);
      const ends = { source, destination, sourcePort, destinationPort };
      const length = template.write(into, 7, ends, sequence, acknowledged);
      const packet = into.subarray(7, 7 + length);
      assert.equal(ones(packet.subarray(0, 20), 0), 0xffff);
      const pseudo = ones(packet.subarray(12, 20), 6 + length - 20);
      assert.equal(ones(packet.subarray(20), pseudo), 0xffff);
      const segment = new Segment();
      assert.ok(segment.read(into, 7));
      const { payload: at, flags, ...read } = segment;
      assert.deepEqual(read, { ...ends, sequence, acknowledged, length: opens ? 0 : payload.length });
      assert.equal(flags, opens ? SYN : ACK | PSH);
      if (!opens) assert.deepEqual(Buffer.from(into.subarray(at, at + payload.length)), Buffer.from(payload));
    }),
  );
});

test("an address is its number", () => {
  assert.equal(addressNumber("203.0.113.100"), 0xcb007164);
});
