/** Promises: each record once and in order, over segments and batches; none that is not durable; no gap without a word. */
import assert from "node:assert/strict";
import { appendFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { sealLine } from "../audit/chain.ts";
import { denial, memory, readSegment, segmentsOf, temporary, writeRecord } from "../audit/test-support.ts";
import { beginning, type Position } from "./record.ts";
import { holds, readBatch, type Trouble } from "./tail.ts";

const bounds = { records: 7, bytes: 100_000 };

async function readAll(directory: string, durable: number, from: Position = beginning) {
  const seqs: number[] = [];
  const troubles: Trouble[] = [];
  let at = from;
  for (let i = 0; i < 1_000; i++) {
    const batch = await readBatch(directory, at, durable, bounds);
    assert.ok(batch.records.length <= bounds.records);
    seqs.push(...batch.records.map(({ event }) => event.seq));
    troubles.push(...batch.troubles);
    if (batch.records.length === 0 && batch.end.offset === at.offset) return { seqs, troubles, at: batch.end };
    at = batch.end;
  }
  throw new Error("never at the end");
}

const upTo = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

async function record(count = 60): Promise<string> {
  const directory = temporary(memory);
  await writeRecord(directory, count, { segmentBytes: 8_000, flushBytes: 1 });
  assert.ok(segmentsOf(directory).length >= 3);
  return directory;
}

test("everything once and in order, and from any position what follows it", async () => {
  const directory = await record();
  const { seqs, troubles, at } = await readAll(directory, 60);
  assert.deepEqual([seqs, troubles], [upTo(1, 60), []]);
  assert.deepEqual((await readAll(directory, 60, at)).seqs, []);
  for (const records of [1, 13, 59]) {
    const part = await readBatch(directory, beginning, records, { records, bytes: 1e6 });
    assert.deepEqual((await readAll(directory, 60, part.end)).seqs, upTo(records + 1, 60));
    // A position whose segment is unknown finds its place by number.
    assert.deepEqual(
      (await readAll(directory, 60, { ...part.end, segment: 0, offset: 0 })).seqs,
      upTo(records + 1, 60),
    );
  }
});

test("nothing beyond what is durable, and no torn line", async () => {
  const directory = await record();
  assert.deepEqual((await readAll(directory, 41)).seqs, upTo(1, 41));
  const last = segmentsOf(directory).at(-1)!;
  truncateSync(join(directory, "events", last), readSegment(directory, last).length - 10);
  assert.deepEqual((await readAll(directory, 60)).seqs, upTo(1, 59));
});

test("segments that were removed before they were read are a gap with its numbers", async () => {
  const directory = await record();
  const [first, second, third] = segmentsOf(directory).map((name) => Number(/\d+/.exec(name)![0]));
  const part = await readBatch(directory, beginning, 3, bounds);
  for (const name of segmentsOf(directory).slice(0, 2)) rmSync(join(directory, "events", name));
  const read = await readAll(directory, 60, part.end);
  assert.ok(first === 1 && second! > 3);
  assert.deepEqual(read.troubles, [{ kind: "missing", first: 4, last: third! - 1 }]);
  assert.deepEqual(read.seqs, upTo(third!, 60));
});

test("a line that is no record is a gap too, and another chain is told", async () => {
  const directory = await record();
  const [name] = segmentsOf(directory);
  const lines = readSegment(directory, name!).toString().split("\n");
  lines[2] = "x".repeat(lines[2]!.length);
  writeFileSync(join(directory, "events", name!), lines.join("\n"));
  const read = await readAll(directory, 60);
  assert.deepEqual(read.troubles, [{ kind: "missing", first: 3, last: 3 }]);
  assert.equal(read.seqs.length, 59);

  const other = await record();
  const strange = { ...(await readBatch(other, beginning, 5, bounds)).end, hash: "0".repeat(64) };
  assert.deepEqual((await readAll(other, 60, strange)).troubles, [{ kind: "unlinked", first: 6, last: 6 }]);
});

test("an over-long line costs no memory and is a gap", async () => {
  const directory = temporary(memory);
  await writeRecord(directory, 2);
  const path = join(directory, "events", segmentsOf(directory)[0]!);
  appendFileSync(path, `${"y".repeat(3_000_000)}\n`);
  const id = "01KQS0C7ZM3T9V8Q4B5N6P7R8S";
  appendFileSync(path, `${sealLine(denial(1), 4, "5f".repeat(32), "2026-05-04T09:12:31.204518Z", id).line}\n`);
  const read = await readAll(directory, 4);
  assert.deepEqual([read.seqs, read.troubles], [[1, 2, 4], [{ kind: "missing", first: 3, last: 3 }]]);
});

test("a line whose number or text was changed is that one gap: it hides nothing after it and goes nowhere", async () => {
  for (const [from, to] of [
    ['"seq":3,', '"seq":50,'],
    ['"seq":3,', '"seq":999999,'],
    ['"seq":3,', '"seq":1,'],
    ["files.example", "filez.example"],
    ['"time":"2', '"time":"9'],
  ] as const) {
    const directory = await record();
    const [name] = segmentsOf(directory);
    const lines = readSegment(directory, name!).toString().split("\n");
    lines[2] = lines[2]!.replace(from, to);
    writeFileSync(join(directory, "events", name!), lines.join("\n"));
    const read = await readAll(directory, 60);
    assert.deepEqual(read.troubles, [{ kind: "missing", first: 3, last: 3 }], to);
    assert.deepEqual(read.seqs, [1, 2, ...upTo(4, 60)], to);
  }
});

test("whether a record is the one that was delivered is seen at any position, and another one is not taken for it", async () => {
  const directory = await record();
  const other = await record();
  for (const records of [1, 2, 30, 60]) {
    const { end } = await readBatch(directory, beginning, records, { records, bytes: 1e6 });
    assert.equal(await holds(directory, end), true);
    assert.equal(await holds(other, end), false);
    assert.equal(await holds(directory, { ...end, offset: end.offset - 1 }), false);
    assert.equal(await holds(directory, { ...end, offset: 1e15 }), false);
    assert.equal(await holds(directory, { ...end, segment: 12_345 }), true, "gone: nobody can say");
  }
  assert.equal(await holds(directory, beginning), true);
});
