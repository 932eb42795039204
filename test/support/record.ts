/**
 * The record of a running enforcer, read as people read it: through `sallyport logs --follow`. Tests ask it for the event
 * that must be there, and say what was there instead when it is not.
 */
import type { Event } from "../../src/audit/event.ts";
import type { Machine } from "../lab/machine.ts";
import type { LabProcess } from "../lab/process.ts";
import { launcher } from "./launcher.ts";
import { until } from "./until.ts";

/** What an event must hold; a nested object is compared member by member, a pattern by match. */
export type Expected = { [key: string]: unknown };

export class Record {
  readonly #follow: LabProcess;
  readonly #events: Event[] = [];
  #read = 0;

  /** Follows the record in a state directory, from a machine's point of view. */
  constructor(machine: Machine, state: string) {
    this.#follow = machine.spawn(launcher, ["logs", "--follow", "--state", state]);
  }

  /** Every event that was told so far. */
  get events(): readonly Event[] {
    const end = this.#follow.stdout.lastIndexOf("\n") + 1;
    if (end > this.#read) {
      const lines = this.#follow.stdout.slice(this.#read, end - 1).split("\n");
      this.#events.push(...lines.map((line) => JSON.parse(line) as Event));
      this.#read = end;
    }
    return this.#events;
  }

  /** This moment, comparable with the `time` of events. */
  get mark(): string {
    return new Date().toISOString().replace("Z", "");
  }

  /** The events told so far that were recorded after a moment and hold `expected`. */
  recorded(expected: Expected, after = ""): Event[] {
    return this.events.filter((event) => event.time > after && holds(event, expected));
  }

  /** The first of them, now or soon; undefined where there is none in this time. */
  find(expected: Expected, after = "", timeoutMs = 5_000): Promise<Event | undefined> {
    return until(() => this.recorded(expected, after)[0], timeoutMs);
  }

  /** The first of them, now or soon; rejects with what was recorded instead. */
  async expect(expected: Expected, after = "", timeoutMs = 5_000): Promise<Event> {
    const found = await this.find(expected, after, timeoutMs);
    if (found !== undefined) return found;
    const others = this.recorded({}, after).map(brief);
    const shown = [...others.slice(0, 20), ...(others.length > 20 ? [`and ${others.length - 20} more`] : [])];
    throw new Error(
      `no event ${JSON.stringify(expected, showPattern)} in ${timeoutMs} ms; recorded:\n${shown.join("\n")}`,
    );
  }

  async close(): Promise<void> {
    await this.#follow.kill("SIGKILL");
  }
}

/** True when `actual` has every member of `expected`. */
export function holds(actual: unknown, expected: unknown): boolean {
  if (expected instanceof RegExp) return typeof actual === "string" && expected.test(actual);
  if (typeof expected !== "object" || expected === null) return actual === expected;
  if (typeof actual !== "object" || actual === null) return false;
  return Object.entries(expected).every(([key, value]) => holds((actual as { [key: string]: unknown })[key], value));
}

/** For `JSON.stringify`: a pattern as its text. */
export function showPattern(_: string, value: unknown): unknown {
  return value instanceof RegExp ? String(value) : value;
}

/** One line about an event, for failures. */
export function brief(event: Event): string {
  const { seq, kind, verdict, reason, rule, source, destination, dns, message } = event;
  return JSON.stringify({ seq, kind, verdict, reason, rule: rule?.name, source, destination, dns, message });
}
