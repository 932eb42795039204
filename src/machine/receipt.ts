/**
 * The receipt: what a check can require of a job. It says which policy was in force from when to when, whether there was a gap,
 * and where the chain of the record stood when it was made, so that it cannot be claimed of another record. The record in turn
 * has the receipt's own digest as a later event. A statement of one line, signed where the machine has a key (`audit/signature.ts`).
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { EventBody } from "../audit/event.ts";
import { type SigningKey, statementText } from "../audit/signature.ts";
import type { JobReport } from "./job-report.ts";

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);

export const receiptSchema = z.strictObject({
  schema: z.literal("sallyport.receipt/1"),
  version: z.string(),
  job: z.strictObject({
    repository: z.string(),
    workflow: z.string(),
    job: z.string(),
    run_id: z.string(),
    run_attempt: z.string(),
    runner: z.string(),
  }),
  mode: z.enum(["enforce", "monitor"]),
  /** SHA-256 of the policy's text. */
  policy: digest,
  /** RFC 3339. */
  from: z.iso.datetime(),
  until: z.iso.datetime(),
  /** Things that did not hold at some time, so that it could not be vouched for that the policy was in force. */
  gaps: count,
  checks: z.strictObject({ made: count, passed: count }),
  tampering: count,
  /** The mode never became a weaker one. */
  downgraded: z.literal(false),
  /** The record's last hash and number when this was made. */
  chain: z.strictObject({ head: digest, events: count, lost: count }),
  /** SHA-256 of the report's file. */
  report: digest,
  denied: count,
  whole: z.boolean(),
  /** Id of the key that signed it. */
  key: z.string().optional(),
});

export type Receipt = z.infer<typeof receiptSchema>;

/** `report` is the text of the report's file. */
export function makeReceipt(report: JobReport, text: string, checks: Receipt["checks"]): Receipt {
  const { version, job, mode, policy, started, until, record, counts, degraded } = report;
  return {
    schema: "sallyport.receipt/1",
    version,
    job,
    mode,
    policy: policy.hash,
    from: started,
    until,
    gaps: degraded.length,
    checks,
    tampering: counts.tampering,
    downgraded: false,
    chain: { head: record.head, events: record.events, lost: record.lost },
    report: sha256(text),
    denied: counts.denied,
    whole: degraded.length === 0 && counts.tampering === 0 && record.lost === 0 && checks.made === checks.passed,
  };
}

/** A receipt as its file's text. */
export function receiptText(receipt: Receipt, key: SigningKey | null): string {
  return statementText(receipt, key);
}

/** What the record says of a receipt, by the text of its file. */
export function receiptEvent(text: string): EventBody {
  return { kind: "lifecycle", message: receiptMessage, data: { receipt: sha256(text) } };
}

export const receiptMessage = "receipt made";

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
