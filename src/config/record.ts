/** The section `record` of the configuration: how the record is cut, signed and kept. Its key is read here, as secrets are. */
import type { SigningKey } from "../audit/signature.ts";
import { SallyportError } from "../errors.ts";
import type { Document } from "../policy/document.ts";
import { parseDuration } from "../policy/duration.ts";
import type { Problems } from "../policy/problem.ts";
import { parseSize, sizeText } from "../policy/size.ts";
import type { RawRecord } from "./schema.ts";

export type RecordKey = keyof RawRecord;

/** Null: the file does not say. */
export interface RecordConfig {
  /** The private key that signs, and the path it was read from. */
  signing: { file: string; key: SigningKey } | null;
  segmentBytes: number | null;
  segmentAgeMs: number | null;
  keepMs: number | null;
  keepBytes: number | null;
  /** Where each key that is there stands: 1-based. */
  lines: Readonly<Partial<Record<RecordKey, number>>>;
}

export const noRecordConfig: RecordConfig = {
  signing: null,
  segmentBytes: null,
  segmentAgeMs: null,
  keepMs: null,
  keepBytes: null,
  lines: {},
};

/** As `spool-options.ts` has it. */
const usualSegmentBytes = 64 * 1024 * 1024;
/** A record is up to 1 MiB long; beyond a gibibyte a segment is awkward to copy and to delete. */
const segmentBytesRange = [2 ** 20, 2 ** 30] as const;
const minute = 60_000;
const segmentAgeRange = [minute, 366 * 24 * 60 * minute] as const;

interface Context {
  document: Document;
  problems: Problems;
  /** Reads a private key as the path is written; throws KEY_UNUSABLE. */
  signingKey: (path: string) => { file: string; key: SigningKey };
}

/** What is wrong is reported, and stands for null. */
export function checkRecord(raw: RawRecord | undefined, { document, problems, signingKey }: Context): RecordConfig {
  if (raw === undefined) return noRecordConfig;
  const placeOf = (key: RecordKey) => () => document.place(["record", key]);
  const report = (key: RecordKey, code: "bad_size" | "bad_duration" | "bad_key", message: string, fix: string) => {
    problems.add(code, placeOf(key), `record.${key}: ${message}`, fix);
    return null;
  };
  const size = (key: "segment_size" | "keep_size"): number | null => {
    const text = raw[key];
    if (text === undefined) return null;
    return parseSize(String(text)) ?? report(key, "bad_size", "not an amount of data", "Write 500 MB or 10 GiB.");
  };
  const time = (key: "segment_age" | "keep_for"): number | null => {
    const text = raw[key];
    if (text === undefined) return null;
    const length = parseDuration(String(text));
    return length || report(key, "bad_duration", "not a length of time", "Write 12h or 90d (s, m, h, d).");
  };
  const within = (key: RecordKey, value: number | null, [least, most]: readonly [number, number], range: string) => {
    if (value === null || (value >= least && value <= most)) return value;
    const code = key === "segment_age" ? "bad_duration" : "bad_size";
    return report(key, code, "out of range", `Write ${range}.`);
  };
  const segmentBytes = within("segment_size", size("segment_size"), segmentBytesRange, "1 MiB to 1 GiB");
  const segmentAgeMs = within("segment_age", time("segment_age"), segmentAgeRange, "1m to 366d");
  const keepBytes = size("keep_size");
  const largest = segmentBytes ?? usualSegmentBytes;
  if (keepBytes !== null && keepBytes < 2 * largest) {
    // The newest segment is never deleted: less could not be kept to.
    const fix = `Write ${sizeText(2 * largest)} or more, or a smaller segment_size.`;
    report("keep_size", "bad_size", `less than two segments of ${sizeText(largest)}`, fix);
  }
  let signing: RecordConfig["signing"] = null;
  if (raw.sign_key !== undefined) {
    try {
      signing = signingKey(raw.sign_key);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      report("sign_key", "bad_key", error.message.replace(/\.$/, ""), error.help);
    }
  }
  const lines = Object.fromEntries(
    (Object.keys(raw) as RecordKey[]).map((key) => [key, document.place(["record", key]).line]),
  );
  return { signing, segmentBytes, segmentAgeMs, keepMs: time("keep_for"), keepBytes, lines };
}
