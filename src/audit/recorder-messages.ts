/** What crosses between `recorder.ts` and its thread. Plain data only. */
import type { ErrorCode } from "../errors.ts";
import type { Bodies } from "./body.ts";
import type { EventBody } from "./event.ts";
import type { Progress } from "./progress.ts";
import type { SpoolOptions } from "./spool-options.ts";
import type { SpoolStatus } from "./spool-status.ts";

export interface RecorderSetup {
  options: Omit<SpoolOptions, "clock">;
  progress: Progress;
}

/** What is answered, with how the record stands then. */
export type RecorderOrder =
  | { kind: "look" }
  | { kind: "flush" }
  | { kind: "close" }
  | { kind: "confirm"; body: EventBody };

export type ToRecorder =
  | { kind: "bodies"; bodies: Bodies }
  /** Events that were made and found no room on the way. */
  | { kind: "missed"; events: number }
  | { kind: "forget"; bytes: number }
  | (RecorderOrder & { sequence: number });

/** How the record stands. */
export interface Standing {
  status: SpoolStatus;
  /** Events taken since the start, and those of `missed`. */
  taken: number;
  missed: number;
}

export type FromRecorder =
  | { kind: "opened"; standing: Standing }
  | { kind: "failed"; code: ErrorCode | null; message: string; data: Record<string, unknown> }
  | { kind: "standing"; standing: Standing }
  /** `ok`: what was asked for was done; of `confirm`: the event is on the disk. */
  | { kind: "answer"; sequence: number; ok: boolean; standing: Standing };
