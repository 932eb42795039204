/**
 * The engine's answers are those of a plain pass over the same events: every question, any bounds and limit, over several
 * gateways at once, whatever lies in Parquet already, is sealed and not yet copied, is being written, or is torn.
 */
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { mutated } from "../../test/support/fuzz.ts";
import { readEvents } from "../audit/read.ts";
import { questions, type QuestionName } from "./questions.ts";
import { answerNaively, type Seen } from "./testing/naive.ts";
import { connection, epoch, Recorder, select, timed, using } from "./testing/records.ts";

const segment = fc.array(timed, { maxLength: 30 });
const record = fc.record({
  /** Sealed and copied by an earlier question; sealed since; being written. */
  copied: fc.array(segment, { maxLength: 3 }),
  sealed: fc.array(segment, { maxLength: 2 }),
  live: segment,
  torn: fc.constantFrom("", '{"schema":"sallyport.event/1","ti', "{"),
});
const moment = fc.option(
  fc.nat(42).map((step) => epoch + step * 250_000),
  { nil: null },
);

const weekAgo = () => (Date.now() - 7 * 24 * 3_600_000) * 1000;

test("every question is answered as a plain pass would", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { minLength: 1, maxLength: 2 }),
      moment,
      moment,
      fc.constantFrom(1, 3, 40),
      async (records, since, until, limit) => {
        const recorders: Recorder[] = [];
        try {
          for (const { copied, sealed, live, torn } of records) {
            const recorder = new Recorder();
            recorders.push(recorder);
            // A segment that is not the newest is sealed; an empty one would take the next one's name.
            for (const events of copied.filter(({ length }) => length > 0)) recorder.segment(events);
            if (recorder.events.length > 0) await using({ inputs: [recorder.directory] }, async () => {});
            for (const events of sealed.filter(({ length }) => length > 0)) recorder.segment(events);
            recorder.segment(live, torn);
          }
          const events: Seen[] = recorders.flatMap(({ directory, events }) =>
            events.map((event) => ({ gateway: directory, event })),
          );
          const inputs = recorders.map(({ directory }) => directory);
          await using({ inputs, since, until }, async (query) => {
            for (const name of Object.keys(questions) as QuestionName[]) {
              const { fields, rows, more } = await query.ask(name, limit);
              const from = since ?? (questions[name].sinceMs === null ? null : weekAgo());
              const naive = answerNaively(name, events, { since: from, until, limit: limit + 1 });
              const expected = naive.slice(0, limit).map((row) => fields.map((field) => row[field.name] ?? null));
              assert.deepEqual(rows, expected, name);
              assert.equal(more, naive.length > limit, name);
            }
          });
        } finally {
          for (const { directory } of recorders) rmSync(directory, { recursive: true, force: true });
        }
      },
    ),
    { numRuns: Number(process.env["SALLYPORT_QUERY_RUNS"] ?? 15), interruptAfterTimeLimit: 60_000 },
  );
});

const sample = (() => {
  const recorder = new Recorder();
  const path = recorder.segment([
    connection("a.example", {
      count: 3,
      data: { text: 'q" \\ \u0000 \ud83d\ude00', list: [1, null, { deep: [true] }] },
    }),
    connection("b.example", { kind: "flow_end", bytes: { up: 5, down: 6 } }),
  ]);
  return readFileSync(path, "latin1").split("\n").slice(0, -1);
})();

/** Written by somebody else, a few bytes wrong, or of another program: what a line is, `readEvents` says. */
const damaged = fc.oneof(
  fc.constantFrom(...sample).map((line) => Buffer.from(line, "latin1")),
  mutated(sample.map((line) => Uint8Array.from(Buffer.from(line, "latin1")))).map((bytes) => Buffer.from(bytes)),
  fc.json().map((text) => Buffer.from(text)),
  fc
    .constantFrom("", " ", "null", "{", "NaN", `${sample[0]!}x`, `${sample[0]!} `, `\ufeff${sample[0]!}`)
    .map((text) => Buffer.from(text, "latin1")),
);

test("whatever stands in a segment, sealed or live, SQL sees the events that readEvents sees, or says that it does not", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(damaged, { maxLength: 20 }),
      fc.boolean(),
      fc.boolean(),
      async (lines, isSealed, isTorn) => {
        const recorder = new Recorder();
        try {
          const path = recorder.segment([connection("x.example")]);
          if (isSealed) recorder.segment([connection("y.example")]);
          const bytes = lines.flatMap((line) => [line, Buffer.from("\n")]);
          writeFileSync(path, Buffer.concat(isTorn ? bytes.slice(0, -1) : bytes));
          let events = 0;
          let skipped = 0;
          const blank = lines.some((line) => /^\s*$/.test(line.toString("latin1")));
          for await (const event of readEvents(recorder.directory, { onSkip: () => skipped++ })) {
            assert.equal(event.schema, "sallyport.event/1");
            events++;
          }
          const notes: string[] = [];
          const options = { inputs: [recorder.directory], onNote: (text: string) => notes.push(text) };
          assert.deepEqual(await select("SELECT count(*) FROM events", options), [[events]]);
          if (!blank) assert.equal(notes.length > 0, skipped > 0);
        } finally {
          rmSync(recorder.directory, { recursive: true, force: true });
        }
      },
    ),
    { numRuns: Number(process.env["SALLYPORT_QUERY_RUNS"] ?? 15), interruptAfterTimeLimit: 60_000 },
  );
});
