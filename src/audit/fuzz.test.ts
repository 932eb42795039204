/**
 * The record under fuzz: whatever stands in its files, reading, verifying and recovering end with an answer, and a changed byte of
 * a whole record never verifies.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { fuzzTarget } from "../../test/support/fuzz.ts";
import { joinParts, splitParts } from "../../test/support/parts.ts";
import { readRetention } from "./beginning.ts";
import { GENESIS, genesis, openLine, sealLine, verifyLine, type DefectKind } from "./chain.ts";
import { parseTime } from "./clock.ts";
import { makeKeyPair } from "./key.ts";
import { readKnownHeads } from "./known-heads.ts";
import { readEvents } from "./read.ts";
import { readReport } from "./report-file.ts";
import { recover } from "./recover.ts";
import { memory, segmentsOf, temporary, writeRecord } from "./test-support.ts";
import { verifyRecord } from "./verify.ts";

const model = temporary(memory);
await writeRecord(model, 4);
const segment = readFileSync(join(model, "events", segmentsOf(model)[0]!));
const head = readFileSync(join(model, "events", "head.json"));
const lines = segment.toString("latin1").split("\n").slice(0, -1);

/** Last record and hash of the model's segment. */
const end = { last: lines.length, head: openLine(Buffer.from(lines.at(-1)!, "latin1"))!.hash };
/** A record that retention deletes, as itself and as something that only looks like it. */
const retentions = [
  { after: genesis, ends: [{ seq: 2, hash: GENESIS }], missing: [{ first: 1, last: 1 }] },
  { after: null, ends: [], missing: 1 },
].map((retention, i) => {
  const event = { kind: "lifecycle", data: { retention } } as const;
  return sealLine(event, i + 5, end.head, "2026-01-01T00:00:00.000000Z", "01M8APX9CMZSVDTCJFVCHFP5F0").line;
});

const latin1 = (text: string) => Uint8Array.from(Buffer.from(text, "latin1"));

type LineWord = "whole" | Exclude<DefectKind, "reordered" | "truncated">;

/** Whether a record stands elsewhere or is missing at the end, one line cannot tell. */
fuzzTarget<LineWord>({
  name: "audit-line",
  grammar: [
    fc.constantFrom(...lines, ...retentions).map(latin1),
    fc.json({ maxDepth: 2 }).map((text) => Uint8Array.from(Buffer.from(text))),
    fc
      .tuple(
        fc.constantFrom("[]", '["true"]', "null"),
        fc.array(fc.oneof(fc.constantFrom(...lines), fc.json()), { maxLength: 3 }),
      )
      .map(([command, events]) =>
        latin1(`{"schema":"sallyport.run/1","command":${command},"events":[${events.join(",")}]}`),
      ),
  ],
  outcomes: { whole: true, edited: true, not_json: true, removed: true, inserted: true, unlinked: true },
  check: (bytes, pick) => {
    const line = Buffer.from(bytes);
    const sealed = openLine(line);
    const before = [genesis, { seq: 1, hash: genesis.hash }, { seq: 9, hash: genesis.hash }][pick(3)]!;
    const check = verifyLine(line, sealed === null ? before : { seq: sealed.seq - 1, hash: sealed.prev });
    assert.equal(check.ok, sealed !== null);
    if (sealed !== null) {
      assert.ok(Number.isSafeInteger(sealed.seq) && sealed.seq > 0);
      assert.ok(parseTime(sealed.time) === null || Number.isSafeInteger(parseTime(sealed.time)));
    }
    const retention = readRetention(line);
    if (retention !== null) assert.deepEqual([retention.seq, retention.ends.length > 0], [sealed!.seq, true]);
    const report = readReport(line.toString("utf8"));
    if (report !== null) {
      assert.ok(report.skipped >= 0 && report.events.every(({ schema }) => schema === "sallyport.event/1"));
    }
    const other = verifyLine(line, before);
    if (other.ok) return "whole";
    assert.ok(other.defect.kind !== "reordered" && other.defect.kind !== "truncated");
    return other.defect.kind;
  },
});

