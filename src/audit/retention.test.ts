/**
 * Old segments go, oldest first, and what remains is still provable: it says where it begins and what vouches for that, and a
 * segment that retention did not name is missed.
 */
import assert from "node:assert/strict";
import { cpSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { sealLine } from "./chain.ts";
import { loadSigningKey, makeKeyPair } from "./key.ts";
import { readEvents } from "./read.ts";
import { applyRetention, planRetention } from "./retention.ts";
import type { RetentionLimits } from "./retention.ts";
import { Spool } from "./spool.ts";
import { allEvents, copyOf, denial, memory, outputOf, privateMounts, runModule } from "./test-support.ts";
import { segmentsOf, temporary, writeRecord } from "./test-support.ts";
import { verifyRecord } from "./verify.ts";

const folder = temporary(memory);
const trusted = makeKeyPair(join(folder, "key"));
const key = loadSigningKey(join(folder, "key"));
const small = { segmentBytes: 5000, flushBytes: 1000, key };
const count = 80;
const original = temporary(memory);
let names: string[];

before(async () => {
  await writeRecord(original, count, small);
  names = segmentsOf(original);
  assert.ok(names.length >= 5);
});

const keep = (keepBytes: number): RetentionLimits => ({ keepMs: null, keepBytes });
const firstOf = (name: string) => Number(/\d{12}/.exec(name)![0]);
const filesOf = (directory: string) => readdirSync(join(directory, "events")).toSorted();
const sealOf = (name: string) => name.replace("ndjson", "seal.json");

function remove(directory: string, ...gone: string[]): void {
  for (const name of gone) for (const file of [name, sealOf(name)]) unlinkSync(join(directory, "events", file));
}

/** Retention by hand, in a process that writes the record. */
async function prune(directory: string, limits: RetentionLimits, now = Date.now()) {
  const spool = await Spool.open({ directory, key });
  const plan = await planRetention(directory, limits, now);
  assert.equal(await applyRetention(directory, spool, plan), true);
  const { bytes } = spool.status();
  const sizes = segmentsOf(directory).map((name) => readFileSync(join(directory, "events", name)).length);
  assert.equal(
    bytes,
    sizes.reduce((sum, size) => sum + size, 0),
    "status counts what is there",
  );
  await spool.close();
  return plan;
}

test("a plan changes nothing, and names the oldest segments that are too much", async () => {
  const directory = copyOf(original, memory);
  const files = filesOf(directory);
  const all = await planRetention(directory, keep(1), Date.now());
  assert.deepEqual(
    all.doomed.map(({ segment, reason }) => [segment.name, reason]),
    names.slice(0, -1).map((name) => [name, "size"]),
    "never the newest",
  );
  const { left } = all;
  assert.deepEqual([left.segments, (await planRetention(directory, keep(1e9), Date.now())).doomed], [1, []]);
  const some = await planRetention(directory, keep(12_000), Date.now());
  assert.ok(some.left.bytes <= 12_000 && some.left.bytes + some.doomed.at(-1)!.bytes > 12_000);
  assert.deepEqual(filesOf(directory), files);
});

test("by size: what remains verifies, with the key too, and says where it begins and which record vouches", async () => {
  const directory = copyOf(original, memory);
  const { doomed } = await prune(directory, keep(12_000));
  const rest = names.slice(doomed.length);
  assert.deepEqual(segmentsOf(directory).slice(0, rest.length), rest);
  const [told] = await allEvents(directory, { kind: "lifecycle" });
  const first = firstOf(rest[0]!);
  assert.equal(told!.message, `Retention deletes ${doomed.length} segments, records 1 to ${first - 1}.`);
  for (const keys of [[], [trusted]]) {
    const { ok, first: begins, records, retention } = await verifyRecord(directory, keys);
    assert.deepEqual([ok, begins, begins + records - 1, retention], [true, first, told!.seq, { seq: told!.seq }]);
  }
  // Again, so that the record of the first retention is itself deleted.
  await writeRecord(directory, count, small);
  await prune(directory, keep(8000));
  await prune(directory, keep(1));
  const again = await verifyRecord(directory, [trusted]);
  assert.deepEqual([again.ok, again.first > told!.seq], [true, true]);
  assert.deepEqual(
    filesOf(directory).filter((name) => /seal/.test(name)),
    segmentsOf(directory).map(sealOf),
  );
});

test("by age: counted from when a segment was closed", async () => {
  const directory = temporary(memory);
  const day = 86_400_000;
  const start = Date.parse("2026-01-01T00:00:00Z");
  let now = start;
  const spool = await Spool.open({ directory, key, clock: { now: () => now * 1000 } });
  for (let i = 0; i < 5; i++, now += 2 * day) {
    spool.append(denial(i));
    await spool.flush();
  }
  await spool.close();
  const limits = { keepMs: 5 * day, keepBytes: null };
  const at = async (days: number) =>
    (await planRetention(directory, limits, start + days * day)).doomed.map(({ segment }) => segment.first);
  // Closed on days 2, 4, 6 and 8, when the next event came.
  assert.deepEqual([await at(6.9), await at(7.1), await at(9.1), await at(99)], [[], [1], [1, 2], [1, 2, 3, 4]]);
  const { doomed } = await prune(directory, limits, start + 9.1 * day);
  assert.deepEqual(
    doomed.map(({ reason }) => reason),
    ["age", "age"],
  );
  assert.equal((await verifyRecord(directory, [trusted])).first, 3);
});

test("a crash anywhere between the record and the last deletion leaves a record that verifies, and is finished", async () => {
  const pruned = copyOf(original, memory);
  const { doomed } = await prune(pruned, keep(8000));
  for (let left = 0; left <= doomed.length; left++) {
    for (const sealAlone of [false, true]) {
      const directory = copyOf(pruned, memory);
      const still = doomed.slice(left).map(({ segment }) => segment.name);
      const files = still.flatMap((name) => [name, sealOf(name)]);
      if (sealAlone && left > 0) files.push(sealOf(doomed[left - 1]!.segment.name));
      for (const file of files) cpSync(join(original, "events", file), join(directory, "events", file));
      for (const keys of [[], [trusted]]) {
        const { broken, first } = await verifyRecord(directory, keys);
        assert.equal(broken, null, `${left} ${sealAlone}: ${broken?.message}`);
        assert.equal(first, firstOf(segmentsOf(directory)[0]!));
      }
      await prune(directory, keep(8000));
      const { ok } = await verifyRecord(directory, [trusted]);
      assert.equal(ok, true);
      assert.equal(filesOf(directory).includes(sealOf(names[0]!)), false, "no seal is left behind");
    }
  }
});

test("a segment that retention did not name is missed, now and after every later retention", async () => {
  const directory = copyOf(original, memory);
  const { doomed } = await prune(directory, keep(14_000));
  const [gone, next] = names.slice(doomed.length);
  remove(directory, gone!);
  for (const keys of [[], [trusted]]) {
    const { ok, broken } = await verifyRecord(directory, keys);
    assert.deepEqual([ok, broken!.kind], [false, "removed"]);
  }
  for (let round = 0; round < 3; round++) {
    await writeRecord(directory, 30, small);
    await prune(directory, keep(6000));
    const { broken, first } = await verifyRecord(directory, [trusted]);
    assert.deepEqual([broken!.kind, broken!.seq], ["removed", firstOf(gone!)]);
    assert.match(broken!.message, new RegExp(`Records ${firstOf(gone!)} to ${firstOf(next!) - 1} were gone before`));
    assert.ok(first > firstOf(next!));
  }
});

test("the beginning removed before any retention is missed as well", async () => {
  const directory = copyOf(original, memory);
  remove(directory, names[0]!);
  assert.equal((await verifyRecord(directory)).broken!.seq, 1);
  await prune(directory, keep(8000));
  const { broken } = await verifyRecord(directory);
  assert.deepEqual([broken!.kind, broken!.seq], ["removed", 1]);
  assert.match(broken!.message, new RegExp(`Records 1 to ${firstOf(names[1]!) - 1} were gone`));
});

test("a retention that nobody signed covers nothing for the key", async () => {
  // A record may be added to the end of an open segment by whoever can write it; the head behind it is signed and he has no key.
  const directory = temporary(memory);
  const spool = await Spool.open({ directory, ...small });
  for (let port = 1; port <= count; port++) spool.append(denial(port));
  await spool.flush();
  const crashed = copyOf(directory, memory);
  await spool.close();
  const [first, second] = segmentsOf(crashed);
  const events = await allEvents(crashed);
  const [last, end] = [events.at(-1)!, events[firstOf(second!) - 2]!];
  const ends = [{ seq: end.seq, hash: end.hash }];
  const forged = {
    kind: "lifecycle",
    data: { retention: { after: { seq: 0, hash: "0".repeat(64) }, ends, missing: [] } },
  } as const;
  const { line } = sealLine(forged, last.seq + 1, last.hash, last.time, last.id);
  writeFileSync(join(crashed, "events", segmentsOf(crashed).at(-1)!), `${line}\n`, { flag: "a" });
  remove(crashed, first!);
  assert.equal((await verifyRecord(crashed)).ok, true, "who may write an unsigned record may say anything in it");
  const { broken } = await verifyRecord(crashed, [trusted]);
  assert.deepEqual([broken!.kind, broken!.seq], ["removed", 1]);
  assert.match(broken!.message, /no signature vouches for it/);
});

test("what does not verify is not deleted: it is evidence", async () => {
  const seal = join("events", sealOf(names[1]!));
  for (const [change, why] of [
    [(directory: string) => unlinkSync(join(directory, seal)), /has no seal/],
    [(directory: string) => writeFileSync(join(directory, seal), "{}"), /is no seal/],
    [
      (directory: string) =>
        writeFileSync(
          join(directory, seal),
          readFileSync(join(directory, seal), "utf8").replace(/"head":"./, '"head":"x'),
        ),
      /is no seal/,
    ],
    [
      (directory: string) =>
        writeFileSync(join(directory, seal), readFileSync(join(directory, "events", sealOf(names[0]!)))),
      /does not fit the segment after it/,
    ],
  ] as const) {
    const directory = copyOf(original, memory);
    change(directory);
    const { doomed, blocked } = await planRetention(directory, keep(1), Date.now());
    assert.equal(doomed.length, 1);
    assert.match(blocked!, why);
  }
});

test("a full disk: what cannot be recorded is not deleted", async () => {
  const directory = temporary();
  const code = `
    import { writeFileSync } from "node:fs";
    const { Spool } = await import(room + "/spool.ts");
    const { planRetention, applyRetention } = await import(room + "/retention.ts");
    const [directory] = process.argv.slice(1);
    const spool = await Spool.open({ directory, segmentBytes: 5000, flushBytes: 1000, retryMs: 5 });
    const event = (port) => ({ kind: "connection", destination: { name: null, name_from: "none", port, protocol: "tcp" } });
    for (let port = 1; port <= 80; port++) spool.append(event(port));
    await spool.flush();
    const plan = await planRetention(directory, { keepMs: null, keepBytes: 1 }, Date.now());
    try { for (;;) writeFileSync(directory + "/ballast", Buffer.alloc(4096), { flag: "a" }); } catch {}
    const applied = applyRetention(directory, spool, plan);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await spool.close();
    const again = await planRetention(directory, { keepMs: null, keepBytes: 1 }, Date.now());
    console.log(JSON.stringify([await applied, plan.doomed.length, again.doomed.length]));`;
  const mount = `mount -t tmpfs -o size=256k,mode=700 tmpfs ${directory}`;
  const { text } = await outputOf(runModule(code, [directory], privateMounts(mount)));
  const [applied, planned, still] = JSON.parse(text) as [boolean, number, number];
  assert.equal(applied, false);
  assert.ok(planned > 3 && still >= planned);
});

test("the record is read on, and verifies, while its beginning is deleted", async () => {
  const directory = copyOf(original, memory);
  const reader = readEvents(directory);
  assert.equal((await reader.next()).value!.seq, 1);
  const spool = await Spool.open({ directory, ...small });
  let port = 0;
  let checks = 0;
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 30; i++) spool.append(denial(++port));
    const plan = await planRetention(directory, keep(12_000), Date.now());
    const [{ broken }] = await Promise.all([
      verifyRecord(directory, [trusted]),
      applyRetention(directory, spool, plan),
    ]);
    assert.equal(broken, null, `${broken?.message}`);
    checks++;
  }
  await spool.close();
  assert.equal(checks, 10);
  let last = 1;
  for await (const { seq } of reader) {
    assert.ok(seq > last);
    last = seq;
  }
  assert.equal(last, spool.status().seq);
  rmSync(directory, { recursive: true });
});

