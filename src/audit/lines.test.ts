/** Lines come out as they lie in the file, with their places, whatever the chunks; memory is bounded by one line. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { MAX_LINE_BYTES } from "./chain.ts";
import { readLines } from "./lines.ts";
import type { RawLine } from "./lines.ts";
import { temporary } from "./test-support.ts";

const path = join(temporary(), "file");

async function linesOf(content: Buffer): Promise<RawLine[]> {
  writeFileSync(path, content);
  const handle = await open(path, "r");
  try {
    return (await Array.fromAsync(readLines(handle))).flat();
  } finally {
    await handle.close();
  }
}

test("the lines are what a split at newlines gives, with their offsets", async () => {
  const piece = fc.oneof(
    fc.constant(Buffer.from("\n")),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.integer({ min: 100_000, max: 300_000 }).map((size) => Buffer.alloc(size, "x")),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      const content = Buffer.concat(pieces);
      const lines = await linesOf(content);
      let at = 0;
      for (const [index, line] of lines.entries()) {
        const newline = content.indexOf(10, at);
        const end = newline < 0 ? content.length : newline;
        assert.deepEqual([line.start, line.number, line.whole], [at, index + 1, newline >= 0]);
        assert.equal(line.end, newline < 0 ? end : end + 1);
        if (end - at <= MAX_LINE_BYTES) assert.ok(line.bytes.equals(content.subarray(at, end)) && !line.tooLong);
        else assert.ok(line.tooLong && line.bytes.length === 0);
        at = line.end;
      }
      assert.equal(at, content.length);
    }),
    { numRuns: 60 },
  );
});

test("a line without end is passed over and the next one is read", async () => {
  const flood = Buffer.alloc(5 * MAX_LINE_BYTES, "a");
  const lines = await linesOf(Buffer.concat([flood, Buffer.from("\nnext\n"), flood]));
  assert.deepEqual(
    lines.map(({ start, end, number, whole, tooLong }) => [start, end, number, whole, tooLong]),
    [
      [0, flood.length + 1, 1, true, true],
      [flood.length + 1, flood.length + 6, 2, true, false],
      [flood.length + 6, 2 * flood.length + 6, 3, false, true],
    ],
  );
});