const directory = temporary(memory);
const events = join(directory, "events");

const file = fc.oneof(
  fc.shuffledSubarray(lines, { minLength: 1 }).map((some) => `${some.join("\n")}\n`),
  fc.nat(segment.length).map((size) => segment.toString("latin1", 0, size)),
  fc.constant(segment.toString("latin1")),
  fc.constantFrom("", "\n", "{}\n", "\n\n"),
);
const heads = fc.oneof(
  { weight: 4, arbitrary: fc.constant(head.toString()) },
  fc.constantFrom(
    "",
    "{}",
    "null",
    '{"schema":"sallyport.head/1","seq":1e300,"hash":""}',
    head.toString().replace('"seq":4', '"seq":9'),
  ),
);

const name = "events-000000000001.ndjson";
const good = { schema: "sallyport.seal/1", segment: name, first: 1, prev: GENESIS, bytes: segment.length, ...end };
const seals = fc.oneof(
  fc.constant(JSON.stringify({ ...good, sealed: "2026-01-01T00:00:00.000000Z" })),
  fc.constantFrom("{}", "[]", JSON.stringify(good), JSON.stringify({ ...good, sealed: "", last: 3 })),
);
const stranger = makeKeyPair(join(temporary(memory), "key"));

type RecordWord = "good" | "torn" | "empty" | `broken_${DefectKind}` | "broken_seal_edited";

/**
 * A head, up to two segments and a seal of the first; what the verification says, and the same of the one that a start makes of
 * it. No input is signed by a key that was made just now.
 */
fuzzTarget<RecordWord>({
  name: "audit-record",
  grammar: [
    fc.tuple(heads, file).map((both) => joinParts(both.map(latin1))),
    fc.tuple(heads, file, file).map((all) => joinParts(all.map(latin1))),
    fc.tuple(heads, file, file, seals).map((all) => joinParts(all.map(latin1))),
  ],
  outcomes: {
    good: true,
    torn: true,
    empty: true,
    broken_edited: true,
    broken_removed: true,
    broken_reordered: true,
    broken_inserted: true,
    broken_unlinked: true,
    broken_truncated: true,
    broken_not_json: true,
    broken_seal_edited: true,
  },
  check: async (bytes) => {
    const [headBytes = new Uint8Array(0), ...segments] = splitParts(bytes);
    rmSync(events, { recursive: true, force: true });
    mkdirSync(events);
    writeFileSync(join(events, "head.json"), headBytes);
    let first = 1;
    for (const each of segments.slice(0, 2)) {
      writeFileSync(join(events, `events-${String(first).padStart(12, "0")}.ndjson`), each);
      first += Buffer.from(each).toString("latin1").split("\n").length - 1 || 1;
    }
    if (segments[2] !== undefined) writeFileSync(join(events, "events-000000000001.seal.json"), segments[2]);
    assert.equal((await verifyRecord(directory, [stranger])).ok, false);
    const known = readKnownHeads(Buffer.from(headBytes).toString());
    assert.ok(typeof known === "number" ? known >= 1 : known.every(({ seq }) => seq >= 1));
    const check = await verifyRecord(directory);
    assert.equal(check.ok, check.broken === null);
    const recovery = await recover(directory);
    assert.ok(Number.isSafeInteger(recovery.link.seq) && recovery.link.seq >= check.records);
    if (recovery.resume !== null) assert.ok(recovery.resume.position >= 0);
    for await (const event of readEvents(directory)) assert.equal(event.schema, "sallyport.event/1");
    if (check.broken !== null) return `broken_${check.broken.kind}` as RecordWord;
    // What verifies is what was written, record by record.
    const read = segments.slice(0, 2).flatMap((each) => Buffer.from(each).toString("latin1").split("\n"));
    assert.equal(read.filter((line) => openLine(Buffer.from(line, "latin1")) !== null).length, check.records);
    if (check.notes.length > 0) return "torn";
    return check.records === 0 ? "empty" : "good";
  },
});
