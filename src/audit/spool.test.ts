/**
 * What was appended is in the record, in order and provable, across restarts, rotations and crashes; and whatever is
 * done to the files, recording goes on and says what happened.
 */
import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { MAX_LINE_BYTES } from "./chain.ts";
import type { EventBody } from "./event.ts";
import { Spool } from "./spool.ts";
import {
  allEvents,
  copyOf,
  denial,
  memory,
  outputOf,
  readSegment,
  runModule,
  segmentsOf,
  temporary,
  until,
  writeRecord,
} from "./test-support.ts";
import { verifyRecord } from "./verify.ts";

const portsOf = async (directory: string) =>
  (await allEvents(directory, { kind: "connection" })).map((event) => event.destination!.port);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const lifecycles = async (directory: string) => await allEvents(directory, { kind: "lifecycle" });

test("events are in the order they were appended, numbered without a gap, with times and ids that go up", async () => {
  const directory = temporary();
  await writeRecord(directory, 500, { flushBytes: 2000 });
  const events = await allEvents(directory);
  assert.deepEqual(await portsOf(directory), upTo(500));
  for (const [index, event] of events.entries()) {
    assert.equal(event.seq, index + 1);
    if (index === 0) continue;
    assert.equal(event.prev, events[index - 1]!.hash);
    assert.ok(event.time >= events[index - 1]!.time && event.id > events[index - 1]!.id);
  }
  const { ok, records } = await verifyRecord(directory);
  assert.deepEqual({ ok, records }, { ok: true, records: 500 });
});

test("the record is closed to everyone else", async () => {
  const directory = temporary();
  mkdirSync(join(directory, "events"), { mode: 0o777 });
  await writeRecord(directory, 1);
  assert.equal(statSync(join(directory, "events")).mode & 0o777, 0o700);
  for (const name of [segmentsOf(directory)[0]!, "head.json"]) {
    assert.equal(statSync(join(directory, "events", name)).mode & 0o777, 0o600, name);
  }
});

test("a restart goes on with the same chain in the same segment", async () => {
  const directory = temporary();
  for (const from of [1, 11, 21]) {
    const spool = await Spool.open({ directory });
    assert.equal(spool.status().seq, from - 1);
    for (let port = from; port < from + 10; port++) spool.append(denial(port));
    await spool.close();
  }
  assert.deepEqual(await portsOf(directory), upTo(30));
  assert.equal(segmentsOf(directory).length, 1);
  assert.equal((await verifyRecord(directory)).ok, true);
});

test("flush means durable: the head names the last record, and nothing waits", async () => {
  const directory = temporary();
  const spool = await Spool.open({ directory, syncMs: 60_000, flushMs: 60_000 });
  for (let round = 1; round <= 3; round++) {
    spool.append(denial(round));
    await spool.flush();
    const { seq, head, synced, buffered } = spool.status();
    assert.deepEqual({ seq, synced, buffered }, { seq: round, synced: round, buffered: 0 });
    const stored = JSON.parse(readFileSync(join(directory, "events", "head.json"), "utf8")) as Record<string, unknown>;
    assert.deepEqual([stored["seq"], stored["hash"]], [round, head]);
  }
  await spool.close();
});

test("without a flush, events are in the file and durable in the times promised", async () => {
  const directory = temporary();
  const spool = await Spool.open({ directory, flushMs: 20, syncMs: 60 });
  spool.append(denial(1));
  await until("written", () => readSegment(directory, segmentsOf(directory)[0]!).length > 0);
  await until("durable", () => spool.status().synced === 1);
  await spool.close();
});

test("a steady stream of events does not put durability off", async () => {
  const spool = await Spool.open({ directory: temporary(), flushMs: 5, flushBytes: 20_000, syncMs: 30 });
  const steps = new Set<number>();
  await until("made durable five times while events keep coming", () => {
    for (let i = 0; i < 200; i++) spool.append(denial(i));
    return steps.add(spool.status().synced).size > 5;
  });
  assert.equal((await spool.close()).lost, 0);
});

