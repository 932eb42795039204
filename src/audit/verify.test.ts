/**
 * Whatever is done to a finished record, verification names the first record it was done to. Every case starts from a
 * real record of several segments and changes its files.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import fc from "fast-check";
import { genesis, sealLine } from "./chain.ts";
import type { Event } from "./event.ts";
import { Spool } from "./spool.ts";
import { openSegment } from "./segment.ts";
import { allEvents, copyOf, denial, memory, readSegment, segmentsOf, temporary, writeRecord } from "./test-support.ts";
import { verifyRecord } from "./verify.ts";
import type { Break } from "./verify.ts";

const count = 60;
const original = temporary(memory);
const work = temporary(memory);
let names: string[];
let files: Buffer[];
/** Lines of each segment, with their newlines. */
let lines: string[][];

before(async () => {
  await writeRecord(original, count, { segmentBytes: 5000, flushBytes: 1000 });
  names = segmentsOf(original);
  files = names.map((name) => readSegment(original, name));
  lines = files.map((file) => file.toString().split(/(?<=\n)/));
  assert.ok(names.length >= 4);
});

/** The record with some segments' contents changed. */
async function verifyWith(change: (contents: (string | Buffer)[]) => void) {
  rmSync(join(work, "events"), { recursive: true, force: true });
  cpSync(join(original, "events"), join(work, "events"), { recursive: true });
  const contents: (string | Buffer)[] = files.map((file) => Buffer.from(file));
  change(contents);
  for (const [index, content] of contents.entries()) {
    if (content !== files[index]) writeFileSync(join(work, "events", names[index]!), content);
  }
  return await verifyRecord(work);
}

/** The record with its lines changed, named by position among all lines. */
async function verifyLines(segment: number, change: (lines: string[]) => void) {
  return await verifyWith((contents) => {
    const changed = [...lines[segment]!];
    change(changed);
    contents[segment] = changed.join("");
  });
}

function place(broken: Break | null) {
  return broken && { segment: names.indexOf(broken.segment), line: broken.line, kind: broken.kind };
}

/** 0-based segment and 1-based line, anywhere in the record. */
const anywhere = fc.nat(count - 1).map((index) => {
  let segment = 0;
  while (index >= lines[segment]!.length) index -= lines[segment++]!.length;
  return { segment, line: index + 1 };
});

const seqAt = (segment: number, line: number) => (JSON.parse(lines[segment]![line - 1]!) as Event).seq;
const isLastOfAll = (segment: number, line: number) => seqAt(segment, line) === count;

test("an untouched record verifies, to its last hash", async () => {
  const { ok, records, segments, head, broken, notes } = await verifyWith(() => {});
  const last = JSON.parse(lines.at(-1)!.at(-1)!) as Event;
  assert.deepEqual(
    { ok, records, segments, broken, notes },
    { ok: true, records: count, segments: names.length, broken: null, notes: [] },
  );
  assert.deepEqual(head, { seq: count, hash: last.hash });
});

test("one byte changed anywhere: that record is named", async () => {
  const total = files.reduce((sum, file) => sum + file.length, 0);
  await fc.assert(
    fc.asyncProperty(fc.nat(total - 1), fc.integer({ min: 1, max: 255 }), async (position, flip) => {
      let at = position;
      let segment = 0;
      while (at >= files[segment]!.length) at -= files[segment++]!.length;
      const line = files[segment]!.subarray(0, at).toString("latin1").split("\n").length;
      const { ok, broken, records } = await verifyWith((contents) => {
        (contents[segment] as Buffer)[at]! ^= flip;
      });
      assert.equal(ok, false);
      assert.deepEqual(
        [names.indexOf(broken!.segment), broken!.line, broken!.seq],
        [segment, line, seqAt(segment, line)],
      );
      assert.equal(records, broken!.seq - 1);
      assert.match(broken!.kind, /^(edited|not_json|truncated)$/);
    }),
    { numRuns: 400 },
  );
});

test("a record removed: the gap is named where it is", async () => {
  await fc.assert(
    fc.asyncProperty(anywhere, async ({ segment, line }) => {
      const { broken } = await verifyLines(segment, (all) => all.splice(line - 1, 1));
      const seq = seqAt(segment, line);
      assert.equal(broken!.seq, seq);
      if (isLastOfAll(segment, line)) assert.deepEqual(place(broken), { segment, line, kind: "truncated" });
      else if (line <= lines[segment]!.length - 1) assert.deepEqual(place(broken), { segment, line, kind: "removed" });
      else assert.deepEqual(place(broken), { segment: segment + 1, line: 1, kind: "removed" });
    }),
    { numRuns: 40 },
  );
});

