/** What crosses between the enforcer's process and the exporter's. Plain data only. */
import type { SinkConfig } from "../config/sink.ts";
import type { SinkStatus } from "./record.ts";

export type ToExporter =
  | { kind: "start"; state: string; sinks: SinkConfig[] }
  /** Sends what is durable, for so long, and ends; `patient`: a sink that fails is tried again for as long. */
  | { kind: "stop"; withinMs: number; patient: boolean };

export type FromExporter =
  | { kind: "status"; sinks: SinkStatus[] }
  /** Something that no retry repairs, for the record. */
  | { kind: "incident"; message: string; data: Record<string, unknown> };
