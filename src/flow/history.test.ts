/** N6: a retransmission is compared with what went on, as far back as memory was given for it, and never found the same by mistake. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { StreamHistory } from "./history.ts";

const most = 8 * 1024;

test("agrees with a plain copy of the stream, whatever the pieces and however it grows", () => {
  const piece = fc.record({ bytes: fc.uint8Array({ maxLength: 3_000 }), grows: fc.boolean() });
  const probe = fc.record({ back: fc.nat(20_000), size: fc.nat(4_000), flip: fc.option(fc.nat(4_000)) });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.array(probe, { maxLength: 12 }), (pieces, probes) => {
      const history = new StreamHistory();
      let stream = new Uint8Array(0);
      /** Bytes from here on are kept. */
      let kept = 0;
      for (const { bytes, grows } of pieces) {
        if (grows) history.grow(history.wanted(bytes.length, most));
        history.record(bytes);
        stream = Uint8Array.from([...stream, ...bytes]);
        kept = Math.max(kept, stream.length - history.capacity);
      }
      assert.ok(history.capacity <= most);
      for (const { back, size, flip } of probes) {
        const from = stream.length - back;
        const bytes = from < 0 ? new Uint8Array(size) : stream.slice(from, from + size);
        if (flip !== null && flip < bytes.length) bytes[flip]! ^= 1;
        const found = history.compare(bytes, back);
        if (from < 0 || back > history.capacity) assert.equal(found, "unknown");
        else if (from >= kept)
          assert.equal(found, flip !== null && flip < Math.min(bytes.length, back) ? "different" : "same");
        // Bytes from before there was room for them: anything but a lie.
        else if (found === "same") assert.ok(flip === null || flip >= Math.min(bytes.length, back));
      }
    }),
  );
});

test("without memory everything is unknown", () => {
  const history = new StreamHistory();
  history.record(Uint8Array.of(1, 2, 3));
  assert.equal(history.compare(Uint8Array.of(1), 3), "unknown");
  assert.equal(history.capacity, 0);
});