test("what comes while a batch is written goes to the disk whole, in order, and is confirmed by the flush that asked", async () => {
  const directory = temporary();
  const spool = await Spool.open({ directory, flushMs: 60_000, syncMs: 60_000, flushBytes: 2_000 });
  for (let round = 0; round < 5; round++) {
    // The first batch is being written from here on; what follows is far more than a batch.
    for (let i = 0; i < 1_000; i++) spool.append(denial(i + 1));
    await new Promise((resolve) => setImmediate(resolve));
    spool.append(denial(1));
    await spool.flush();
    const { seq, synced, buffered, lost } = spool.status();
    const all = (round + 1) * 1_001;
    assert.deepEqual({ seq, synced, buffered, lost }, { seq: all, synced: all, buffered: 0, lost: 0 });
  }
  await spool.close();
  const { ok, records } = await verifyRecord(directory);
  assert.deepEqual({ ok, records }, { ok: true, records: 5_005 });
});

test("segments rotate by size, are named by their first record, and link", async () => {
  const directory = temporary();
  await writeRecord(directory, 200, { segmentBytes: 8000, flushBytes: 1000 });
  const names = segmentsOf(directory);
  assert.ok(names.length > 5);
  for (const name of names) {
    const content = readSegment(directory, name);
    assert.ok(content.length <= 8000);
    const { seq } = JSON.parse(content.toString().split("\n")[0]!) as { seq: number };
    assert.equal(name, `events-${String(seq).padStart(12, "0")}.ndjson`);
  }
  const { ok, segments } = await verifyRecord(directory);
  assert.deepEqual({ ok, segments }, { ok: true, segments: names.length });
});

test("segments rotate by age, also when the age was reached while stopped", async () => {
  const directory = temporary();
  let now = 1_800_000_000_000_000;
  const options = { directory, segmentAgeMs: 1000, clock: { now: () => now++ } };
  let spool = await Spool.open(options);
  spool.append(denial(1));
  await spool.flush();
  now += 1_100_000;
  spool.append(denial(2));
  await spool.close();
  now += 1_100_000;
  spool = await Spool.open(options);
  spool.append(denial(3));
  await spool.close();
  assert.equal(segmentsOf(directory).length, 3);
  assert.equal((await verifyRecord(directory)).ok, true);
});

test("an event that is no JSON, or too large, is recorded as such and nothing is thrown", async () => {
  const directory = temporary();
  const spool = await Spool.open({ directory });
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  spool.append({ kind: "policy", data: cycle });
  spool.append({ kind: "policy", data: { big: 1n } });
  spool.append({ kind: "policy", message: "x".repeat(MAX_LINE_BYTES) });
  spool.append({ kind: "policy", message: "\u{20ac}".repeat(MAX_LINE_BYTES / 3) });
  spool.append({ kind: "policy", message: "good" });
  await spool.close();
  const events = await allEvents(directory);
  assert.deepEqual(
    events.map((event) => event.kind),
    ["lifecycle", "lifecycle", "lifecycle", "lifecycle", "policy"],
  );
  assert.match(events[0]!.message!, /could not be recorded/);
  assert.equal((await verifyRecord(directory)).ok, true);
});

test("after close nothing is written, nothing is thrown, and what came is counted", async () => {
  const directory = temporary();
  const spool = await Spool.open({ directory });
  await spool.close();
  spool.append(denial(1, { count: 3 }));
  await spool.flush();
  assert.equal((await spool.close()).lost, 0);
  assert.equal(spool.status().lost, 3);
  assert.deepEqual(await allEvents(directory), []);
});

