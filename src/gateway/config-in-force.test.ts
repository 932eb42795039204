/**
 * A configuration that changes under a gateway: its sinks are in force at once and miss nothing, what needs a restart is said and
 * not done, and what does not load changes nothing. A real record, the real exporter's processes, real files.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { EventBody } from "../audit/event.ts";
import { Spool } from "../audit/spool.ts";
import { denial, memory, temporary, until } from "../audit/test-support.ts";
import { loadConfigFile } from "../config/config.ts";
import type { Exporter } from "../export/exporter.ts";
import { ConfigInForce } from "./config-in-force.ts";
import { recordSettings } from "./record-settings.ts";

const state = temporary(memory);
const file = join(state, "sallyport.config.yaml");
const token = join(state, "token");
const told: EventBody[] = [];
let exporter: Exporter | null = null;
let spool: Spool;
let config: ConfigInForce;

const out = (name: string) => join(state, `${name}.ndjson`);
const sink = (name: string) => `  - { name: ${name}, to: file, path: ${out(name)} }\n`;
const write = (text: string) => writeFileSync(file, `version: 1\n${text}`);
const seqs = (name: string): number[] =>
  existsSync(out(name))
    ? readFileSync(out(name), "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { seq: number }).seq)
    : [];
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

before(async () => {
  spool = await Spool.open({ directory: state, syncMs: 20 });
  write(`record: { keep_for: 90d }\nexport:\n${sink("one")}`);
  config = new ConfigInForce(loadConfigFile(file), {
    state,
    hasMetricsOption: false,
    check: (next) => void recordSettings({ signKey: null, retention: { keepMs: null, keepBytes: 2 ** 30 } }, next),
    record: (event) => told.push(event),
    exporter: (next) => (exporter = next),
  });
  config.start();
});
after(async () => {
  await config.stop(0);
  await spool.close();
});

async function record(count: number): Promise<void> {
  for (let i = 0; i < count; i++) spool.append(denial(1 + i));
  await spool.flush();
}

test("another sink is in force at once, from the oldest record on; the first goes on where it was", async () => {
  await record(5);
  await until("one has five", () => seqs("one").length >= 5);
  assert.equal(await config.reload(), "unchanged");
  const first = exporter;
  write(`record: { keep_for: 90d }\nexport:\n${sink("one")}${sink("two")}`);
  assert.equal(await config.reload(), "in force");
  assert.notEqual(exporter, first);
  assert.deepEqual(config.sinks(), ["one", "two"]);
  await record(5);
  await until("both have ten", () => seqs("one").length >= 10 && seqs("two").length >= 10);
  assert.deepEqual([seqs("one"), seqs("two")], [upTo(10), upTo(10)]);
  assert.deepEqual(told.at(-1), {
    kind: "lifecycle",
    message: "configuration in force",
    data: { file, sinks: ["one", "two"], restart: [] },
  });
});

test("what does not load, or contradicts the command line, changes nothing, and is told", async () => {
  for (const [text, code, message] of [
    ["exprt: []\n", "CONFIG_INVALID", /unknown key/],
    [`record: { keep_size: 2 GiB }\n`, "CONFIG_CONFLICT", /--keep-size says something else/],
  ] as const) {
    write(text);
    await assert.rejects(config.reload(), { code, message });
    assert.match(config.view().rejected!.message, message);
    assert.deepEqual([config.sinks(), told.at(-1)?.message], [["one", "two"], "configuration rejected"]);
  }
  await record(1);
  await until("the sinks go on", () => seqs("two").length >= 11);
});

test("the record's settings wait for a restart, by name; put back, they do not", async () => {
  write(`metrics: 9464\nrecord: { keep_for: 30d }\nexport:\n${sink("one")}${sink("two")}`);
  assert.equal(await config.reload(), "in force; a restart is needed for metrics, record.keep_for");
  assert.deepEqual(config.view().restart, ["metrics", "record.keep_for"]);
  assert.equal(config.view().rejected, null);
  assert.equal(await config.reload(), "unchanged; a restart is needed for metrics, record.keep_for");
  write(`record: { keep_for: 90d }\nexport:\n${sink("one")}${sink("two")}`);
  await config.reload();
  assert.deepEqual(config.view().restart, []);
});

test("a secret that changes alone, and no sink at all", async () => {
  const hook = `export:\n  - { name: hook, to: webhook, url: "http://127.0.0.1:9/", headers: { a: { file: token } } }\n`;
  writeFileSync(token, "old\n");
  write(`record: { keep_for: 90d }\n${hook}`);
  assert.equal(await config.reload(), "in force");
  assert.equal(await config.reload(), "unchanged");
  writeFileSync(token, "new\n");
  assert.equal(await config.reload(), "in force");
  write(`record: { keep_for: 90d }\n`);
  await config.reload();
  assert.deepEqual([exporter, config.sinks()], [null, []]);
});
