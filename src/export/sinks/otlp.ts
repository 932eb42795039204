/**
 * Records as OpenTelemetry logs: OTLP over HTTP with JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp). The URL is the
 * whole one, usually …/v1/logs. An answer with a partial success means that the collector refused some records for good, and
 * the protocol forbids to send those again: they are counted and told.
 */
import { hostname } from "node:os";
import type { Event } from "../../audit/event.ts";
import type { SinkConfig } from "../../config/sink.ts";
import { version } from "../../version.ts";
import type { Sink } from "../courier.ts";
import { severityOf, summaryOf } from "../formats/severity.ts";
import { madeOf } from "../formats/format.ts";
import type { Outgoing } from "../record.ts";
import { HttpSinkClient, requireTaken } from "./http.ts";

type OtlpConfig = Extract<SinkConfig, { to: "otlp" }>;

/** SeverityNumber and text of the logs data model. */
const severities = { info: [9, "INFO"], low: [10, "INFO2"], medium: [13, "WARN"], high: [17, "ERROR"] } as const;

export class OtlpSink implements Sink {
  readonly #client: HttpSinkClient;

  constructor(config: OtlpConfig) {
    this.#client = new HttpSinkClient(config.url, config.headers, config.tls);
  }

  get to(): string {
    return this.#client.to;
  }

  async deliver(
    records: readonly Outgoing[],
    signal: AbortSignal,
  ): Promise<{ rejected: number; message: string } | void> {
    const body = JSON.stringify(logsOf(records, Date.now()));
    const answer = await this.#client.post(body, { "content-type": "application/json" }, signal);
    requireTaken(answer);
    const refused = readPartialSuccess(answer.body, records.length);
    if (refused.rejected > 0) return { ...refused, message: this.#client.redact(refused.message) };
  }

  close(): void {
    this.#client.close();
  }
}

/** An ExportLogsServiceRequest. `now`: milliseconds since the epoch, when we pass them on. */
export function logsOf(records: readonly Outgoing[], now: number): object {
  const resource = attributes({ "service.name": "sallyport", "service.version": version, "host.name": hostname() });
  const observed = `${now}000000`;
  const logRecords = records.map((record) =>
    madeOf(record, (event) => {
      const [severityNumber, severityText] = severities[severityOf(event)];
      return {
        timeUnixNano: nanoseconds(event.time),
        observedTimeUnixNano: observed,
        severityNumber,
        severityText,
        eventName: `sallyport.${event.kind}`,
        body: { stringValue: record.line },
        attributes: attributes(factsOf(event)),
      };
    }),
  );
  const scopeLogs = [{ scope: { name: "sallyport", version }, logRecords }];
  return { resourceLogs: [{ resource: { attributes: resource }, scopeLogs }] };
}

/** What is worth a query without parsing the body; names by OpenTelemetry's semantic conventions where there are some. */
function factsOf(event: Event): Record<string, string | number | boolean | null | undefined> {
  const { source, destination, rule } = event;
  return {
    "log.record.uid": event.id,
    "sallyport.seq": event.seq,
    "sallyport.hash": event.hash,
    "sallyport.summary": summaryOf(event),
    "sallyport.verdict": event.verdict,
    "sallyport.enforced": event.enforced,
    "sallyport.reason": event.reason,
    "sallyport.rule": rule === undefined ? undefined : (rule.name ?? "default"),
    "sallyport.policy": rule?.policy,
    "sallyport.count": event.count,
    "source.address": source?.ip,
    "source.port": source?.port,
    "destination.address": destination?.name ?? destination?.ip,
    "destination.port": destination?.port,
    "network.peer.address": destination?.ip,
    "network.protocol.name": destination?.protocol,
    "dns.question.name": event.kind === "dns" ? destination?.name : undefined,
  };
}

function attributes(facts: Record<string, string | number | boolean | null | undefined>): object[] {
  return Object.entries(facts).flatMap(([key, value]): object[] => {
    if (value === undefined || value === null) return [];
    if (typeof value === "boolean") return [{ key, value: { boolValue: value } }];
    // 64-bit numbers are strings in protobuf's JSON.
    if (typeof value === "number") return [{ key, value: { intValue: String(value) } }];
    return [{ key, value: { stringValue: value.toWellFormed() } }];
  });
}

/** Nanoseconds since the epoch of a time with six decimals. */
function nanoseconds(time: string): string {
  return `${Date.parse(time)}${time.slice(23, 26)}000`;
}

/** How many of `sent` records the answer says were refused, 0 where it says nothing of the kind. */
export function readPartialSuccess(body: string, sent: number): { rejected: number; message: string } {
  try {
    const answer = JSON.parse(body) as {
      partialSuccess?: { rejectedLogRecords?: unknown; errorMessage?: unknown };
    } | null;
    const rejected = Number(answer?.partialSuccess?.rejectedLogRecords ?? 0);
    const message = answer?.partialSuccess?.errorMessage;
    if (!Number.isSafeInteger(rejected) || rejected <= 0) return { rejected: 0, message: "" };
    return { rejected: Math.min(rejected, sent), message: typeof message === "string" ? message : "" };
  } catch {
    return { rejected: 0, message: "" };
  }
}