test("a last record torn at any byte is cut, the cut is recorded, and the chain goes on", async () => {
  const directory = temporary(memory);
  const spool = await Spool.open({ directory });
  for (let port = 1; port <= 3; port++) spool.append(denial(port));
  await spool.flush();
  const head = readFileSync(join(directory, "events", "head.json"));
  const whole = readSegment(directory, segmentsOf(directory)[0]!);
  spool.append({ kind: "policy", message: "torn" });
  await spool.close();
  const [name] = segmentsOf(directory);
  const full = readSegment(directory, name!);
  writeFileSync(join(directory, "events", "head.json"), head);
  for (let size = whole.length; size < full.length; size++) {
    const copy = copyOf(directory, memory);
    truncateSync(join(copy, "events", name!), size);
    const before = await verifyRecord(copy);
    assert.equal(before.ok, true, `${size}`);
    assert.equal(before.notes.length, size === whole.length ? 0 : 1);

    const again = await Spool.open({ directory: copy });
    await again.close();
    const after = await verifyRecord(copy);
    assert.equal(after.ok, true, `${size}`);
    assert.deepEqual(after.notes, []);
    const cuts = (await lifecycles(copy)).map((event) => event.data!["bytes"]);
    assert.deepEqual(cuts, size === whole.length ? [] : [size - whole.length]);
    assert.deepEqual(await portsOf(copy), [1, 2, 3]);
    rmSync(copy, { recursive: true });
  }
});

test("a crash right after a rotation leaves an empty segment, which is used", async () => {
  const directory = temporary();
  await writeRecord(directory, 4);
  writeFileSync(join(directory, "events", "events-000000000005.ndjson"), "");
  const spool = await Spool.open({ directory });
  spool.append(denial(5));
  await spool.close();
  assert.deepEqual(segmentsOf(directory), ["events-000000000001.ndjson", "events-000000000005.ndjson"]);
  assert.deepEqual(await portsOf(directory), upTo(5));
  assert.equal((await verifyRecord(directory)).ok, true);
});

const damages: { what: string; to: (directory: string, name: string) => void; kind: string }[] = [
  {
    what: "an edited record",
    to: (directory, name) => {
      const bytes = readSegment(directory, name);
      bytes[bytes.indexOf("files.example")]! ^= 1;
      writeFileSync(join(directory, "events", name), bytes);
    },
    kind: "edited",
  },
  {
    what: "a record cut from the end",
    to: (directory, name) => {
      const bytes = readSegment(directory, name);
      truncateSync(join(directory, "events", name), bytes.lastIndexOf(10, bytes.length - 2) + 1);
    },
    kind: "removed",
  },
  {
    what: "half a record cut from the end",
    to: (directory, name) => truncateSync(join(directory, "events", name), readSegment(directory, name).length - 9),
    kind: "truncated",
  },
  {
    what: "a removed segment",
    to: (directory, name) => unlinkSync(join(directory, "events", name)),
    kind: "removed",
  },
  {
    what: "an overwritten segment",
    to: (directory, name) => writeFileSync(join(directory, "events", name), "\0".repeat(5000) + "\n{}\n"),
    kind: "not_json",
  },
];

for (const { what, to, kind } of damages) {
  test(`${what} does not stop recording: a new segment says so first, and the break stays visible`, async () => {
    const directory = temporary();
    await writeRecord(directory, 10);
    to(directory, segmentsOf(directory)[0]!);
    const kept = segmentsOf(directory).map((name) => readSegment(directory, name));
    assert.equal((await verifyRecord(directory)).ok, false);
    const spool = await Spool.open({ directory });
    spool.append(denial(99));
    await spool.close();
    const names = segmentsOf(directory);
    for (const [index, bytes] of kept.entries()) assert.ok(readSegment(directory, names[index]!).equals(bytes));
    const [first] = readSegment(directory, names.at(-1)!).toString().split("\n");
    const event = JSON.parse(first!) as EventBody & { seq: number };
    assert.equal(event.kind, "lifecycle");
    assert.match(event.message!, /broken|missing/);
    assert.equal(event.seq, 11);
    assert.equal((await portsOf(directory)).at(-1), 99);
    assert.equal((await verifyRecord(directory)).broken!.kind, kind);

    const again = await Spool.open({ directory });
    assert.equal(again.status().seq, 12);
    await again.close();
    assert.equal((await lifecycles(directory)).length, 1);
  });
}

