/**
 * Runs cases on a stand, one after the other, and scores each at the far end and in the record. What an outcome means is
 * `score.ts`'s; here is what happened.
 */
import type { Event } from "../../src/audit/event.ts";
import type { Sighting } from "../lab/sink.ts";
import { brief, type Expected } from "../support/record.ts";
import { type Attack, type Case, type Family, type Work } from "./case.ts";
import { Job } from "./job.ts";
import type { Stand } from "./stands/stand.ts";

/** What one case did on one stand. */
export type Happening = {
  marker: string;
  ms: number;
  /** Where the marker, or payload, was seen. */
  arrived: string[];
  /** The event that was asked for. */
  event?: Event;
  expected?: Expected;
  /** Others recorded meanwhile: what the record says instead. Of a work whose event is there: denials. */
  instead: Event[];
  /** Of a work: what it resolved with, as text. */
  outcome?: string;
  /** It could not be tried, or a work failed. */
  failure?: string;
};

/** How long the record may take. */
const recordMs = 6_000;

export async function happen(each: Case, stand: Stand, family: Family): Promise<Happening> {
  const job = new Job(stand, family);
  const marker = stand.lab.marker();
  const start = performance.now();
  const after = stand.record?.mark ?? "";
  const happening = await (each.kind === "attack" ? attack(each, job, marker, after) : work(each, job, marker, after));
  return { ...happening, ms: Math.round(performance.now() - start) };
}

async function attack(each: Attack, job: Job, marker: string, after: string): Promise<Happening> {
  const happening: Happening = { marker, ms: 0, arrived: [], instead: [] };
  try {
    await each.run(job, marker);
  } catch (error) {
    happening.failure = error instanceof Error ? error.message : String(error);
  }
  const { record } = job.stand;
  if (record !== null) {
    const isMonitor = job.stand.mode === "monitor";
    const refusal = (isMonitor ? each.foretold : null) ?? each.refusal;
    const expected = typeof refusal === "function" ? refusal(job, marker) : refusal;
    const verdict = isMonitor ? { verdict: "would_deny", enforced: false } : { verdict: "deny", enforced: true };
    happening.expected = { ...verdict, ...expected };
    // What is let go on purpose (an option is stripped, a name is read) is recorded as allowed, not as an enforced refusal.
    if (expected["verdict"] === "allow") delete happening.expected["enforced"];
    const found = await record.find(happening.expected, after, each.slow === true ? 60_000 : recordMs);
    if (found === undefined) happening.instead = record.recorded({ verdict: verdict.verdict }, after).slice(0, 8);
    else happening.event = found;
  }
  if (each.arrived === undefined) happening.arrived = (await job.lab.sink.find(marker)).slice(0, 4).map(seen);
  else {
    const { bytes, where } = await each.arrived(job, marker);
    happening.arrived = bytes > 0 ? [`${bytes} bytes at ${where}`] : [];
  }
  return happening;
}

async function work(each: Work, job: Job, marker: string, after: string): Promise<Happening> {
  const happening: Happening = { marker, ms: 0, arrived: [], instead: [] };
  try {
    happening.outcome = JSON.stringify(await each.run(job)) ?? "";
  } catch (error) {
    happening.failure = error instanceof Error ? error.message : String(error);
  }
  const { record } = job.stand;
  const { allowance } = each;
  if (record !== null && allowance !== undefined) {
    const expected = typeof allowance === "function" ? allowance(job) : allowance;
    happening.expected = { verdict: "allow", reason: "rule", ...expected };
    const found = await record.find(happening.expected, after, recordMs);
    if (found === undefined) happening.instead = record.recorded({ kind: "connection" }, after).slice(0, 8);
    else happening.event = found;
  }
  if (record !== null && happening.instead.length === 0) {
    happening.instead = record.recorded({ verdict: "deny" }, after).slice(0, 8);
  }
  return happening;
}

function seen(sighting: Sighting): string {
  const { witness, ...rest } = sighting;
  return `${witness}: ${JSON.stringify(rest)}`.slice(0, 300);
}

/** What of an event a reader of the matrix needs. */
export function eventEvidence(event: Event): object {
  const { seq, verdict, reason, stage, rule, destination, dns, count } = event;
  return { seq, verdict, reason, stage, rule: rule?.name ?? null, tier: rule?.tier, destination, dns, count };
}

export function insteadText(events: readonly Event[]): string {
  return events.map(brief).join("\n");
}