test("two records exchanged: the first of the two places is named, and where its record went", async () => {
  await fc.assert(
    fc.asyncProperty(anywhere, anywhere, async (a, b) => {
      fc.pre(seqAt(a.segment, a.line) < seqAt(b.segment, b.line));
      const { broken } = await verifyWith((contents) => {
        const changed = lines.map((all) => [...all]);
        changed[a.segment]![a.line - 1] = lines[b.segment]![b.line - 1]!;
        changed[b.segment]![b.line - 1] = lines[a.segment]![a.line - 1]!;
        contents[a.segment] = changed[a.segment]!.join("");
        contents[b.segment] = changed[b.segment]!.join("");
      });
      assert.deepEqual(place(broken), { segment: a.segment, line: a.line, kind: "reordered" });
      assert.ok(broken!.message.includes(`${names[b.segment]}, line ${b.line}`));
    }),
    { numRuns: 40 },
  );
});

test("a record repeated further on is named there", async () => {
  await fc.assert(
    fc.asyncProperty(anywhere, anywhere, async (from, to) => {
      fc.pre(seqAt(from.segment, from.line) < seqAt(to.segment, to.line));
      const copy = lines[from.segment]![from.line - 1]!;
      const { broken } = await verifyLines(to.segment, (all) => all.splice(to.line - 1, 0, copy));
      assert.deepEqual(place(broken), { ...to, kind: "inserted" });
      assert.equal(broken!.seq, seqAt(from.segment, from.line));
    }),
    { numRuns: 40 },
  );
});

test("a line of anything put in is named", async () => {
  for (const [junk, kind] of [
    ["\n", "not_json"],
    ["{}\n", "edited"],
    ["# comment\n", "not_json"],
    [`${"x".repeat(3_000_000)}\n`, "not_json"],
  ] as const) {
    const { broken } = await verifyLines(1, (all) => all.splice(2, 0, junk));
    assert.deepEqual(place(broken), { segment: 1, line: 3, kind });
  }
});

test("a record replaced by a forged one with its own hash made right breaks the link after it", async () => {
  const { broken } = await verifyLines(1, (all) => {
    const { seq, prev, time, id } = JSON.parse(all[2]!) as Event;
    all[2] = `${sealLine(denial(1, { verdict: "allow" }), seq, prev, time, id).line}\n`;
  });
  assert.deepEqual(place(broken), { segment: 1, line: 4, kind: "unlinked" });
});

test("a record rewritten from some point on with all its hashes made anew is found by a seal, or by the head", async () => {
  const rewrite = (contents: (string | Buffer)[]) => {
    let link = genesis;
    for (const [index, all] of lines.entries()) {
      let text = "";
      for (const line of all) {
        const { seq, time, id } = JSON.parse(line) as Event;
        const sealed = sealLine(denial(1, { verdict: "allow" }), seq, link.hash, time, id);
        link = { seq, hash: sealed.hash };
        text += `${sealed.line}\n`;
      }
      contents[index] = text;
    }
  };
  const sealed = await verifyWith(rewrite);
  assert.deepEqual(place(sealed.broken), { segment: 0, line: 0, kind: "seal_edited" });
  const { broken } = await verifyWith((contents) => {
    rewrite(contents);
    for (const file of readdirSync(join(work, "events"))) if (/seal/.test(file)) unlinkSync(join(work, "events", file));
  });
  assert.equal(broken!.kind, "edited");
  assert.equal(broken!.seq, count);
  assert.match(broken!.message, /head\.json/);
});

test("records cut from the end, whole ones or at any byte, are found by the head", async () => {
  const last = files.at(-1)!;
  for (let size = 0; size < last.length; size += 7) {
    const { ok, broken } = await verifyWith((contents) => {
      contents[contents.length - 1] = last.subarray(0, size);
    });
    const kept = last.subarray(0, size).toString("latin1").split("\n").length;
    assert.equal(ok, false);
    assert.deepEqual(place(broken), { segment: names.length - 1, line: kept, kind: "truncated" }, `${size}`);
  }
});

