/**
 * Retention beside an enforcer waits for the sinks that the record is sent to, tells `status` of it while it does, and tells it
 * for good when it could wait no longer.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { planRetention } from "../audit/retention.ts";
import { Spool } from "../audit/spool.ts";
import { memory, segmentsOf, temporary, writeRecord } from "../audit/test-support.ts";
import { Cursor } from "../export/cursor.ts";
import { RecordRetention } from "./retention.ts";

const small = { segmentBytes: 5000, flushBytes: 1000 };

test("a sink that is behind is waited for, and `status` says so; what goes without it is said for good", async () => {
  const state = temporary(memory);
  await writeRecord(state, 60, small);
  const spool = await Spool.open({ directory: state, ...small });
  const problems = new Set<string>(["another"]);
  const sinks = ["siem", "archive"];
  const { left } = await planRetention(state, { keepMs: null, keepBytes: 1e9 }, Date.now());
  const pass = async (keepBytes: number) => {
    const retention = new RecordRetention(state, { keepMs: null, keepBytes }, spool, problems, () => sinks);
    retention.tick(Date.now());
    await retention.stop();
    return retention;
  };
  const before = segmentsOf(state);
  await new Cursor(state, "archive").write({ seq: 60, hash: "0".repeat(64), segment: 1, offset: 0 });
  // Of another record: it has nothing of this one.
  await new Cursor(state, "siem").write({ seq: 1_000_000, hash: "0".repeat(64), segment: 1, offset: 0 });
  const retention = await pass(left.bytes - 1);
  assert.deepEqual(segmentsOf(state), before);
  assert.deepEqual([...problems], ["another", "old segments of the record are kept for what is not sent yet: siem"]);
  await new Cursor(state, "siem").write({ seq: 60, hash: "0".repeat(64), segment: 1, offset: 0 });
  retention.tick(Date.now() + 20_000);
  await retention.stop();
  assert.deepEqual([segmentsOf(state).slice(0, 1), [...problems]], [before.slice(1, 2), ["another"]]);
  await new Cursor(state, "siem").write({ seq: 0, hash: "", segment: 0, offset: 0 });
  const late = await pass(1);
  assert.equal(segmentsOf(state).length, 1);
  late.tick(Date.now() + 120_000);
  await late.stop();
  assert.match(
    [...problems].join("; "),
    /^another; records up to \d+ were deleted before all of them were sent: siem$/,
  );
  await spool.close();
});
