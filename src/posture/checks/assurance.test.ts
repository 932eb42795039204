/**
 * RG-21 and RG-22 by what our commands print: a real record, verified with its key, without, and broken; and simulations by their age
 * and by what got out. What is none of these is unknown, and a gateway's retention is measured against what was asked for.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadSigningKey, loadTrustedKey, makeKeyPair } from "../../audit/key.ts";
import { copyOf, segmentsOf, temporary, writeRecord } from "../../audit/test-support.ts";
import { verifyRecord } from "../../audit/verify.ts";
import { techniques } from "../../simulate/catalogue.ts";
import type { Result } from "../../simulate/judge.ts";
import { simulationOf } from "../../simulate/outcome.ts";
import { check, now, repository } from "../testing/repository.ts";
import { checkEvidence } from "./assurance.ts";

const said = (value: unknown, limits = {}) =>
  checkEvidence([{ path: "e.json", text: typeof value === "string" ? value : JSON.stringify(value) }], {
    now,
    ...limits,
  }).map(({ rule, status, severity, seen }) => `${rule} ${status} ${severity}: ${seen}`);
const matches = (list: string[], ...patterns: RegExp[]) => {
  assert.equal(list.length, patterns.length, list.join("\n"));
  for (const [i, pattern] of patterns.entries()) assert.match(list[i]!, pattern);
};

test("a record holds where a key vouches for it, fails where nobody signed it or somebody changed it", async () => {
  const [key, signed, unsigned] = [join(temporary(), "key"), temporary(), temporary()];
  makeKeyPair(key);
  const small = { segmentBytes: 3000, flushBytes: 500 };
  await writeRecord(signed, 30, { ...small, key: loadSigningKey(key) });
  await writeRecord(unsigned, 30, small);
  matches(said(await verifyRecord(signed, [loadTrustedKey(`${key}.pub`)])), /^RG-21 pass .*30 records holds, signed/);
  matches(said(await verifyRecord(signed)), /^RG-21 unknown .*nobody gave a key/);
  matches(said(await verifyRecord(unsigned)), /^RG-21 fail medium: .*no seal is signed/);
  const broken = copyOf(signed);
  const file = join(broken, "events", segmentsOf(broken)[1]!);
  writeFileSync(file, readFileSync(file, "utf8").replace(/"port":\d+/, '"port":9'));
  const [line] = said(await verifyRecord(broken));
  assert.match(line!, /^RG-21 fail high: the record is broken at .*\.ndjson, record \d+: /);
});

/** A report as the simulator writes it. */
const simulation = (ended: string, verdicts: Result["verdict"][], mode: "enforce" | "monitor" = "enforce") => {
  const blocked = techniques.filter(({ expected }) => expected === "blocked");
  const results = verdicts.map((verdict, i): Result => {
    return { technique: blocked[i]!, verdict, why: "", saw: null, sightings: [], denial: null };
  });
  const policy = { file: "p.yaml", hash: "0", mode };
  const machine = { kernel: "6", architecture: "x64", node: "26" };
  return simulationOf({ version: "0", started: ended, ended, mode: "range", policy, sink: null, machine }, results);
};

test("a simulation counts while it is young, enforcing and whole", () => {
  matches(
    said(simulation("2026-08-03T00:00:00Z", ["blocked", "blocked"])),
    /^RG-22 pass .*90 days ago; 90 are allowed/,
  );
  matches(said(simulation("2026-08-02T00:00:00Z", ["blocked"])), /^RG-22 fail low: .*91 days ago/);
  matches(said(simulation("2026-08-02T00:00:00Z", ["blocked"]), { testDays: 365 }), /^RG-22 pass/);
  matches(
    said(simulation("2026-10-31T00:00:00Z", ["blocked", "reached"])),
    /^RG-22 fail high: 1 of 2 techniques got out/,
  );
  matches(
    said(simulation("2026-10-31T00:00:00Z", ["blocked", "inconclusive"])),
    /^RG-22 unknown .*could not be judged/,
  );
  matches(said(simulation("2026-10-31T00:00:00Z", ["blocked"], "monitor")), /^RG-22 unknown .*only watches/);
  matches(said(simulation("2026-10-31T00:00:00Z", [])), /^RG-22 unknown .*tried nothing/);
  matches(said(simulation("2031-10-31T00:00:00Z", ["blocked"])), /^RG-22 unknown/);
});

test("what is neither is unknown, under both", () => {
  for (const text of ["{", "[]", "{}", '{"ok":true}', '{"schema":"sallyport.simulate/2"}'])
    matches(said(text), /^RG-21 unknown/, /^RG-22 unknown/);
});

test("a gateway's retention, by its configuration", () => {
  const kept = (text: string) =>
    check(repository({}, { files: new Map([["sallyport.config.yaml", text]]) }))
      .filter(({ rule }) => rule === "RG-21")
      .map((each) => `${each.check} ${each.status}`);
  assert.deepEqual(kept("record: { keep_for: 90d, sign_key: k }\n"), ["kept-for pass", "signed pass"]);
  assert.deepEqual(kept("record: { keep_for: 89d }\n"), ["kept-for fail", "signed unknown"]);
  assert.deepEqual(kept("record: { keep_for: 365d, keep_size: 1 GiB }\n"), ["kept-for unknown", "signed unknown"]);
  assert.deepEqual(kept("export: []\n"), ["kept-for pass", "signed unknown"], "nothing deletes it");
  assert.deepEqual(kept("record: { keep_for: soon }\n"), ["kept-for unknown", "signed unknown"]);
  assert.deepEqual(kept("record: [\n"), ["kept-for unknown"]);
});
