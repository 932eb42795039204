/** `sallyport receipt verify` as a required check meets it: the real launcher, a real record, exit codes and reasons. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { inMode } from "../action/job-policy.ts";
import { loadSigningKey, makeKeyPair } from "../audit/key.ts";
import { Spool } from "../audit/spool.ts";
import { makeReceipt, receiptEvent, receiptText } from "../machine/receipt.ts";
import { copyRecord } from "../machine/record-copy.ts";
import { jobReport } from "../machine/testing/job.ts";

const launcher = fileURLToPath(new URL("../../sallyport", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "sallyport-receipt-cli-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
// As in a repository: its mode is what egress-policy makes of it.
const policy = "version: 1\ndefault: { mode: monitor }\n";

function verify(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(launcher, ["receipt", "verify", ...args], { encoding: "utf8" });
  return { code: status, stdout, stderr };
}

before(async () => {
  makeKeyPair(at("key"));
  makeKeyPair(at("other"));
  const key = loadSigningKey(at("key"));
  const spool = await Spool.open({ directory: at("state"), key });
  spool.append({ kind: "lifecycle", message: "started" });
  await spool.flush();
  const { seq, head } = spool.status();
  const report = jobReport({ record: { events: seq, head, lost: 0 } });
  report.policy.hash = createHash("sha256").update(inMode(policy, "enforce")).digest("hex");
  const text = receiptText(makeReceipt(report, "{}\n", { made: 5, passed: 5 }), key);
  spool.append(receiptEvent(text));
  await spool.flush();
  copyRecord(at("state"), at("record"));
  await spool.close();
  writeFileSync(at("receipt.json"), text);
  writeFileSync(at("report.json"), "{}\n");
  writeFileSync(at("policy.yaml"), policy);
  writeFileSync(at("other.yaml"), "version: 1\n");
});

test("a good receipt: exit 0, what it shows, and what was not checked", () => {
  const asked = ["--record", at("record"), "--policy", at("policy.yaml"), "--key", at("key.pub")];
  const { code, stdout, stderr } = verify(at("receipt.json"), ...asked);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^The receipt holds: build of o\/r, run 77, was enforced from 2026-01-01T12:00:00\.000Z to /);
  assert.match(stdout, /checks {3}5 of 5 for tampering passed; 0 connections denied/);
  assert.match(stdout, /not checked: the report; give it with --report/);
  const whole = verify(at("receipt.json"), ...asked, "--report", at("report.json"));
  assert.doesNotMatch(whole.stdout, /not checked/);
});

test("what is not as asked: exit 1 with every reason", () => {
  const asked = ["--state", at("record"), "--policy", at("other.yaml"), "--key", at("other.pub")];
  const { code, stdout, stderr } = verify(at("receipt.json"), ...asked);
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /- Another policy was in force: /);
  assert.match(stderr, /- It is signed with another key\./);
  assert.match(stderr, /\(RECEIPT_REFUSED\)/);
  const json = verify(at("receipt.json"), ...asked, "--json");
  assert.equal(json.code, 1);
  assert.ok((JSON.parse(json.stdout) as { reasons: string[] }).reasons.length >= 2);
});

test("files that are not there: exit 2, and which", () => {
  const { code, stderr } = verify(at("nothing.json"));
  assert.equal(code, 2);
  assert.match(stderr, /nothing\.json cannot be read.*\n.*RECEIPT_UNREADABLE/);
  assert.equal(verify(at("receipt.json"), "--record", at("none")).code, 2);
});
