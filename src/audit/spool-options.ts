/** What a spool can be told, and what it assumes otherwise. */
import { systemClock } from "./clock.ts";
import type { Clock } from "./clock.ts";
import type { SigningKey } from "./signature.ts";

export interface SpoolOptions {
  /** The state directory; the record is in its `events/`. Made if need be. */
  directory: string;
  /** A new segment is begun when this one would be larger (64 MiB) … */
  segmentBytes?: number;
  /** … or when its first record is older than this (1 day). */
  segmentAgeMs?: number;
  /** Appended events go to the file after this time (50 ms) … */
  flushMs?: number;
  /** … or when there are so many bytes of them (256 KiB). */
  flushBytes?: number;
  /** Written bytes are made durable (fdatasync) at least this often (1 s). */
  syncMs?: number;
  /** Most bytes held in memory while the disk fails or lags (16 MiB). */
  bufferBytes?: number;
  /** First and longest wait between attempts to write (100 ms, 5 s). */
  retryMs?: number;
  retryMaxMs?: number;
  /** Signs seals and heads; null: they are not signed. */
  key?: SigningKey | null;
  clock?: Clock;
}

export function withDefaults(options: SpoolOptions): Required<SpoolOptions> {
  return {
    segmentBytes: 64 * 1024 * 1024,
    segmentAgeMs: 24 * 3600 * 1000,
    flushMs: 50,
    flushBytes: 256 * 1024,
    syncMs: 1000,
    bufferBytes: 16 * 1024 * 1024,
    retryMs: 100,
    retryMaxMs: 5000,
    key: null,
    clock: systemClock(),
    ...options,
  };
}
