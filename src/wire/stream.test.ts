/**
 * N6: a hello over many TCP segments, out of order, retransmitted with other bytes. What the stream head gives out is what
 * every receiver will see, or it refuses.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { StreamHead, streamLimits } from "./stream.ts";

const data = Uint8Array.from({ length: 300 }, (_, i) => i & 255);
const text = (stream: StreamHead) => [...stream.contiguous()];

describe("N6: segments", () => {
  test("one byte each, in any order, repeated, and across the wrap of sequence numbers", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.shuffledSubarray([...data.keys()], { minLength: data.length }),
        (initial, order) => {
          const stream = new StreamHead(initial, { ...streamLimits, ranges: 300 });
          for (const at of order) {
            const piece = data.subarray(at, at + 1 + (at % 3));
            assert.equal(stream.add((initial + 1 + at) >>> 0, piece), "ok");
          }
          assert.deepEqual(text(stream), [...data]);
          assert.equal(stream.segments, data.length);
        },
      ),
      { numRuns: 30 },
    );
  });

  test("a gap holds back what follows it", () => {
    const stream = new StreamHead(99);
    stream.add(110, data.subarray(10, 20));
    assert.deepEqual(text(stream), []);
    stream.add(100, data.subarray(0, 10));
    assert.deepEqual(text(stream), [...data.subarray(0, 20)]);
  });
});

describe("N6: retransmission with different bytes", () => {
  test("the same bytes again are fine, whole or in part", () => {
    const stream = new StreamHead(0);
    stream.add(1, data.subarray(0, 20));
    assert.equal(stream.add(1, data.subarray(0, 20)), "ok");
    assert.equal(stream.add(11, data.subarray(10, 40)), "ok");
    assert.deepEqual(text(stream), [...data.subarray(0, 40)]);
  });

  test("one differing byte is refused, and neither version is taken over the other", () => {
    for (const at of [0, 10, 19]) {
      const stream = new StreamHead(0);
      stream.add(1, data.subarray(0, 20));
      const forged = data.slice(0, 30);
      forged[at] = 0xee;
      assert.equal(stream.add(1, forged), "overlap");
      assert.deepEqual(text(stream), [...data.subarray(0, 20)]);
    }
  });

  test("also where the first version is still behind a gap", () => {
    const stream = new StreamHead(0);
    stream.add(11, data.subarray(10, 20));
    assert.equal(stream.add(6, new Uint8Array(10)), "overlap");
  });
});

describe("bounds", () => {
  test("a byte past the cap, a range too many, a segment too many", () => {
    const stream = new StreamHead(0, { bytes: 100, ranges: 2, segments: 3 });
    assert.equal(stream.add(100, data.subarray(0, 2)), "too_large");
    assert.equal(stream.add(11, data.subarray(0, 1)), "ok");
    assert.equal(stream.add(21, data.subarray(0, 1)), "ok");
    assert.equal(stream.add(31, data.subarray(0, 1)), "too_large");
    assert.equal(stream.add(12, data.subarray(0, 1)), "ok");
    assert.equal(stream.add(13, data.subarray(0, 1)), "too_large");
  });

  test("bytes before the first, or out of any window's reach", () => {
    const stream = new StreamHead(1000);
    assert.equal(stream.add(1000, data.subarray(0, 5)), "out_of_window");
    assert.equal(stream.add(900, data.subarray(0, 5)), "out_of_window");
    assert.equal(stream.add((1001 + 2 ** 30) >>> 0, data.subarray(0, 5)), "out_of_window");
    assert.equal(stream.add(1001 + 70_000, data.subarray(0, 5)), "too_large");
    assert.equal(stream.add(900, new Uint8Array(0)), "ok");
  });
});
