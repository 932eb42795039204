/** A report of `sallyport run --report`, read back: what ran, and its events. */
import type { Event } from "./event.ts";

export interface ReportFile {
  command: string[];
  events: Event[];
  /** Entries that are no events. */
  skipped: number;
}

/** Null where the text is no such report. Never throws. */
export function readReport(text: string): ReportFile | null {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof report !== "object" || report === null) return null;
  const { schema, command, events } = report as Record<string, unknown>;
  if (schema !== "sallyport.run/1" || !Array.isArray(events) || !Array.isArray(command)) return null;
  const good = events.filter(isEvent);
  return { command: command.map(String), events: good, skipped: events.length - good.length };
}

function isEvent(value: unknown): value is Event {
  const event = value as Partial<Event> | null;
  return typeof event === "object" && event?.schema === "sallyport.event/1" && typeof event.time === "string";
}
