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
import { genesis, openLine, verifyLine, type DefectKind } from "./chain.ts";
import { parseTime } from "./clock.ts";
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

const latin1 = (text: string) => Uint8Array.from(Buffer.from(text, "latin1"));

type LineWord = "whole" | Exclude<DefectKind, "reordered" | "truncated">;

/** Whether a record stands elsewhere or is missing at the end, one line cannot tell. */
fuzzTarget<LineWord>({
  name: "audit-line",
  grammar: [
    fc.constantFrom(...lines).map(latin1),
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

type RecordWord = "good" | "torn" | "empty" | `broken_${DefectKind}`;

/** A head and up to two segments; what the verification says, and the same of the one that a start makes of it. */
fuzzTarget<RecordWord>({
  name: "audit-record",
  grammar: [
    fc.tuple(heads, file).map((both) => joinParts(both.map(latin1))),
    fc.tuple(heads, file, file).map((all) => joinParts(all.map(latin1))),
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
    const check = await verifyRecord(directory);
    assert.equal(check.ok, check.broken === null);
    const recovery = await recover(directory);
    assert.ok(Number.isSafeInteger(recovery.link.seq) && recovery.link.seq >= check.records);
    if (recovery.resume !== null) assert.ok(recovery.resume.position >= 0);
    for await (const event of readEvents(directory)) assert.equal(event.schema, "sallyport.event/1");
    if (check.broken !== null) return `broken_${check.broken.kind}`;
    // What verifies is what was written, record by record.
    const read = segments.slice(0, 2).flatMap((each) => Buffer.from(each).toString("latin1").split("\n"));
    assert.equal(read.filter((line) => openLine(Buffer.from(line, "latin1")) !== null).length, check.records);
    if (check.notes.length > 0) return "torn";
    return check.records === 0 ? "empty" : "good";
  },
});
