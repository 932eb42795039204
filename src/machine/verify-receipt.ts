/**
 * Whether a receipt shows what a check requires: that a job was enforced from its start to its end, by this policy, and that the
 * record it is of is whole. Every reason against it is told, not the first alone.
 *
 * Without a record a receipt is what somebody says; without a key it is what anybody can write who can write the file. What was
 * not looked at is in `unchecked`.
 */
import { createHash } from "node:crypto";
import { KnownHeads } from "../audit/known-heads.ts";
import { readEvents } from "../audit/read.ts";
import { checkSignature, readStatement, type TrustedKey } from "../audit/signature.ts";
import { verifyRecord } from "../audit/verify.ts";
import { type Receipt, receiptMessage, receiptSchema } from "./receipt.ts";

export interface ReceiptDemands {
  /** How many gaps are let pass. */
  maxGaps: number;
  /** SHA-256 of the policy's text, any of these; null: whichever. */
  policies: ((mode: Receipt["mode"]) => readonly string[]) | null;
  /** Folder of the record (with `events/` in it); null: not looked at. */
  record: string | null;
  /** Empty: signatures are not looked at. */
  keys: readonly TrustedKey[];
  /** The text of the report's file; null: not looked at. */
  report: string | null;
}

export interface ReceiptVerdict {
  ok: boolean;
  /** Why not, a sentence each. */
  reasons: string[];
  /** What the answer does not say. */
  unchecked: string[];
  receipt: Receipt | null;
}

/** Checks the text of a receipt's file. RECORD_UNREADABLE where there is no record in the folder. */
export async function verifyReceipt(text: string, demands: ReceiptDemands): Promise<ReceiptVerdict> {
  const statement = readStatement(text);
  const parsed = receiptSchema.safeParse(statement?.members);
  if (statement === null || !parsed.success) {
    const reasons = ["It is no receipt of a job: it was cut, altered or is something else."];
    return { ok: false, reasons, unchecked: [], receipt: null };
  }
  const receipt = parsed.data;
  const { keys, record, report } = demands;
  const reasons = said(receipt, demands);
  const unchecked: string[] = [];
  if (keys.length === 0) unchecked.push("who made it; give the public key with --key");
  else reasons.push(...signed(checkSignature(statement.signature, keys)));
  if (report === null) unchecked.push("the report; give it with --report");
  else if (sha256(report) !== receipt.report) reasons.push("The report is not the one that it was made with.");
  if (record === null) unchecked.push("the record; give its folder with --record");
  else reasons.push(...(await recorded(text, receipt, record, keys)));
  return { ok: reasons.length === 0, reasons, unchecked, receipt };
}

/** What it admits itself. */
function said(receipt: Receipt, { maxGaps, policies }: ReceiptDemands): string[] {
  const { mode, gaps, checks, tampering, chain, whole, policy, from, until } = receipt;
  const reasons: string[] = [];
  if (mode === "monitor") reasons.push("The job was watched and not enforced (monitor mode).");
  if (gaps > maxGaps) reasons.push(`Something did not hold at some time: ${gaps} gaps, ${maxGaps} are let pass.`);
  if (tampering > 0)
    reasons.push(`The firewall was tampered with (${tampering === 1 ? "once" : `${tampering} times`}).`);
  if (checks.made === 0) reasons.push("No check for tampering was made.");
  if (checks.passed > checks.made) reasons.push("More checks for tampering passed than were made.");
  // A check that found something is a gap as well, and those can be let pass.
  else if (checks.passed < checks.made && checks.made - checks.passed > maxGaps) {
    reasons.push(`${checks.made - checks.passed} of ${checks.made} checks for tampering did not pass.`);
  }
  if (chain.lost > 0) reasons.push(`The record lacks ${chain.lost} events.`);
  if (Date.parse(until) < Date.parse(from)) reasons.push("It ends before it begins.");
  const isWhole = gaps === 0 && tampering === 0 && chain.lost === 0 && checks.made === checks.passed;
  if (whole !== isWhole) reasons.push(`It says whole: ${whole}, and its own numbers say ${isWhole}.`);
  if (policies !== null && !policies(mode).includes(policy)) {
    reasons.push(`Another policy was in force: ${policy.slice(0, 12)}.`);
  }
  return reasons;
}

function signed(check: ReturnType<typeof checkSignature>): string[] {
  const texts = {
    good: null,
    unsigned: "It is not signed.",
    other_key: "It is signed with another key.",
    wrong: "Its signature is not of these bytes: it was altered.",
  };
  return texts[check] === null ? [] : [texts[check]];
}

/** The record must be whole, pass through the receipt's head, and tell of the receipt afterwards. */
async function recorded(
  text: string,
  { chain, tampering, denied }: Receipt,
  directory: string,
  keys: readonly TrustedKey[],
): Promise<string[]> {
  const { events, head } = chain;
  const { ok, broken } = await verifyRecord(directory, keys, new KnownHeads([{ seq: events, hash: head }]));
  if (!ok) {
    const message = broken?.message ?? "it is broken";
    return [`The record does not vouch for it: ${message}`];
  }
  const own = sha256(text);
  let isTold = false;
  let tampered = 0;
  let refused = 0;
  for await (const { seq, kind, verdict, message, data, count = 1 } of readEvents(directory)) {
    if (seq > events) isTold ||= kind === "lifecycle" && message === receiptMessage && data?.["receipt"] === own;
    else if (kind === "tamper") tampered += count;
    else if (verdict === "deny" && (kind === "connection" || kind === "dns")) refused += count;
  }
  const reasons: string[] = [];
  if (!isTold) reasons.push("The record does not tell of this receipt: it was altered, or is of another job.");
  if (tampered > tampering) reasons.push(`The record has ${tampered} events of tampering, and it admits ${tampering}.`);
  // What the self-test tried is in the record and is not the job's.
  if (refused < denied) reasons.push(`It counts ${denied} refusals, and the record has ${refused}.`);
  return reasons;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
