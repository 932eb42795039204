/**
 * The events to build a baseline from: state directories, and reports of `sallyport run --report`. Each place counts once,
 * however often it is named.
 */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { readRetention } from "../audit/beginning.ts";
import { formatTime, parseTime } from "../audit/clock.ts";
import type { Event } from "../audit/event.ts";
import { readLines } from "../audit/lines.ts";
import { eventOf, readEvents } from "../audit/read.ts";
import { listSegments, openSegment, type Segment, unreadable } from "../audit/segment.ts";
import { SallyportError } from "../errors.ts";
import { readReport } from "../audit/report-file.ts";
import { jobOfCommand, type Input } from "./runs.ts";

/** An event and where it was recorded. */
export interface Recorded {
  event: Event;
  input: Input;
}

export interface ReadOptions {
  /** RFC 3339: events of that time and later. */
  since?: string | undefined;
  /** Told of each line that is no event. */
  onSkip?: () => void;
}

/**
 * Streams the events of all places, one place after the other, each in its own order. Rejects with RECORD_UNREADABLE,
 * REPORT_INVALID, or USAGE for a `since` that is no time; a place that cannot be read is never passed over.
 */
export async function* readRecorded(paths: readonly string[], options: ReadOptions): AsyncGenerator<Recorded> {
  const seen = new Set<string>();
  const since = options.since === undefined ? undefined : timeText(options.since);
  for (const path of paths) {
    const real = resolve(path);
    if (seen.has(real)) continue;
    seen.add(real);
    const given = { ...options, since };
    yield* statSync(real).isDirectory() ? fromRecord(real, given) : fromReport(real, given);
  }
}

/** As the record writes times, so that they compare as text. */
function timeText(since: string): string {
  const micros = parseTime(since);
  if (micros !== null) return formatTime(micros);
  throw new SallyportError("USAGE", `${since} is not an RFC 3339 time, for example 2026-01-31T08:00:00Z.`);
}

function resolve(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw new SallyportError("RECORD_UNREADABLE", `There is no ${path}.`, { path }, error);
  }
}

async function* fromRecord(directory: string, { since, onSkip }: ReadOptions): AsyncGenerator<Recorded> {
  const input: Input = { id: directory, kind: (await isOfRuns(directory)) ? "runs" : "gateway", job: null };
  const filter = { ...(since === undefined ? {} : { since }), ...(onSkip === undefined ? {} : { onSkip }) };
  for await (const event of readEvents(directory, filter)) yield { event, input };
}

/**
 * True for a record that `sallyport run --state` wrote: its interfaces are a run's, and it was taken away with the run. The
 * record of a gateway is told by its first start, and where that was pruned by its last segments, so that it is not read twice.
 */
async function isOfRuns(directory: string): Promise<boolean> {
  const { segments } = await listSegments(directory);
  if (segments[0]?.first !== 1) return await isOfRunsAtItsEnd(segments);
  for await (const { message, data } of readEvents(directory, { kind: "lifecycle" })) {
    if (message === "started" && !isInsideOfRun(data)) return false;
    if (message === "stopped") return data?.["leave"] === "gone";
  }
  return false;
}

async function isOfRunsAtItsEnd(segments: readonly Segment[]): Promise<boolean> {
  for (const segment of segments.toReversed()) {
    const says = await segmentIsOfRuns(segment).catch((error: NodeJS.ErrnoException) => {
      // Retention deletes while it is looked at.
      if (error.code === "ENOENT") return null;
      throw unreadable(segment.path, error);
    });
    if (says !== null) return says;
  }
  return false;
}

const lifecycle = Buffer.from('"kind":"lifecycle"');

/**
 * Null where nothing in a segment says. A gateway prunes while it enforces. The record of runs is pruned between two of them, by
 * hand and under the lock: there the next event is a start.
 */
async function segmentIsOfRuns(segment: Segment): Promise<boolean | null> {
  const handle = await openSegment(segment);
  let says: boolean | null = null;
  let isPruned = false;
  try {
    for await (const lines of readLines(handle)) {
      for (const { bytes } of lines) {
        const event = isPruned || bytes.includes(lifecycle) ? eventOf(bytes) : null;
        if (event === null) continue;
        if (event.kind !== "lifecycle") {
          if (isPruned) return false;
          continue;
        }
        const { message, data } = event;
        if (message === "started" && !isInsideOfRun(data)) return false;
        if (message === "stopped") says = data?.["leave"] === "gone";
        if (message === "started" || message === "stopped") isPruned = false;
        else isPruned ||= readRetention(bytes) !== null;
      }
    }
    return says;
  } finally {
    await handle.close();
  }
}

function isInsideOfRun(data: Event["data"]): boolean {
  return JSON.stringify(data?.["inside"]) === '["inside"]';
}

async function* fromReport(path: string, { since, onSkip }: ReadOptions): AsyncGenerator<Recorded> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new SallyportError("RECORD_UNREADABLE", `${path}: ${(error as Error).message}`, { path }, error);
  }
  const report = readReport(text);
  if (report === null) {
    throw new SallyportError("REPORT_INVALID", `${path} is no report of sallyport run with its events.`, { path });
  }
  for (let i = 0; i < report.skipped; i++) onSkip?.();
  const input: Input = { id: path, kind: "report", job: jobOfCommand(report.command) };
  for (const event of report.events) if (since === undefined || event.time >= since) yield { event, input };
}
