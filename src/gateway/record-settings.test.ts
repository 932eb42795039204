/** What the command line and the configuration say of the record: either, both the same, and never one against the other. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { loadSigningKey, makeKeyPair } from "../audit/key.ts";
import { memory, temporary } from "../audit/test-support.ts";
import { loadConfig, type Config } from "../config/config.ts";
import { recordSettings, restartNeeds } from "./record-settings.ts";

const folder = temporary(memory);
const [one, two] = ["one", "two"].map((name) => (makeKeyPair(join(folder, name)), join(folder, name))) as [
  string,
  string,
];
const day = 24 * 3_600_000;

function config(text: string): Config {
  const loaded = loadConfig(`version: 1\n${text}`, "c.yaml", {
    readFile: () => assert.fail(),
    variable: () => undefined,
    signingKey: (file) => ({ file, key: loadSigningKey(file) }),
  });
  assert.ok(!("problems" in loaded), JSON.stringify(loaded));
  return loaded;
}

const nothing = { signKey: null, retention: { keepMs: null, keepBytes: null } };
const all = `record: { sign_key: ${one}, segment_size: 2 MiB, segment_age: 1h, keep_for: 90d, keep_size: 1 GiB }\n`;

test("either place may say it, and both the same", () => {
  const written = recordSettings(nothing, config(all));
  assert.deepEqual(written, {
    signingKey: loadSigningKey(one),
    retention: { keepMs: 90 * day, keepBytes: 2 ** 30 },
    segments: { segmentBytes: 2 * 2 ** 20, segmentAgeMs: 3_600_000 },
  });
  const given = { signKey: one, retention: { keepMs: 90 * day, keepBytes: 2 ** 30 } };
  assert.deepEqual(recordSettings(given, config(all)), written);
  assert.deepEqual(recordSettings(given, null), { ...written, segments: {} });
  assert.deepEqual(recordSettings(nothing, null), { signingKey: null, retention: nothing.retention, segments: {} });
});

test("one against the other is an error that names both, with the line", () => {
  const cases = [
    [{ ...nothing, signKey: two }, /--sign-key says something else than record\.sign_key in c\.yaml:2/],
    [{ ...nothing, retention: { keepMs: day, keepBytes: null } }, /--keep-for .* record\.keep_for in c\.yaml:2/],
    [{ ...nothing, retention: { keepMs: null, keepBytes: 1 } }, /--keep-size .* record\.keep_size in c\.yaml:2/],
  ] as const;
  for (const [given, message] of cases) {
    assert.throws(() => recordSettings(given, config(all)), { code: "CONFIG_CONFLICT", message });
  }
});

test("what only a restart changes is named, and what is put back is not", () => {
  const before = config(`metrics: 9464\n${all}`);
  const other = `record: { sign_key: ${two}, segment_size: 2 MiB, segment_age: 1h, keep_for: 30d, keep_size: 1 GiB }\n`;
  assert.deepEqual(restartNeeds(before, config(`metrics: 9464\n${other}`), false), [
    "record.sign_key",
    "record.keep_for",
  ]);
  assert.deepEqual(restartNeeds(before, config(all), false), ["metrics"]);
  assert.deepEqual(restartNeeds(before, config(all), true), []);
  assert.deepEqual(restartNeeds(before, config(`metrics: 9464\n${all}export: []\n`), false), []);
});
