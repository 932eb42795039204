/**
 * An answer says what it could not count: real records with real trouble, and for each what is told, for the time that was asked
 * about and no other. And what stands in two segments is counted once.
 */
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { applyRetention, planRetention } from "../audit/retention.ts";
import { Spool } from "../audit/spool.ts";
import { parseTime } from "../audit/clock.ts";
import { allEvents, segmentsOf } from "../audit/test-support.ts";
import type { QueryOptions } from "./query.ts";
import { connection, epoch, Recorder, select, temporary, using } from "./testing/records.ts";

const second = 1_000_000;

/** What is told beside an answer, as `kind count`. */
async function told(options: QueryOptions, question: "destinations" | "new-names" = "destinations"): Promise<string[]> {
  return await using(options, async (query) => {
    const { incomplete } = await query.ask(question, 10);
    return incomplete.map(({ kind, count }) => `${kind} ${count}`);
  });
}

const at = (step: number) => connection("a.example", { time: epoch + step * second });
const lifecycle = (step: number, message: string, data: Record<string, unknown>) => ({
  time: epoch + step * second,
  body: { kind: "lifecycle" as const, message, data },
});

test("nothing is told of a whole record; what was lost is told for the time in which it was", async () => {
  const recorder = new Recorder();
  const inputs = [recorder.directory];
  recorder.segment([at(0), at(1)]);
  recorder.segment([at(2)]);
  assert.deepEqual(await told({ inputs }), []);
  const iso = (step: number) => new Date((epoch + step * second) / 1000).toISOString();
  recorder.segment([lifecycle(20, "lost", { lost: 7, first: iso(10), last: iso(15) }), at(30)]);
  assert.deepEqual(await told({ inputs }), ["lost 7"]);
  assert.deepEqual(await told({ inputs, since: epoch + 16 * second }), []);
  assert.deepEqual(await told({ inputs, since: epoch + 15 * second }), ["lost 7"]);
  assert.deepEqual(await told({ inputs, until: epoch + 10 * second }), []);
  assert.deepEqual(await told({ inputs, until: epoch + 11 * second }), ["lost 7"]);
  // Whether a name is new depends on all of the past.
  assert.deepEqual(await told({ inputs, since: epoch + 16 * second }, "new-names"), ["lost 7"]);
});

test("holes are told with their ends: in a segment, between two, at the beginning, at the end", async () => {
  const recorder = new Recorder();
  const inputs = [recorder.directory];
  const first = recorder.segment([at(0), at(1)]);
  const between = recorder.segment([at(10), at(11), at(12), at(13)]);
  const third = recorder.segment([at(20)]);
  const last = recorder.segment([at(30)]);
  const lines = readFileSync(between, "utf8").split("\n");
  writeFileSync(between, [lines[0], lines[3], ""].join("\n"));
  assert.deepEqual(await told({ inputs }), ["missing 2"]);
  assert.deepEqual(await told({ inputs, since: epoch + 14 * second }), []);
  unlinkSync(third);
  assert.deepEqual(await told({ inputs }), ["missing 2", "missing 1"]);
  assert.deepEqual(await told({ inputs, since: epoch + 14 * second, until: epoch + 29 * second }), ["missing 1"]);
  unlinkSync(first);
  assert.deepEqual(await told({ inputs, until: epoch + 9 * second }), ["missing 2"]);
  const head = { schema: "sallyport.head/1", seq: 12, hash: "c1".repeat(32), segment: null, time: "" };
  writeFileSync(join(recorder.directory, "events", "head.json"), JSON.stringify(head));
  assert.deepEqual(await told({ inputs, since: epoch + 40 * second }), ["missing 4"]);
  // A record that is cut, and lines that are none.
  appendFileSync(last, '{"schema":"sallyport.ev');
  appendFileSync(between, "not an event\n{}\n");
  assert.deepEqual(await told({ inputs, since: epoch + 12 * second, until: epoch + 13 * second }), [
    "missing 2",
    "unreadable 2",
  ]);
  assert.deepEqual(await told({ inputs, since: epoch + 31 * second }), ["missing 4", "torn 1"]);
});

test("retention is told for what was before the first record, and a crash for what it cut", async () => {
  const directory = temporary();
  const inputs = [directory];
  const options = { directory, segmentBytes: 4000, flushBytes: 500 };
  const spool = await Spool.open(options);
  for (let port = 1; port <= 40; port++) spool.append({ ...connection("a.example").body, message: String(port) });
  await spool.flush();
  const { left } = await planRetention(directory, { keepMs: null, keepBytes: 1e9 }, Date.now());
  const plan = await planRetention(directory, { keepMs: null, keepBytes: left.bytes - 5000 }, Date.now());
  assert.equal(await applyRetention(directory, spool, plan), true);
  await spool.close();
  const gone = plan.doomed.at(-1)!.end.seq;
  assert.deepEqual(await told({ inputs }), [`deleted ${gone}`]);
  const since = parseTime((await allEvents(directory)).at(0)!.time)! + 1;
  assert.deepEqual(await told({ inputs, since }), []);
  const newest = join(directory, "events", segmentsOf(directory).at(-1)!);
  appendFileSync(newest, '{"schema":"sallyport.ev');
  await (await Spool.open(options)).close();
  assert.deepEqual(await told({ inputs, since }), ["torn 1"]);
  // Cut below the head: records that were on the disk.
  truncateSync(newest, 10);
  assert.match((await told({ inputs, since })).join(), /^missing \d+,torn 1$/);
});

test("lines that a repair wrote to a second segment are counted once, and others of their numbers twice", async () => {
  const directory = temporary();
  const spool = await Spool.open({ directory, flushMs: 1, syncMs: 600_000 });
  const append = (from: number, to: number) => {
    for (let n = from; n <= to; n++) spool.append({ ...connection("a.example").body, message: String(n) });
  };
  append(1, 2);
  await spool.flush();
  append(3, 5);
  const file = join(directory, "events", segmentsOf(directory)[0]!);
  while (!readFileSync(file, "utf8").includes('"message":"5"')) await new Promise((resolve) => setTimeout(resolve, 5));
  appendFileSync(file, `${"x".repeat(5000)}\n`);
  append(6, 6);
  await spool.flush();
  await spool.close();
  assert.equal(segmentsOf(directory).length, 2);
  const sql = "SELECT count(*), count(DISTINCT seq) FROM events WHERE kind = 'connection'";
  assert.deepEqual(await select(sql, { inputs: [directory] }), [[6, 6]]);
  const connections = await using({ inputs: [directory] }, async (query) => {
    const { fields, rows } = await query.ask("destinations", 10);
    return rows.map((row) => row[fields.findIndex(({ name }) => name === "connections")]);
  });
  assert.deepEqual(connections, [6]);
  const [line] = readFileSync(file, "utf8").split("\n").slice(2, 3);
  appendFileSync(file, `${line!.replace('"message":"3"', '"message":"other"')}\n`);
  assert.deepEqual(await select(sql, { inputs: [directory] }), [[7, 6]]);
});