test("what a reader has not taken waits, up to twice the limit; what goes then is said to be unread", async () => {
  const directory = copyOf(original, memory);
  const sizes = names.map((name) => readFileSync(join(directory, "events", name)).length);
  const all = sizes.reduce((sum, size) => sum + size, 0);
  const second = firstOf(names[1]!);
  const plan = (keepBytes: number, seq: number) =>
    planRetention(directory, keep(keepBytes), Date.now(), [{ name: "siem", seq }]);
  const within = await plan(all / 2 + 1, second - 1);
  assert.deepEqual(
    [within.doomed.map(({ segment }) => segment.name), within.waiting],
    [[names[0]], ["siem"]],
    "what it has, and no more",
  );
  const behind = await plan(all / 2 + 1, second - 2);
  assert.deepEqual([behind.doomed, behind.waiting], [[], ["siem"]]);
  const over = await plan(all / 2 - 1, 0);
  assert.deepEqual([over.doomed.map(({ unread }) => unread), over.waiting], [[["siem"]], ["siem"]]);
  const spool = await Spool.open({ directory, key });
  await applyRetention(directory, spool, over);
  await spool.close();
  const [told] = await allEvents(directory, { kind: "lifecycle" });
  assert.match(told!.message!, /^Retention deletes 1 segments, .*, before all of it was sent to siem\.$/);
  assert.deepEqual(told!.data?.["unread"], ["siem"]);
  assert.equal((await verifyRecord(directory, [trusted])).ok, true);
});

test("by age too: a reader is waited for until a segment is twice as old as it may be", async () => {
  const sealed = Date.parse(JSON.parse(readFileSync(join(original, "events", sealOf(names[0]!)), "utf8")).sealed);
  const limits = { keepMs: 3_600_000, keepBytes: null };
  const at = async (hours: number) => {
    const { doomed, waiting } = await planRetention(original, limits, sealed + hours * 3_600_000, [
      { name: "siem", seq: 0 },
    ]);
    return [doomed.length > 0, waiting];
  };
  assert.deepEqual(
    [await at(0.9), await at(1.9)],
    [
      [false, []],
      [false, ["siem"]],
    ],
  );
  assert.equal((await at(2.1))[0], true);
});