test("a segment removed, emptied, cut or renamed", async () => {
  const removed = copyOf(original);
  unlinkSync(join(removed, "events", names[1]!));
  assert.deepEqual(place((await verifyRecord(removed)).broken), { segment: 2, line: 1, kind: "removed" });

  const first = copyOf(original);
  unlinkSync(join(first, "events", names[0]!));
  assert.deepEqual(place((await verifyRecord(first)).broken), { segment: 1, line: 1, kind: "removed" });

  const emptied = await verifyWith((contents) => (contents[1] = ""));
  assert.deepEqual(place(emptied.broken), { segment: 2, line: 1, kind: "removed" });

  const cut = await verifyWith((contents) => (contents[1] = files[1]!.subarray(0, -20)));
  assert.deepEqual(place(cut.broken), { segment: 1, line: lines[1]!.length, kind: "truncated" });

  const renamed = copyOf(original);
  renameSync(join(renamed, "events", names[0]!), join(renamed, "events", "events-000000000002.ndjson"));
  const { broken } = await verifyRecord(renamed);
  assert.deepEqual([broken!.segment, broken!.kind], ["events-000000000002.ndjson", "reordered"]);

  const all = copyOf(original);
  for (const name of names) unlinkSync(join(all, "events", name));
  assert.equal((await verifyRecord(all)).broken!.kind, "truncated");
});

test("a head that is gone or damaged is not taken for a record that is whole", async () => {
  for (const change of [
    (path: string) => unlinkSync(path),
    (path: string) => truncateSync(path, 20),
    (path: string) => writeFileSync(path, readFileSync(path, "utf8").replace(/"seq":\d+/, '"seq":-1')),
  ]) {
    const copy = copyOf(original);
    change(join(copy, "events", "head.json"));
    const { ok, broken } = await verifyRecord(copy);
    assert.deepEqual([ok, broken!.kind], [false, "truncated"]);
    assert.match(broken!.message, /head\.json is (missing|damaged)/);
  }
});

test("a record may be verified while it is written", async () => {
  const directory = temporary();
  const spool = await Spool.open({ directory, flushMs: 1, syncMs: 5, flushBytes: 3000, segmentBytes: 20_000 });
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 30; i++) spool.append(denial(i));
    assert.equal((await verifyRecord(directory)).broken, null);
  }
  await spool.close();
  assert.equal((await verifyRecord(directory)).records, 600);
});

test("a directory without a record is an error, not a verified one", async () => {
  await assert.rejects(verifyRecord(temporary()), { code: "RECORD_UNREADABLE" });
});

test("what is no file under a segment's name, a link, a pipe, a folder, is not read: its records are missing, and nothing hangs", async () => {
  const [, name] = names;
  const elsewhere = join(temporary(memory), "segment");
  for (const put of [
    // Also one that leads to the very segment: what is behind a link can be another thing a moment later.
    (path: string) => (renameSync(path, elsewhere), symlinkSync(elsewhere, path)),
    (path: string) => (unlinkSync(path), symlinkSync("/dev/zero", path)),
    (path: string) => (unlinkSync(path), execFileSync("mkfifo", [path])),
    (path: string) => (unlinkSync(path), mkdirSync(path)),
  ]) {
    const directory = copyOf(original, memory);
    put(join(directory, "events", name!));
    const { ok, broken, notes } = await verifyRecord(directory);
    assert.deepEqual([ok, broken?.kind], [false, "removed"]);
    assert.match(notes.join(), new RegExp(`${name} is not a segment`));
    const ports = (await allEvents(directory)).map(({ seq }) => seq);
    assert.ok(ports.length > 0 && !ports.includes(Number(/\d{12}/.exec(name!)![0])));
    // A start says so and goes on.
    await writeRecord(directory, 1);
    const told = await allEvents(directory, { kind: "lifecycle" });
    assert.ok(told.some(({ data }) => JSON.stringify(data).includes(name!)));
    rmSync(elsewhere, { force: true });
  }
});

test("a newest segment that is a link or a pipe is moved out of the way at the start", async () => {
  for (const put of [
    (path: string) => symlinkSync("/etc/passwd", path),
    (path: string) => execFileSync("mkfifo", [path]),
  ]) {
    const directory = temporary(memory);
    await writeRecord(directory, 3);
    const path = join(directory, "events", "events-000000000004.ndjson");
    put(path);
    await assert.rejects(openSegment({ path }), /ELOOP|no regular file/);
    await writeRecord(directory, 2);
    assert.deepEqual((await allEvents(directory, { kind: "connection" })).length, 5);
  }
});
