/**
 * A receipt that a required check takes shows a job that was enforced to its end. Each way to have one without that is refused,
 * with the reason: real records, real keys, real files.
 */
import assert from "node:assert/strict";
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { loadSigningKey, loadTrustedKey, makeKeyPair } from "../audit/key.ts";
import { Spool } from "../audit/spool.ts";
import { verifyRecord } from "../audit/verify.ts";
import { makeReceipt, type Receipt, receiptEvent, receiptText } from "./receipt.ts";
import { copyRecord } from "./record-copy.ts";
import { jobReport } from "./testing/job.ts";
import { type ReceiptDemands, verifyReceipt } from "./verify-receipt.ts";

const folder = mkdtempSync(join(tmpdir(), "sallyport-receipt-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const keyFile = join(folder, "key");
const otherKey = join(folder, "other");
const policy = createHash("sha256").update("version: 1\n").digest("hex");
const reportText = "{}\n";

/** A job's record with a receipt, as the agent makes it. */
async function job(name: string, part: Partial<Receipt>, key: string | null = keyFile): Promise<Job> {
  const state = join(folder, name);
  const signing = key === null ? null : loadSigningKey(key);
  const spool = await Spool.open({ directory: state, key: signing, segmentBytes: 4_000, flushBytes: 500 });
  for (let port = 1; port <= 20; port++) {
    spool.append({
      ...{ kind: "connection", verdict: port === 3 ? "deny" : "allow" },
      destination: { name: "a.example", name_from: "sni", port, protocol: "tls" },
    });
  }
  if (name === "tampered") spool.append({ kind: "tamper", message: "the firewall's rules are gone" });
  await spool.flush();
  const { seq, head } = spool.status();
  const report = jobReport({ record: { events: seq, head, lost: name === "lost" ? 3 : 0 } });
  report.policy.hash = policy;
  report.counts.denied = 1;
  const receipt = { ...makeReceipt(report, reportText, { made: 9, passed: 9 }), ...part };
  const text = receiptText(receipt, signing);
  spool.append(receiptEvent(text));
  await spool.flush();
  const record = join(folder, `${name}-copy`);
  copyRecord(state, record);
  await spool.close();
  return { text, record, receipt };
}

interface Job {
  text: string;
  record: string;
  receipt: Receipt;
}

let good: Job;
before(async () => {
  makeKeyPair(keyFile);
  makeKeyPair(otherKey);
  good = await job("good", {});
});

function ask(text: string, part: Partial<ReceiptDemands>): ReturnType<typeof verifyReceipt> {
  return verifyReceipt(text, { maxGaps: 0, policies: null, record: null, keys: [], report: null, ...part });
}

const all = (): Partial<ReceiptDemands> => ({
  record: good.record,
  keys: [loadTrustedKey(`${keyFile}.pub`)],
  policies: () => [policy],
  report: reportText,
});

async function refusal(text: string, part: Partial<ReceiptDemands>): Promise<string> {
  const { ok, reasons } = await ask(text, part);
  assert.equal(ok, false);
  assert.ok(reasons.length > 0);
  return reasons.join("\n");
}

/** The receipt with something else in it, by who has no key. */
const altered = (part: Partial<Receipt>) => {
  const { signature } = JSON.parse(good.text) as { signature: string };
  const { key, ...rest } = JSON.parse(good.text) as Receipt & { signature?: string };
  delete rest.signature;
  return `${JSON.stringify({ ...rest, ...part, key, signature })}\n`;
};

test("the copy of the record is one that verifies, with its seals and its signed head", async () => {
  const keys = [loadTrustedKey(`${keyFile}.pub`)];
  const { ok, records, segments, seals, notes } = await verifyRecord(good.record, keys);
  assert.deepEqual([ok, records, seals.checked], [true, 21, true]);
  assert.ok(segments > 1);
  assert.deepEqual(notes, []);
});

test("a good one is taken with everything asked for; what was not asked for is said", async () => {
  assert.deepEqual(await ask(good.text, all()), {
    ok: true,
    reasons: [],
    unchecked: [],
    receipt: JSON.parse(JSON.stringify({ ...good.receipt, key: loadTrustedKey(`${keyFile}.pub`).id })),
  });
  const { ok, unchecked } = await ask(good.text, {});
  assert.equal(ok, true);
  assert.equal(unchecked.length, 3);
});

test("what the agent itself admits is a reason each", async () => {
  const whole = false;
  const cases: [string, Partial<Receipt>, RegExp][] = [
    ["gaps", { gaps: 2, whole }, /^Something did not hold at some time: 2 gaps, 0 are let pass\.$/],
    ["admits", { tampering: 1, whole }, /^The firewall was tampered with \(once\)\.$/],
    ["checks", { checks: { made: 9, passed: 7 }, whole }, /^2 of 9 checks for tampering did not pass\.$/],
    ["unlooked", { checks: { made: 0, passed: 0 } }, /^No check for tampering was made\.$/],
    ["monitor", { mode: "monitor" }, /^The job was watched and not enforced \(monitor mode\)\.$/],
    ["lost", {}, /^The record lacks 3 events\.$/],
    ["other policy", { policy: "0".repeat(64) }, /^Another policy was in force: 000000000000\.$/],
  ];
  for (const [name, part, reason] of cases) {
    const { text, record } = await job(name, part);
    assert.match(await refusal(text, { ...all(), record }), reason, name);
  }
});

test("gaps are let pass where somebody says how many, tampering never is", async () => {
  const { text } = await job("few gaps", { gaps: 2, checks: { made: 9, passed: 7 }, whole: false });
  assert.equal((await ask(text, { maxGaps: 2 })).ok, true);
  assert.match(await refusal(text, { maxGaps: 1 }), /2 gaps, 1 are let pass/);
});

test("one that was altered is refused: by its signature, and without a key by the record", async () => {
  const text = altered({ denied: 0 });
  assert.match(await refusal(text, all()), /^Its signature is not of these bytes: it was altered\.$/m);
  assert.match(await refusal(text, { record: good.record }), /^The record does not tell of this receipt/m);
  const late = altered({ until: "2026-01-01T13:00:00.000Z" });
  assert.match(await refusal(late, { record: good.record }), /^The record does not tell of this receipt/m);
});

test("a whole that its own numbers contradict is refused without record and key", async () => {
  assert.match(
    await refusal(altered({ gaps: 1 }), { maxGaps: 5 }),
    /^It says whole: true, and its own numbers say false\.$/,
  );
});

test("one without a signature, or with another's, is refused where a key is asked for", async () => {
  const unsigned = await job("unsigned", {}, null);
  assert.match(await refusal(unsigned.text, all()), /^It is not signed\.$/m);
  assert.equal((await ask(unsigned.text, { record: unsigned.record })).ok, true, "where none is asked for it is taken");
  const other = await job("other key", {}, otherKey);
  assert.match(await refusal(other.text, { ...all(), record: other.record }), /^It is signed with another key\.$/m);
});

test("another job's receipt does not fit this record", async () => {
  const other = await job("other job", {});
  assert.match(await refusal(other.text, all()), /^The record does not vouch for it: Record \d+ is not the one/m);
});

test("a record that ends before the receipt, or was edited, is refused", async () => {
  const cut = join(folder, "cut");
  cpSync(good.record, cut, { recursive: true });
  const events = join(cut, "events");
  const last = readdirSync(events)
    .filter((name) => name.endsWith(".ndjson"))
    .toSorted()
    .at(-1)!;
  const lines = readFileSync(join(events, last), "utf8").split("\n");
  writeFileSync(
    join(events, last),
    lines
      .slice(0, -2)
      .map((line) => `${line}\n`)
      .join(""),
  );
  assert.match(await refusal(good.text, { record: cut }), /^The record does not vouch for it: The record ends at/);
  const edited = join(events, "events-000000000001.ndjson");
  writeFileSync(join(events, last), lines.join("\n"));
  writeFileSync(edited, readFileSync(edited, "utf8").replace("a.example", "b.example"));
  assert.match(await refusal(good.text, { record: cut }), /^The record does not vouch for it: Record \d+ was changed/);
});

test("the record's tampering counts, whatever the receipt says of it", async () => {
  const { text, record } = await job("tampered", {});
  assert.match(await refusal(text, { ...all(), record }), /^The record has 1 events of tampering, and it admits 0\.$/);
});

test("a receipt that claims more than the record has is refused", async () => {
  const { text, record } = await job("claims", { denied: 7 });
  assert.match(await refusal(text, { ...all(), record }), /^It counts 7 refusals, and the record has 1\.$/);
});

test("the report must be the one it was made with", async () => {
  assert.match(await refusal(good.text, { ...all(), report: "{ }\n" }), /^The report is not the one/);
});

test("what is no receipt is refused: cut, more members, another schema, nothing", async () => {
  for (const text of [
    good.text.slice(0, -40),
    "",
    "null",
    "[]",
    altered({ schema: "sallyport.receipt/2" as never }),
    altered({ extra: 1 } as never),
  ]) {
    assert.match(await refusal(text, {}), /^It is no receipt of a job/);
  }
});

test("a copy of a record that is being written ends with a whole line, and verifies", async () => {
  const state = join(folder, "living");
  const spool = await Spool.open({ directory: state });
  spool.append({ kind: "lifecycle", message: "one" });
  await spool.flush();
  appendFileSync(join(state, "events/events-000000000001.ndjson"), '{"schema":"sallyport.ev');
  const to = join(folder, "living-copy");
  copyRecord(state, to);
  copyRecord(state, to);
  const { ok, records, notes } = await verifyRecord(to);
  assert.deepEqual({ ok, records, notes }, { ok: true, records: 1, notes: [] });
  await spool.close();
});