test("a planted segment with an absurd number does not take the chain with it", async () => {
  const directory = temporary();
  await writeRecord(directory, 3);
  writeFileSync(join(directory, "events", "events-999999999999.ndjson"), "");
  const spool = await Spool.open({ directory });
  spool.append(denial(4));
  await spool.close();
  assert.equal(spool.status().seq, 5);
  assert.match((await lifecycles(directory))[0]!.message!, /not the record's/);
});

test("a file planted where the next segment goes is moved away and the record says so", async () => {
  const directory = temporary();
  const spool = await Spool.open({ directory, segmentBytes: 1 });
  spool.append(denial(1));
  await spool.flush();
  writeFileSync(join(directory, "events", "events-000000000002.ndjson"), "planted\n");
  spool.append(denial(2));
  await spool.close();
  const [event] = await lifecycles(directory);
  const moved = event!.data!["displaced"] as string;
  assert.equal(readFileSync(join(directory, "events", moved), "utf8"), "planted\n");
  const { ok, notes } = await verifyRecord(directory);
  assert.equal(ok, true);
  assert.ok(notes[0]!.includes(moved));
});

const takings: { what: string; to: (path: string) => void; lost: number }[] = [
  { what: "removed", to: (path) => unlinkSync(path), lost: 1 },
  { what: "replaced", to: (path) => (renameSync(path, `${path}.old`), writeFileSync(path, "")), lost: 1 },
  { what: "cut", to: (path) => truncateSync(path, 10), lost: 1 },
  { what: "written to", to: (path) => appendFileSync(path, "x\n"), lost: 0 },
];

for (const { what, to, lost } of takings) {
  test(`a segment ${what} while in use is noticed, and what was not yet durable is written again`, async () => {
    const directory = temporary();
    const spool = await Spool.open({ directory, syncMs: 60_000, flushMs: 1 });
    spool.append(denial(1));
    await spool.flush();
    spool.append(denial(2));
    spool.append(denial(3));
    await until("written", () => spool.status().buffered === 0);
    to(join(directory, "events", segmentsOf(directory)[0]!));
    await spool.flush();
    spool.append(denial(4));
    await spool.close();
    const ports = await portsOf(directory);
    assert.deepEqual([...new Set(ports)], upTo(4).slice(lost));
    assert.match((await lifecycles(directory))[0]!.message!, new RegExp(`was ${what}.* while it was being written`));
    assert.equal((await verifyRecord(directory)).ok, false);
  });
}

test("the whole events directory removed while in use: recording goes on in a new one", async () => {
  const directory = temporary();
  const spool = await Spool.open({ directory, syncMs: 60_000, retryMs: 10 });
  spool.append(denial(1));
  await spool.flush();
  rmSync(join(directory, "events"), { recursive: true });
  spool.append(denial(2));
  await spool.flush();
  const status = await spool.close();
  assert.deepEqual([status.degraded, status.lost], [false, 0]);
  assert.deepEqual(await portsOf(directory), [2]);
  assert.match((await lifecycles(directory))[0]!.message!, /was removed/);
});

test("a segment that the file system stops carrying is left for a new one, and nothing is lost", async () => {
  // A real limit of the kernel: no file of this process may grow beyond 16 blocks (RLIMIT_FSIZE, EFBIG).
  const directory = temporary();
  const child = runModule(
    `const { Spool } = await import(room + "/spool.ts");
     const spool = await Spool.open({ directory: process.argv[1], retryMs: 5, flushMs: 1 });
     for (let port = 1; port <= 200; port++) {
       spool.append({ kind: "connection", verdict: "deny", destination: { name: null, name_from: "none", port, protocol: "tcp" } });
       if (port % 20 === 0) await spool.flush();
     }
     console.log(JSON.stringify(await spool.close()));`,
    [directory],
    ["sh", "-c", `trap "" XFSZ; ulimit -f 16; exec "$@"`, "sh"],
  );
  const { text, code } = await outputOf(child);
  assert.equal(code, 0);
  const { lost, degraded } = JSON.parse(text) as { lost: number; degraded: boolean };
  assert.deepEqual({ lost, degraded }, { lost: 0, degraded: false });
  assert.deepEqual(await portsOf(directory), upTo(200));
  const { broken, segments } = await verifyRecord(directory);
  assert.equal(broken, null);
  assert.ok(segments > 2);
  assert.ok((await lifecycles(directory)).some((event) => /EFBIG/.test(event.message!)));
});

test("a segment whose fsync fails is not trusted again: what it held is written to a new one", async () => {
  // The descriptor is closed under the spool, so that fdatasync fails where the write before it did not.
  const directory = temporary();
  const child = runModule(
    `import { closeSync, readdirSync, readlinkSync } from "node:fs";
     const { Spool } = await import(room + "/spool.ts");
     const spool = await Spool.open({ directory: process.argv[1], retryMs: 5, flushMs: 1, syncMs: 60000 });
     const event = (port) => ({ kind: "connection", destination: { name: null, name_from: "none", port, protocol: "tcp" } });
     spool.append(event(1));
     await spool.flush();
     spool.append(event(2));
     while (spool.status().buffered > 0) await new Promise((resolve) => setTimeout(resolve, 1));
     for (const fd of readdirSync("/proc/self/fd")) {
       try { if (readlinkSync("/proc/self/fd/" + fd).endsWith(".ndjson")) closeSync(Number(fd)); } catch {}
     }
     await spool.flush();
     spool.append(event(3));
     await spool.close();`,
    [directory],
  );
  assert.equal((await outputOf(child)).code, 0);
  assert.deepEqual(await portsOf(directory), [1, 2, 3]);
  assert.equal((await verifyRecord(directory)).ok, true);
  assert.ok((await lifecycles(directory)).some((event) => /could not be made durable/.test(event.message!)));
});

test("a head that cannot be written for a while: what is on the disk is not written twice, also to the next segment", async () => {
  const directory = temporary();
  const spool = await Spool.open({ directory, flushMs: 1, syncMs: 5, retryMs: 5, retryMaxMs: 10 });
  spool.append(denial(1));
  await spool.flush();
  const inTheWay = join(directory, "events", "head.json");
  unlinkSync(inTheWay);
  mkdirSync(inTheWay);
  for (let port = 2; port <= 20; port++) {
    spool.append(denial(port));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await until("degraded", () => spool.status().degraded);
  assert.match(spool.status().fault!, /EISDIR/);
  await until("the segment was left", () => spool.status().segment === null);
  rmSync(inTheWay, { recursive: true });
  await spool.flush();
  const { lost, degraded } = await spool.close();
  assert.deepEqual({ lost, degraded }, { lost: 0, degraded: false });
  assert.deepEqual(await portsOf(directory), upTo(20));
  const { broken, seals } = await verifyRecord(directory);
  assert.equal(broken, null);
  assert.ok(seals.closed > 0);
  assert.equal(seals.sealed, seals.closed);
});

test("a state directory that cannot be written is refused at open", async () => {
  const file = join(temporary(), "file");
  writeFileSync(file, "");
  await assert.rejects(Spool.open({ directory: join(file, "state") }), { code: "STATE_UNWRITABLE" });
  const directory = temporary();
  writeFileSync(join(directory, "events"), "");
  await assert.rejects(Spool.open({ directory }), { code: "STATE_UNWRITABLE" });
  unlinkSync(join(directory, "events"));
  await (await Spool.open({ directory })).close();
});
