/**
 * The receipt: what a check can require of a job. It says which policy was in force from when to when, whether there was a gap,
 * and where the chain of the record ends, so that it cannot be claimed of another record.
 */
import { createHash } from "node:crypto";
import type { JobIdentity, JobReport } from "./job-report.ts";

export interface Receipt {
  schema: "sallyport.receipt/1";
  version: string;
  job: JobIdentity;
  mode: "enforce" | "monitor";
  /** SHA-256 of the policy's content. */
  policy: string;
  from: string;
  until: string;
  /** Times at which it could not be vouched for that the policy was in force. */
  gaps: number;
  checks: { made: number; passed: number };
  /** The mode never became a weaker one. */
  downgraded: false;
  /** The record's last hash and number, and the report's SHA-256. */
  chain: { head: string; events: number; lost: number };
  report: string;
  denied: number;
  whole: boolean;
}

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
    downgraded: false,
    chain: { head: record.head, events: record.events, lost: record.lost },
    report: createHash("sha256").update(text).digest("hex"),
    denied: counts.denied,
    whole: degraded.length === 0 && counts.tampering === 0 && record.lost === 0 && checks.made === checks.passed,
  };
}
