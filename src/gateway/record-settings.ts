/** What a gateway does with its record, of the command line and the configuration together. */
import { resolve } from "node:path";
import { loadSigningKey } from "../audit/key.ts";
import type { RetentionLimits } from "../audit/retention.ts";
import type { SigningKey } from "../audit/signature.ts";
import type { Config } from "../config/config.ts";
import { noRecordConfig, type RecordKey } from "../config/record.ts";
import { SallyportError } from "../errors.ts";

/** As the command line says it; null: it does not. */
export interface RecordArguments {
  /** Path of a private key. */
  signKey: string | null;
  retention: RetentionLimits;
}

export interface RecordSettings {
  signingKey: SigningKey | null;
  retention: RetentionLimits;
  segments: { segmentBytes?: number; segmentAgeMs?: number };
}

/**
 * Either may say it, and both the same. CONFIG_CONFLICT where they say different things: what deletes or signs a record must not
 * depend on which of two places somebody looked at. KEY_UNUSABLE.
 */
export function recordSettings({ signKey, retention }: RecordArguments, config: Config | null): RecordSettings {
  const record = config?.record ?? noRecordConfig;
  const agree = <T>(option: string, key: RecordKey, given: T | null, written: T | null): T | null => {
    if (given === null || written === null || given === written) return given ?? written;
    const place = `${config!.file}:${record.lines[key]}`;
    throw new SallyportError("CONFIG_CONFLICT", `${option} says something else than record.${key} in ${place}.`, {
      option,
      key: `record.${key}`,
      file: config!.file,
      line: record.lines[key],
    });
  };
  const given = signKey === null ? null : resolve(signKey);
  agree("--sign-key", "sign_key", given, record.signing === null ? null : resolve(record.signing.file));
  const { segmentBytes, segmentAgeMs } = record;
  return {
    signingKey: record.signing?.key ?? (given === null ? null : loadSigningKey(given)),
    retention: {
      keepMs: agree("--keep-for", "keep_for", retention.keepMs, record.keepMs),
      keepBytes: agree("--keep-size", "keep_size", retention.keepBytes, record.keepBytes),
    },
    segments: {
      ...(segmentBytes === null ? {} : { segmentBytes }),
      ...(segmentAgeMs === null ? {} : { segmentAgeMs }),
    },
  };
}

/** Which settings two configurations have differently that only a start takes up, as the file calls them. */
export function restartNeeds(running: Config, next: Config, isMetricsOptional: boolean): string[] {
  const values = ({ metrics, record }: Config): Record<string, unknown> => ({
    ...(isMetricsOptional ? {} : { metrics: metrics && `${metrics.host} ${metrics.port}` }),
    "record.sign_key": record.signing && `${record.signing.file} ${record.signing.key.id}`,
    "record.segment_size": record.segmentBytes,
    "record.segment_age": record.segmentAgeMs,
    "record.keep_for": record.keepMs,
    "record.keep_size": record.keepBytes,
  });
  const before = values(running);
  return Object.entries(values(next)).flatMap(([key, value]) => (before[key] === value ? [] : [key]));
}
