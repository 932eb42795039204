/**
 * A body as text, once and for all: the members of a record between `prev` and `hash`, in the record's order, without braces. Whoever
 * makes an event writes it, so that nothing but text crosses to the thread that keeps the record. Pure.
 */
import type { EventBody } from "./event.ts";

/** Many body texts in one piece: as one string they cross threads at the price of a copy of bytes. */
export interface Bodies {
  /** One a line. JSON has no newline of its own. */
  text: string;
  lines: number;
  /** Events that a line (from 0) stands for, where it is not one. */
  counts: readonly (readonly [line: number, events: number])[];
  /** Events in all. */
  events: number;
}

/** Writes body texts one after the other. */
export class BodyWriter {
  #text = "";
  #lines = 0;
  #events = 0;
  #counts: [number, number][] = [];

  get lines(): number {
    return this.#lines;
  }

  /** UTF-16 units so far. */
  get length(): number {
    return this.#text.length;
  }

  /** Never throws: of what is no JSON, an event says so. */
  add(body: EventBody): void {
    this.addText(safeText(body), body.count ?? 1);
  }

  /** `text` as {@link bodyText} writes it; `events` that it stands for. */
  addText(text: string, events = 1): void {
    if (events !== 1) this.#counts.push([this.#lines, events]);
    this.#text += this.#lines === 0 ? text : `\n${text}`;
    this.#lines++;
    this.#events += events;
  }

  /** What was written since the last time. */
  take(): Bodies {
    const bodies = { text: this.#text, lines: this.#lines, counts: this.#counts, events: this.#events };
    this.#text = "";
    this.#lines = this.#events = 0;
    this.#counts = [];
    return bodies;
  }
}

/** The body's members as JSON, in the record's order. Throws what JSON.stringify throws (a bigint, a cycle). */
export function bodyText(body: EventBody): string {
  // In one call, which leaves out what is not there: half the price of a call for each member.
  const ordered: Record<keyof EventBody, unknown> = {
    kind: body.kind,
    verdict: body.verdict,
    enforced: body.enforced,
    reason: body.reason,
    stage: body.stage,
    rule: body.rule,
    monitored: body.monitored,
    source: body.source,
    process: body.process,
    destination: body.destination,
    tls: body.tls,
    dns: body.dns,
    bytes: body.bytes,
    packets: body.packets,
    duration_ms: body.duration_ms,
    detection: body.detection,
    count: body.count,
    first: body.first,
    last: body.last,
    message: body.message,
    data: body.data,
  };
  return JSON.stringify(ordered).slice(1, -1);
}

/** The same; of a body that is no JSON, an event that says so. Never throws. */
export function safeText(body: EventBody): string {
  try {
    return bodyText(body);
  } catch (error) {
    return unrecordable(body.kind, String(error).slice(0, 200));
  }
}

/** The text of the event in place of one that could not be recorded as it was. */
export function unrecordable(kind: string, problem: string): string {
  const message = `An event could not be recorded as it was: ${problem}.`;
  return bodyText({ kind: "lifecycle", message, data: { kind } });
}

/** The events of a batch, for whoever wants to see them. */
export function bodiesOf({ text, lines }: Bodies): EventBody[] {
  return lines === 0 ? [] : text.split("\n").map((line) => JSON.parse(`{${line}}`) as EventBody);
}
