/**
 * What the exporter reads that others wrote, under fuzz: answers of sinks, cursors, the record's segments; and the configuration,
 * which is a person's. Damaged, they are nothing, the beginning, or a problem with its place; never a record twice or out of
 * order, and never a gap that is not told.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { loadSigningKey, makeKeyPair } from "../audit/key.ts";
import { memory } from "../audit/test-support.ts";
import { sealLine } from "../audit/chain.ts";
import { SallyportError } from "../errors.ts";
import { loadConfig, type Secrets } from "../config/config.ts";
import { parseRetryAfter } from "./backoff.ts";
import { parseCursor } from "./cursor.ts";
import { beginning } from "./record.ts";
import { readPartialSuccess } from "./sinks/otlp.ts";
import { isAcknowledged, readAckId } from "./sinks/splunk.ts";
import { readBatch } from "./tail.ts";

const [prev, time, id] = ["5f".repeat(32), "2026-05-04T09:12:31.204518Z", "01KQS0C7ZM3T9V8Q4B5N6P7R8S"] as const;
const state = mkdtempSync(join(memory, "sp-export-"));
mkdirSync(join(state, "events"));
process.on("exit", () => rmSync(state, { recursive: true, force: true }));
const segment = join(state, "events", "events-000000000001.ndjson");

const number = fc.oneof(fc.nat(9), fc.constantFrom<unknown>(-1, 1e300, 0.5, null, "7", "1", true, {}, []));
const json = (value: fc.Arbitrary<unknown>) => asBytes(value.map((each) => JSON.stringify(each)));
const lines = fc
  .array(
    fc.oneof(
      fc.nat(9).map((seq) => sealLine({ kind: "dns" }, seq, prev, time, id).line),
      fc.constantFrom("", "{", '{"seq":3}', "null"),
    ),
    { maxLength: 6 },
  )
  .map((each) => each.map((line) => `${line}\n`).join(""));
const sink = fc.record(
  {
    name: fc.constantFrom("a", "A", "b", "../x", ""),
    to: fc.constantFrom("file", "webhook", "syslog", "otlp", "splunk", "x"),
    path: fc.constantFrom("/var/log/x", "x"),
    url: fc.constantFrom("https://siem.example/in", "http://siem.example", "http://u:p@siem.example", "ftp://x", "x"),
    address: fc.constantFrom("tcp://log.example:514", "tls://[2001:db8::1]:6514", "udp://x:0", "x"),
    format: fc.constantFrom("ocsf", "cef", "xml"),
    headers: fc.dictionary(
      fc.constantFrom("authorization", "host", "a b"),
      fc.constantFrom<unknown>({ env: "T" }, { file: "t" }, "t"),
      { maxKeys: 2 },
    ),
    token: fc.constantFrom<unknown>({ env: "T" }, { env: "NONE" }, "t"),
    kinds: fc.constantFrom(["dns"], ["x"], []),
  },
  { requiredKeys: ["name", "to"] },
);

const amount = fc.constantFrom<unknown>("1 MiB", "10 GiB", "1 kB", "90d", "0d", "999999d", "1d ", "", 7, -1, null, []);
makeKeyPair(join(state, "key"));
const owner = loadSigningKey(join(state, "key"));

const secrets: Secrets = {
  signingKey: (path) => {
    if (path === "k") return { file: path, key: owner };
    throw new SallyportError("KEY_UNUSABLE", "The key cannot be used.");
  },
  readFile: (path) => {
    if (path !== "t") throw Object.assign(new Error(path), { code: "ENOENT" });
    return "secret\n";
  },
  variable: (name) => (name === "T" ? "secret" : undefined),
};

fuzzTarget({
  name: "sink-answers",
  grammar: [
    json(
      fc.record({
        schema: fc.constantFrom("sallyport.cursor/1", "x"),
        seq: number,
        hash: fc.constantFrom("", "c1".repeat(32), "z"),
        segment: number,
        offset: number,
      }),
    ),
    json(
      fc.record({ partialSuccess: fc.record({ rejectedLogRecords: number, errorMessage: fc.constantFrom("x", 1) }) }),
    ),
    json(fc.record({ ackId: number, acks: fc.dictionary(fc.constantFrom("7", "8"), fc.boolean()) })),
    asBytes(fc.constantFrom("120", " 5 ", "-1", "Wed, 21 Oct 2015 07:28:00 GMT", "Soon, 1", "1e9", "9999999999")),
    asBytes(lines),
    json(
      fc.record(
        {
          version: fc.constantFrom(1, 2),
          metrics: fc.constantFrom("9464", "x:1", 9464),
          record: fc.record(
            {
              sign_key: fc.constantFrom("k", "none"),
              segment_size: amount,
              segment_age: amount,
              keep_for: amount,
              keep_size: amount,
              keep_fro: amount,
            },
            { requiredKeys: [] },
          ),
          export: fc.array(sink, { maxLength: 3 }),
        },
        { requiredKeys: ["version"] },
      ),
    ),
  ],
  outcomes: {
    cursor: true,
    wait: true,
    partial: true,
    ack_id: true,
    acknowledged: true,
    records: true,
    config: true,
    nothing: true,
  },
  check: async (bytes) => {
    const text = textOf(bytes);
    const cursor = parseCursor(text);
    if (cursor !== null)
      assert.ok([cursor.seq, cursor.segment, cursor.offset].every((each) => Number.isSafeInteger(each) && each >= 0));
    const wait = parseRetryAfter(text, 1_400_000_000_000);
    assert.ok(wait === null || (wait >= 0 && Number.isFinite(wait)));
    const partial = readPartialSuccess(text, 5);
    assert.ok(partial.rejected >= 0 && partial.rejected <= 5);
    const ackId = readAckId(text);
    const isThere = isAcknowledged(text, 7);
    const config = loadConfig(text, "fuzz.yaml", secrets);
    if ("problems" in config) {
      assert.ok(config.problems.length > 0);
      for (const { line, column, message, fix } of config.problems) {
        assert.ok(line >= 1 && column >= 1 && message !== "" && fix !== "");
      }
    } else {
      const { segmentBytes, segmentAgeMs, keepMs, keepBytes } = config.record;
      for (const each of [segmentBytes, segmentAgeMs, keepMs, keepBytes]) {
        assert.ok(each === null || (Number.isSafeInteger(each) && each > 0), text);
      }
    }
    writeFileSync(segment, bytes);
    const read = await readRecord();
    if (cursor !== null) return "cursor";
    if (wait !== null) return "wait";
    if (partial.rejected > 0) return "partial";
    if (isThere) return "acknowledged";
    if (ackId !== null) return "ack_id";
    if (read > 0) return "records";
    return "problems" in config ? "nothing" : "config";
  },
});

/** Reads the segment in batches of two; each record once, in order, and every number accounted for. */
async function readRecord(): Promise<number> {
  const durable = 8;
  let at = beginning;
  let read = 0;
  for (;;) {
    const batch = await readBatch(state, at, durable, { records: 2, bytes: 4_096 });
    assert.ok(batch.records.length <= 2);
    let seq = at.seq;
    const missing = batch.troubles.filter(({ kind }) => kind === "missing");
    for (const { event } of batch.records) {
      if (event.seq !== seq + 1)
        assert.deepEqual(missing.shift(), { kind: "missing", first: seq + 1, last: event.seq - 1 });
      seq = event.seq;
    }
    assert.ok(missing.length === 0 && seq <= durable && batch.end.seq === seq);
    read += batch.records.length;
    if (batch.records.length === 0) return read;
    at = batch.end;
  }
}
