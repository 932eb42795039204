/**
 * What an enforcer records, and who looks at it on the way: the tally for the metrics, detections, whoever shows events. Most of it
 * comes from the data path's threads as text, counted and looked through there, and is handed on unread; what this thread makes
 * itself goes the same way one by one.
 */
import { bodiesOf } from "../audit/body.ts";
import type { EventBody } from "../audit/event.ts";
import { Recorder, type RecorderOptions, type StartThread } from "../audit/recorder.ts";
import { Tally } from "../audit/tally.ts";
import type { EndedCounts, Told } from "../datapath/messages.ts";
import { Detections, type DetectionsOptions } from "./detections.ts";

export interface JournalOptions extends Omit<DetectionsOptions, "record"> {
  recorder: RecorderOptions;
  /** Where its thread comes from; left out: it is begun now. */
  startThread?: StartThread;
  /** Every event as it is recorded, for whoever shows it. */
  onEvent: ((event: EventBody) => void) | undefined;
}

/** What a disk that stands still for two to three seconds leaves waiting at 100 000 events a second; taken only when it does. */
const memory = { bufferBytes: 256 * 1024 * 1024, flushBytes: 1024 * 1024 };

export class Journal {
  readonly recorder: Recorder;
  /** What was recorded, for the metrics. */
  readonly tally = new Tally();
  readonly detections: Detections;
  readonly #onEvent: ((event: EventBody) => void) | undefined;

  /** Rejects as {@link Recorder.open} does. */
  static async open(options: JournalOptions): Promise<Journal> {
    return new Journal(await Recorder.open({ ...memory, ...options.recorder }, options.startThread), options);
  }

  private constructor(recorder: Recorder, { onEvent, ...options }: JournalOptions) {
    this.recorder = recorder;
    this.#onEvent = onEvent;
    this.detections = new Detections({ ...options, record: (event) => this.record(event) });
  }

  record(event: EventBody): void {
    this.recorder.append(event);
    this.tally.count(event);
    this.#onEvent?.(event);
    this.detections.single(event, Date.now());
  }

  /** What a thread of the data path settled, or the DNS firewall's. */
  told({ bodies, tally, signs, names }: Told): void {
    this.recorder.appendAll(bodies);
    this.tally.add(tally);
    if (this.#onEvent !== undefined) for (const event of bodiesOf(bodies)) this.#onEvent(event);
    const now = Date.now();
    for (const event of signs) this.detections.single(event, now);
    this.detections.names(names, now);
  }

  /** The end of a connection, whose event's text is written. */
  ended(text: string, { bytesUp, bytesDown }: EndedCounts): void {
    this.recorder.appendText(text);
    this.tally.flowEnd(bytesUp, bytesDown);
    if (this.#onEvent !== undefined) this.#onEvent(JSON.parse(`{${text}}`) as EventBody);
  }
}
