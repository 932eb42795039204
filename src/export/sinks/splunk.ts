/**
 * Records to Splunk's HTTP Event Collector, `/services/collector/event`. Without acknowledgement a batch counts as taken when
 * the collector answers 200, which Splunk gives before the events are indexed. With it, we ask on the same channel until the
 * indexers have it; what they have not within the time limit is sent again.
 * https://docs.splunk.com/Documentation/Splunk/latest/Data/AboutHECIDXAck
 */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { SinkConfig } from "../../config/sink.ts";
import type { Sink } from "../courier.ts";
import { DeliveryFailure } from "../failure.ts";
import { lineOf } from "../formats/format.ts";
import type { Outgoing } from "../record.ts";
import { HttpSinkClient, requireTaken } from "./http.ts";

type SplunkConfig = Extract<SinkConfig, { to: "splunk" }>;

/** Between two questions whether a batch is indexed, milliseconds. */
const askMs = 500;

export class SplunkSink implements Sink {
  readonly #config: SplunkConfig;
  readonly #client: HttpSinkClient;
  readonly #channel = randomUUID();

  constructor(config: SplunkConfig) {
    this.#config = config;
    const channel = config.acknowledge ? { "x-splunk-request-channel": this.#channel } : {};
    this.#client = new HttpSinkClient(config.url, { authorization: `Splunk ${config.token}`, ...channel }, config.tls);
  }

  get to(): string {
    return this.#client.to;
  }

  async deliver(records: readonly Outgoing[], signal: AbortSignal): Promise<void> {
    const body = records.map((record) => this.#envelope(record)).join("\n");
    const headers = { "content-type": "application/json" };
    const answer = await this.#client.post(body, headers, signal, "/services/collector/event");
    requireTaken(answer);
    if (!this.#config.acknowledge) return;
    const id = readAckId(answer.body);
    if (id === null) throw new DeliveryFailure("the collector gave no ackId: its token has no acknowledgement enabled");
    for (;;) {
      await sleep(askMs, undefined, { signal });
      const path = `/services/collector/ack?channel=${this.#channel}`;
      const asked = await this.#client.post(JSON.stringify({ acks: [id] }), headers, signal, path);
      requireTaken(asked);
      if (isAcknowledged(asked.body, id)) return;
    }
  }

  close(): void {
    this.#client.close();
  }

  #envelope(record: Outgoing): string {
    const { format, index, source } = this.#config;
    const { event } = record;
    const envelope = JSON.stringify({
      // Seconds with decimals: six of them, as a double has room for.
      time: Number(`${Math.floor(Date.parse(event.time) / 1000)}.${event.time.slice(20, 26)}`),
      host: hostname(),
      source: source ?? "sallyport",
      sourcetype: `sallyport:${format}`,
      ...(index === null ? {} : { index }),
    });
    const line = lineOf(record, format);
    // The line goes in as it is: parsed and written again, members that look like numbers would change places.
    return `${envelope.slice(0, -1)},"event":${format === "cef" ? JSON.stringify(line) : line}}`;
  }
}

/** Null where an answer has none. */
export function readAckId(body: string): number | null {
  const { ackId } = objectIn(body);
  return Number.isSafeInteger(ackId) ? (ackId as number) : null;
}

/** True where an answer to a question says that this one is indexed. */
export function isAcknowledged(body: string, id: number): boolean {
  const { acks } = objectIn(body);
  return typeof acks === "object" && acks !== null && (acks as Record<string, unknown>)[String(id)] === true;
}

function objectIn(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
