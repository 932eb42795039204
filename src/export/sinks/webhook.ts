/** Records POSTed as lines of JSON (or CEF): one request a batch, taken when it is answered 2xx. */
import type { SinkConfig } from "../../config/sink.ts";
import type { Sink } from "../courier.ts";
import { lineOf } from "../formats/format.ts";
import type { Outgoing } from "../record.ts";
import { HttpSinkClient, requireTaken } from "./http.ts";

type WebhookConfig = Extract<SinkConfig, { to: "webhook" }>;

export class WebhookSink implements Sink {
  readonly #config: WebhookConfig;
  readonly #client: HttpSinkClient;

  constructor(config: WebhookConfig) {
    this.#config = config;
    this.#client = new HttpSinkClient(config.url, config.headers, config.tls);
  }

  get to(): string {
    return this.#client.to;
  }

  async deliver(records: readonly Outgoing[], signal: AbortSignal): Promise<void> {
    const { format } = this.#config;
    const body = records.map((record) => `${lineOf(record, format)}\n`).join("");
    const type = format === "cef" ? "text/plain; charset=utf-8" : "application/x-ndjson";
    requireTaken(await this.#client.post(body, { "content-type": type }, signal));
  }

  close(): void {
    this.#client.close();
  }
}
