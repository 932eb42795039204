/** The reassembly buffer's memory. That it means a map from offset to byte is held under fuzz (`fuzz.test.ts`). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Reassembly } from "./reassembly.ts";

test("memory grows with what is held, not with what is possible", () => {
  const stream = new Reassembly(65536, 64);
  assert.equal(stream.capacity, 0);
  stream.write(0, new Uint8Array(100));
  assert.ok(stream.capacity <= 2048);
  stream.write(65535, Uint8Array.of(1));
  assert.equal(stream.capacity, 65536);
});
