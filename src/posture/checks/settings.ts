/** Findings from settings that the API answered, or would not. A field that is absent is unknown: GitHub leaves some out. */
import { finding } from "../finding.ts";
import type { Finding } from "../finding.ts";
import type { Setting } from "../settings.ts";

/** What an endpoint said: its value, or why it said nothing. */
export interface Said {
  /** `GET /orgs/octo/actions/permissions`. */
  readonly endpoint: string;
  /** Null: nothing. */
  readonly value: unknown;
  readonly why: string | null;
}

/** The answer as a map of fields; null where it is none. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

/** `subject`: `octo`, `octo/api`; `needs`: which right the token lacks where nothing was said. */
export function checkSetting(setting: Setting, said: Said, subject: string, needs: string): Finding[] {
  const all = fieldsOf(said.value);
  const moot = all === null ? null : (setting.moot?.(all) ?? null);
  return setting.fields.map(({ rule, check, name, holds, severity, fix }) => {
    const where = { kind: "api", endpoint: said.endpoint, field: name } as const;
    const about = severity === undefined ? {} : { severity };
    const common = { rule, check, subject, where, ...about } as const;
    if (all === null) {
      const seen = `not seen: ${said.why ?? "the answer is no object"}`;
      return finding({ ...common, status: "unknown", seen, fix: `Give a token that may read it: ${needs}.` });
    }
    if (moot !== null) return finding({ ...common, status: "pass", seen: moot });
    const value = all[name];
    const isHeld = value === undefined ? null : holds(value, all);
    if (isHeld === null) {
      const seen =
        value === undefined ? `the answer has no ${name}` : `${name} is ${shown(value)}, which is not known here`;
      return finding({ ...common, status: "unknown", seen, fix: "Look at the setting in GitHub's pages." });
    }
    const advice = fix === undefined ? {} : { fix };
    return finding({ ...common, status: isHeld ? "pass" : "fail", seen: `${name} is ${shown(value)}`, ...advice });
  });
}

export function shown(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}
