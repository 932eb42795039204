/**
 * A gateway writes on while people ask. No answer counts an event twice or half, none is missing that was durable when the
 * question was asked, and the writer is never in the way: a real spool that appends and rotates, with retention behind it.
 */
import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { listSegments } from "../audit/segment.ts";
import { Spool } from "../audit/spool.ts";
import { verifyRecord } from "../audit/verify.ts";
import { connection, select, temporary, Recorder } from "./testing/records.ts";

test("questions to a record that is being written see a beginning of it, whole, and at least what was flushed", async () => {
  const directory = temporary();
  // Small segments: some are sealed between two questions, and during one.
  const spool = await Spool.open({ directory, segmentBytes: 100_000, flushMs: 1, syncMs: 5 });
  let appended = 0;
  const writer = (async () => {
    while (appended < 2_000) {
      for (let i = 0; i < 20; i++) spool.append(connection(`n${++appended}.example`).body);
      await sleep(10);
    }
  })();
  try {
    for (let round = 0; round < 3; round++) {
      const least = appended;
      await spool.flush();
      const sql = "SELECT count(*), count(DISTINCT seq), min(seq), max(seq) FROM events WHERE kind = 'connection'";
      const [row] = await select(sql, { inputs: [directory] });
      const [rows, distinct, first, last] = row as number[];
      assert.ok(rows! >= least, `${rows} of at least ${least}`);
      assert.equal(distinct, rows, "no event twice");
      assert.equal(last! - first! + 1, rows, "none left out in the middle");
    }
  } finally {
    await writer;
    const { lost, degraded } = await spool.close();
    assert.deepEqual([lost, degraded], [0, false]);
  }
  assert.ok((await listSegments(directory)).segments.length > 3);
  // The evidence is as it was: reading and copying touched nothing of it.
  assert.ok((await verifyRecord(directory)).ok);
  assert.deepEqual(await select("SELECT count(*) FROM events WHERE kind = 'connection'", { inputs: [directory] }), [
    [appended],
  ]);
});

test("segments that retention takes away while others are copied are in the answer", async () => {
  const recorder = new Recorder();
  const paths = ["a", "b", "c", "live"].map((name) => recorder.segment([connection(`${name}.example`)]));
  const inputs = [recorder.directory];
  const names = await select("SELECT name FROM events ORDER BY seq", {
    inputs,
    // Those to come are open by then.
    onProgress: (done) => {
      if (done === 0) for (const path of paths.slice(0, 3)) rmSync(path);
    },
  });
  assert.deepEqual(names.flat(), ["a.example", "b.example", "c.example", "live.example"]);
  assert.ok(!existsSync(paths[0]!));
  assert.deepEqual((await select("SELECT name FROM events", { inputs })).flat(), ["live.example"]);
});

test("an empty record, one that has only begun, and one with nothing to count answer with nothing", async () => {
  const recorder = new Recorder();
  const options = { inputs: [recorder.directory] };
  const all = "SELECT count(*) FROM events";
  assert.deepEqual(await select(all, options), [[0]]);
  recorder.segment([], '{"schema":"sally');
  assert.deepEqual(await select(all, options), [[0]]);
  await assert.rejects(select(all, { inputs: [join(recorder.directory, "nowhere")] }), { code: "RECORD_UNREADABLE" });
  await assert.rejects(select(all, { inputs: [temporary()] }), { code: "RECORD_UNREADABLE" });
});

test("an aborted question ends at once, and says what the signal says", async () => {
  const recorder = new Recorder();
  recorder.segment([connection("a.example")]);
  const stop = new AbortController();
  const slow = select("SELECT count(*) FROM range(100000000000) a, events", {
    inputs: [recorder.directory],
    signal: stop.signal,
  });
  setTimeout(() => stop.abort(new Error("enough")), 500);
  await assert.rejects(slow, /enough/);
});
