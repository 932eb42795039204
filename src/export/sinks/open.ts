/** A sink of the configuration as something that takes records. */
import type { SinkConfig } from "../../config/sink.ts";
import type { Sink } from "../courier.ts";
import { FileSink } from "./file.ts";
import { OtlpSink } from "./otlp.ts";
import { SplunkSink } from "./splunk.ts";
import { SyslogSink } from "./syslog.ts";
import { WebhookSink } from "./webhook.ts";

export function openSink(config: SinkConfig): Sink {
  switch (config.to) {
    case "file":
      return new FileSink(config);
    case "webhook":
      return new WebhookSink(config);
    case "syslog":
      return new SyslogSink(config);
    case "otlp":
      return new OtlpSink(config);
    case "splunk":
      return new SplunkSink(config);
  }
}
