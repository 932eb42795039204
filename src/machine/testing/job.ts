/** Reports of jobs for tests: whole ones, with what a test is about put in. */
import type { EventProcess } from "../../audit/event.ts";
import type { JobReport } from "../job-report.ts";
import type { JobRow } from "../job-rows.ts";

export function process(part: Partial<EventProcess> = {}): EventProcess {
  return {
    pid: 1200,
    exe: "/usr/bin/curl",
    args: ["curl", "https://files.example/"],
    uid: 1001,
    user: "runner",
    ancestors: [],
    step: "build",
    step_number: 2,
    action: null,
    step_by: "descent",
    container: null,
    runner: false,
    certain: true,
    ...part,
  };
}

export function jobRow(part: Partial<JobRow> = {}): JobRow {
  return {
    verdict: "allow",
    reason: part.verdict === undefined || part.verdict === "allow" ? "rule" : "default",
    rule: part.verdict === undefined || part.verdict === "allow" ? "packages" : null,
    tier: 3,
    name: "files.example",
    ip: null,
    port: 443,
    protocol: "tls",
    process: process(),
    count: 1,
    first: "2026-01-01T12:00:01.000000Z",
    last: "2026-01-01T12:00:01.000000Z",
    bytes_up: 1_500,
    bytes_down: 250_000,
    ech: false,
    ...part,
  };
}

/** Counts are made from the connections and findings. */
export function jobReport(part: Partial<JobReport> = {}): JobReport {
  const { connections = [], detections = [], tampering = [] } = part;
  const sum = (verdict: JobRow["verdict"]) =>
    connections.filter((row) => row.verdict === verdict).reduce((all, { count }) => all + count, 0);
  return {
    schema: "sallyport.job/1",
    version: "0.1.0",
    job: { repository: "o/r", workflow: "ci", job: "build", run_id: "77", run_attempt: "1", runner: "r1" },
    mode: "enforce",
    policy: { hash: "ab".repeat(32), file: ".github/sallyport.yaml", from: ".github/sallyport.yaml of o/r at main" },
    started: "2026-01-01T12:00:00.000Z",
    until: "2026-01-01T12:05:00.000Z",
    degraded: [],
    limits: [],
    counts: {
      allowed: sum("allow"),
      denied: sum("deny"),
      would_deny: sum("would_deny"),
      detections: detections.length,
      tampering: tampering.length,
    },
    connections: [...connections],
    earlier: [],
    detections: [...detections],
    tampering: [...tampering],
    record: { events: 40, head: "cd".repeat(32), lost: 0 },
    ...part,
  };
}
