/**
 * Reads events back, oldest first, for people and for replay: a stream with filters, which can stay and follow. It
 * trusts the lines (`verify.ts` checks them): what is not an event is passed over and told to `onSkip`. Needs no lock
 * and disturbs no writer; memory stays at one chunk of a segment.
 */
import { watch } from "node:fs";
import { stat } from "node:fs/promises";
import { formatTime, parseTime } from "./clock.ts";
import type { Event, EventBody, EventKind } from "./event.ts";
import { Joint } from "./joint.ts";
import { readLines } from "./lines.ts";
import { eventsDirectory, listSegments, openSegment, unreadable } from "./segment.ts";
import type { Segment } from "./segment.ts";
import { SallyportError } from "../errors.ts";

type Verdict = NonNullable<EventBody["verdict"]>;

export interface ReadFilter {
  verdict?: Verdict | readonly Verdict[];
  kind?: EventKind | readonly EventKind[];
  /**
   * Destination name. With `*`: the whole name, `*` for any run of characters. Without: the name and everything below
   * it (`example.com` finds `a.example.com`, not `badexample.com`).
   */
  name?: string;
  /** RFC 3339: events of that time and later. */
  since?: string;
  /** Begin at the end of what is recorded now (with `follow`: new events only). */
  fromEnd?: boolean;
  /** Stay at the end and yield what comes, across segments, until `signal` or the consumer stops. */
  follow?: boolean;
  signal?: AbortSignal;
  /** Longest wait before looking again when the file system tells nothing (500 ms). */
  pollMs?: number;
  /** Told of each line that is no event. */
  onSkip?: (place: { segment: string; line: number }) => void;
}

/** Streams the matching events. RECORD_UNREADABLE where there is no record; USAGE for a `since` that is no time. */
export async function* readEvents(directory: string, filter: ReadFilter = {}): AsyncGenerator<Event, void, void> {
  const matches = compile(filter);
  let { segments } = await listSegments(directory);
  let place: Place | null = null;
  const last = segments.at(-1);
  if (filter.fromEnd && last !== undefined) place = { segment: last, offset: await endOfLines(last), line: 1 };
  else if (segments[0] !== undefined) place = { segment: segments[0], offset: 0, line: 1 };

  const joint = new Joint();
  const wait = filter.follow ? waiter(directory, filter) : null;
  try {
    while (!filter.signal?.aborted) {
      // The list before the read: a segment seen to have a successor gets no more lines after that.
      ({ segments } = await listSegments(directory));
      place ??= segments[0] === undefined ? null : { segment: segments[0], offset: 0, line: 1 };
      const current: Segment | undefined = place?.segment;
      const next: Segment | undefined = current && segments.find((segment) => segment.first > current.first);
      if (place !== null) {
        // What may stand in a later segment again: what that one begins with; while none is known, everything.
        const remember = next?.first ?? (wait === null ? Number.POSITIVE_INFINITY : 0);
        const { first } = place.segment;
        const isNew = (event: Event, line: Buffer) => !joint.isRepeat(event, line, first, remember);
        for await (const event of readOn(place, next === undefined, filter, matches, isNew)) {
          yield event;
          if (filter.signal?.aborted) return;
        }
      }
      if (next !== undefined) place = { segment: next, offset: 0, line: 1 };
      else if (wait === null) return;
      else await wait.next();
    }
  } finally {
    wait?.stop();
  }
}

/** Where reading goes on: always the start of a line, so that a torn line is read again when it is whole. */
interface Place {
  segment: Segment;
  offset: number;
  line: number;
}

async function* readOn(
  place: Place,
  isLast: boolean,
  filter: ReadFilter,
  matches: (line: Buffer) => Event | "skip" | null,
  isNew: (event: Event, line: Buffer) => boolean,
) {
  const handle = await openSegment(place.segment).catch((error: NodeJS.ErrnoException) => {
    // Retention deletes old segments while they are read; the next one is there.
    if (error.code === "ENOENT" && !isLast) return null;
    throw unreadable(place.segment.path, error);
  });
  if (handle === null) return;
  try {
    for await (const lines of readLines(handle, place.offset, place.line)) {
      for (const line of lines) {
        if (!line.whole) return;
        place.offset = line.end;
        place.line = line.number + 1;
        const event = line.tooLong ? "skip" : matches(line.bytes);
        if (event === "skip") filter.onSkip?.({ segment: place.segment.name, line: line.number });
        else if (event !== null && isNew(event, line.bytes)) yield event;
      }
    }
  } finally {
    await handle.close();
  }
}

