/** The reassembly buffer against a map from offset to byte, which is what it means. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzzing } from "../../test/support/fuzz.ts";
import { Reassembly } from "./reassembly.ts";

/** Slow and obvious: every byte in a map; ranges counted by looking. */
class Naive {
  bytes = new Map<number, number>();

  write(offset: number, data: Uint8Array, limit: number, maxRanges: number): string {
    if (data.length === 0) return "ok";
    if (offset + data.length > limit) return "too_large";
    for (const [i, byte] of data.entries()) {
      const there = this.bytes.get(offset + i);
      if (there !== undefined && there !== byte) return "overlap";
    }
    const next = new Map(this.bytes);
    for (const [i, byte] of data.entries()) next.set(offset + i, byte);
    const ranges = [...next.keys()].filter((at) => !next.has(at - 1)).length;
    if (ranges > maxRanges) return "too_large";
    this.bytes = next;
    return "ok";
  }

  contiguous(): number[] {
    const out: number[] = [];
    for (let at = 0; this.bytes.has(at); at++) out.push(this.bytes.get(at)!);
    return out;
  }
}

// Few byte values and a small space, so that overlaps, repeats and neighbours are common.
const write = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.uint8Array({ maxLength: 12, max: 1 }));

test("any order of writes has the outcome, the prefix and the bounds of the naive model", () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 30 }), fc.integer({ min: 1, max: 4 }), (writes, ranges) => {
      const real = new Reassembly(48, ranges);
      const naive = new Naive();
      for (const [offset, data] of writes) {
        assert.equal(real.write(offset, data), naive.write(offset, data, 48, ranges));
        assert.deepEqual([...real.contiguous()], naive.contiguous());
        assert.ok(real.capacity <= 48);
        const probe = Uint8Array.from({ length: 20 }, (_, i) => naive.bytes.get(i) ?? 7);
        assert.ok(real.agreesWith(probe));
        const some = [...naive.bytes.keys()].find((at) => at < 20);
        if (some === undefined) continue;
        probe[some]! ^= 1;
        assert.ok(!real.agreesWith(probe));
      }
    }),
    fuzzing,
  );
});

test("memory grows with what is held, not with what is possible", () => {
  const stream = new Reassembly(65536, 64);
  assert.equal(stream.capacity, 0);
  stream.write(0, new Uint8Array(100));
  assert.ok(stream.capacity <= 2048);
  stream.write(65535, Uint8Array.of(1));
  assert.equal(stream.capacity, 65536);
});
