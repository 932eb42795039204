/** What is known of a job when it ends, or at any time before: made from the record, so that it says what the record says. */
import type { Event } from "../audit/event.ts";
import { readEvents } from "../audit/read.ts";
import type { FlowView } from "../enforcer/status.ts";
import { version } from "../version.ts";
import { type JobRow, JobRows } from "./job-rows.ts";

/** The schema of `report.json` (docs/action.md). */
export interface JobReport {
  schema: "sallyport.job/1";
  version: string;
  job: JobIdentity;
  mode: "enforce" | "monitor";
  policy: { hash: string; file: string; from: string };
  /** RFC 3339: from when to when this report looks. */
  started: string;
  until: string;
  /** What did not hold, in words; empty: all that was promised was kept. */
  degraded: string[];
  /** What this machine cannot be made to hold, whatever is configured. */
  limits: string[];
  counts: { allowed: number; denied: number; would_deny: number; detections: number; tampering: number };
  connections: JobRow[];
  /** Connections that were open before. */
  earlier: EarlierConnection[];
  detections: Finding[];
  tampering: Finding[];
  record: { events: number; head: string; lost: number };
}

export interface JobIdentity {
  repository: string;
  workflow: string;
  job: string;
  run_id: string;
  run_attempt: string;
  runner: string;
}

export interface EarlierConnection {
  ip: string;
  port: number;
  protocol: string;
  exe: string | null;
  /** Of the runner itself, or of whoever else was first. */
  runner: boolean;
  kept: boolean;
}

/** Something that was noticed, with its evidence. */
export interface Finding {
  time: string;
  type: string;
  message: string;
  process: Event["process"] | null;
  data: Record<string, unknown>;
}

/** What the agent knows and the record does not. */
export type JobFacts = Omit<
  JobReport,
  "schema" | "version" | "until" | "counts" | "connections" | "detections" | "tampering"
>;

/** Markdown of a report for a person; what that says is no matter of the machine's. */
export type Summarise = (
  report: JobReport,
  status: { state: "enforcing" | "monitoring" | "lost"; problems: readonly string[] },
  wanted: { policy_path: string; proposal: string | null; fail_on: readonly string[] },
) => string;

const mostFindings = 500;

/** Reads the record of the job, from `first` on, and makes the report. `live` are the connections that have no end yet. */
export async function makeReport(
  state: string,
  first: number,
  live: readonly FlowView[],
  facts: JobFacts,
): Promise<JobReport> {
  const rows = new JobRows();
  const counts = { allowed: 0, denied: 0, would_deny: 0, detections: 0, tampering: 0 };
  const detections: Finding[] = [];
  const tampering: Finding[] = [];
  const note = (list: Finding[], event: Event) => {
    if (list.length < mostFindings) list.push(findingOf(event));
  };
  for await (const event of readEvents(state)) {
    if (event.seq < first) continue;
    rows.add(event);
    const count = event.count ?? 1;
    if (event.kind === "detection") {
      counts.detections += count;
      note(detections, event);
    } else if (event.kind === "tamper") {
      counts.tampering += count;
      note(tampering, event);
    } else if (event.kind === "connection" || (event.kind === "dns" && event.verdict !== "allow")) {
      if (event.verdict === "allow") counts.allowed += count;
      else if (event.verdict === "deny") counts.denied += count;
      else if (event.verdict === "would_deny") counts.would_deny += count;
    }
  }
  for (const flow of live) rows.live(flow);
  return {
    schema: "sallyport.job/1",
    version,
    ...facts,
    until: new Date().toISOString(),
    counts,
    connections: rows.rows(),
    detections,
    tampering,
  };
}

function findingOf(event: Event): Finding {
  const { type, ...evidence } = event.detection ?? { type: event.kind };
  return {
    time: event.time,
    type,
    message: event.message ?? type,
    process: event.process ?? null,
    data: { ...event.data, ...evidence },
  };
}