/** Byte offset after the last newline. */
async function endOfLines(segment: Segment): Promise<number> {
  const { size } = await stat(segment.path);
  const handle = await openSegment(segment);
  try {
    const chunk = Buffer.alloc(64 * 1024);
    for (let end = size; end > 0;) {
      const start = Math.max(0, end - chunk.length);
      const { bytesRead } = await handle.read(chunk, 0, end - start, start);
      const at = chunk.subarray(0, bytesRead).lastIndexOf(10);
      if (at >= 0) return start + at + 1;
      end = start;
    }
    return 0;
  } finally {
    await handle.close();
  }
}

/** A line's event where it matches, null where it does not, "skip" where it is no event. */
function compile(filter: ReadFilter): (line: Buffer) => Event | "skip" | null {
  const since = filter.since === undefined ? null : sinceText(filter.since);
  const verdicts = filter.verdict === undefined ? null : new Set([filter.verdict].flat());
  const kinds = filter.kind === undefined ? null : new Set([filter.kind].flat());
  const named = filter.name === undefined ? null : nameMatcher(filter.name);
  return (line) => {
    const event = eventOf(line);
    if (event === null) return "skip";
    if (since !== null && event.time < since) return null;
    if (kinds !== null && !kinds.has(event.kind)) return null;
    if (verdicts !== null && (event.verdict === undefined || !verdicts.has(event.verdict))) return null;
    if (named !== null && !named(event.destination?.name ?? null)) return null;
    return event;
  };
}

/** The event of a line's raw bytes; null where it is none. Does not check the chain. */
export function eventOf(line: Buffer): Event | null {
  try {
    const event = JSON.parse(line.toString("utf8")) as Event | null;
    return event?.schema === "sallyport.event/1" && typeof event.time === "string" ? event : null;
  } catch {
    return null;
  }
}

function sinceText(since: string): string {
  const micros = parseTime(since);
  if (micros === null)
    throw new SallyportError("USAGE", `${since} is not an RFC 3339 time, for example 2026-01-31T08:00:00Z.`);
  return formatTime(micros);
}

/** No regular expression: a pattern of many `*` must not take exponential time. */
function nameMatcher(pattern: string): (name: string | null) => boolean {
  const wanted = pattern.toLowerCase();
  if (!wanted.includes("*")) return (name) => name !== null && (name === wanted || name.endsWith(`.${wanted}`));
  const [head = "", ...rest] = wanted.split("*");
  const tail = rest.pop() ?? "";
  return (name) => {
    if (name === null || name.length < head.length + tail.length) return false;
    if (!name.startsWith(head) || !name.endsWith(tail)) return false;
    let at = head.length;
    for (const part of rest) {
      const found = name.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return at <= name.length - tail.length;
  };
}

/** Wakes when the directory changes, when the poll is due (some file systems tell nothing), or when told to stop. */
function waiter(directory: string, { signal, pollMs = 500 }: ReadFilter): { next(): Promise<void>; stop(): void } {
  let changed = false;
  let wake = () => {};
  const onChange = () => {
    changed = true;
    wake();
  };
  signal?.addEventListener("abort", onChange);
  let watcher: ReturnType<typeof watch> | null = null;
  try {
    watcher = watch(eventsDirectory(directory), onChange);
    watcher.on("error", () => {}); // out of watches, or the directory was removed: polling goes on
  } catch {
    watcher = null;
  }
  return {
    async next() {
      if (!changed) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, pollMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      changed = false;
    },
    stop() {
      signal?.removeEventListener("abort", onChange);
      watcher?.close();
      wake();
    },
  };
}
