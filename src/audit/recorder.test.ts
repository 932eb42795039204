/**
 * The record kept by a thread: the same record as a spool's, in the order in which it was appended, and the same promises about what
 * was confirmed. What finds no room on the way is a number in the record; a thread that dies is told, and nobody waits for it.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import type { Worker } from "node:worker_threads";
import { BodyWriter, bodyText } from "./body.ts";
import type { EventBody } from "./event.ts";
import { loadSigningKey, makeKeyPair } from "./key.ts";
import { behindBy, mostBehind, post, take } from "./progress.ts";
import { Recorder } from "./recorder.ts";
import { allEvents, denial, memory, temporary } from "./test-support.ts";
import { verifyRecord } from "./verify.ts";

const ports = (events: readonly EventBody[]) => events.map(({ destination }) => destination?.port);

test("batches and single events stand in the record in the order in which they were appended", async () => {
  const directory = temporary(memory);
  const recorder = await Recorder.open({ directory });
  const batch = new BodyWriter();
  for (let port = 1; port <= 1_000; port++) {
    if (port % 3 === 0) recorder.append(denial(port));
    else if (port % 3 === 1) recorder.appendText(bodyText(denial(port)));
    else {
      batch.add(denial(port));
      recorder.appendAll(batch.take());
    }
  }
  await recorder.flush();
  assert.equal(recorder.status().synced, 1_000);
  assert.deepEqual(
    ports(await allEvents(directory)),
    Array.from({ length: 1_000 }, (_, i) => i + 1),
  );
  const { seq, lost, degraded } = await recorder.close();
  assert.deepEqual({ seq, lost, degraded }, { seq: 1_000, lost: 0, degraded: false });
  assert.equal((await verifyRecord(directory)).ok, true);
});

test("an event that is no JSON is replaced by one that says so, and the rest of its batch stays", async () => {
  const directory = temporary(memory);
  const recorder = await Recorder.open({ directory });
  recorder.append(denial(1, { data: { count: 1n } }));
  recorder.append(denial(2));
  await recorder.close();
  const [first, second] = await allEvents(directory);
  assert.match(first?.message ?? "", /^An event could not be recorded as it was: TypeError/);
  assert.deepEqual(first?.data, { kind: "connection" });
  assert.equal(second?.destination?.port, 2);
});

test("what was confirmed is on the disk, signed by a key that crossed threads; the next goes on where it ended", async () => {
  const directory = temporary(memory);
  const trusted = makeKeyPair(`${directory}/key`);
  const key = loadSigningKey(`${directory}/key`);
  const recorder = await Recorder.open({ directory, key });
  recorder.append(denial(1));
  assert.equal(await recorder.confirm(denial(2)), true);
  assert.deepEqual(ports(await allEvents(directory)), [1, 2]);
  assert.equal((await recorder.close()).key, key.id);
  const next = await Recorder.open({ directory, key });
  assert.equal(next.first, 3);
  await next.close();
  next.append(denial(3));
  assert.equal((await verifyRecord(directory, [trusted])).ok, true);
});

test("a directory is one recorder's; what cannot be written is refused at open", async () => {
  const directory = temporary(memory);
  const recorder = await Recorder.open({ directory });
  await assert.rejects(Recorder.open({ directory }), { name: "SallyportError", code: "STATE_IN_USE" });
  await recorder.close();
  await (await Recorder.open({ directory })).close();
  writeFileSync(`${directory}/file`, "");
  await assert.rejects(Recorder.open({ directory: `${directory}/file` }), { name: "SallyportError" });
});

test("events that find no room between the threads are counted, and the record says how many", async () => {
  const directory = temporary(memory);
  const recorder = await Recorder.open({ directory });
  recorder.append(denial(1));
  await recorder.flush();
  // As if so much were on the way.
  post(recorder.progress, 5 * mostBehind);
  const batch = new BodyWriter();
  batch.add(denial(2));
  batch.add(denial(3, { count: 40 }));
  recorder.appendAll(batch.take());
  const { degraded, lost, losing } = recorder.status();
  assert.deepEqual({ degraded, lost, losing }, { degraded: true, lost: 41, losing: 41 });
  take(recorder.progress, 5 * mostBehind);
  while ((await recorder.look()).degraded);
  recorder.append(denial(4));
  const closed = await recorder.close();
  assert.deepEqual([closed.lost, closed.degraded], [41, false]);
  const [first, gap, last] = await allEvents(directory);
  assert.deepEqual([first?.destination?.port, gap?.data?.["lost"], last?.destination?.port], [1, 41, 4]);
});

test("a thread that dies: status says so, everything is counted, nobody waits, and the record is whole as far as it goes", async () => {
  const directory = temporary(memory);
  const workers: Worker[] = [];
  const seen = (worker: Worker) => void workers.push(worker);
  process.on("worker", seen);
  const recorder = await Recorder.open({ directory });
  process.off("worker", seen);
  await recorder.confirm(denial(1));
  const died = new Promise((resolve) => workers[0]!.once("exit", resolve));
  await workers[0]!.terminate();
  await died;
  recorder.append(denial(2));
  recorder.append(denial(3, { count: 9 }));
  await recorder.flush();
  const { degraded, fault, lost, seq } = await recorder.look();
  assert.deepEqual({ degraded, lost, seq }, { degraded: true, lost: 10, seq: 1 });
  assert.match(fault ?? "", /^its thread failed: /);
  assert.ok(behindBy(recorder.progress) <= 0);
  assert.equal(await recorder.confirm(denial(4)), false);
  assert.equal((await recorder.close()).degraded, true);
  assert.deepEqual(ports(await allEvents(directory)), [1]);
});
