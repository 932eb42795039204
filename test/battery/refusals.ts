/** What the record must say of refusals, in few words. */
import type { Expected } from "../support/record.ts";

const byDefault = { name: null, tier: 3 };

/** A connection refused by the default. */
export function refused(reason: string, destination: object, stage: "connect" | "name" = "connect"): Expected {
  return { kind: "connection", reason, stage, rule: byDefault, destination };
}

/** A question refused by the default. */
export function unasked(reason: string, destination: object, dns: object = {}): Expected {
  return { kind: "dns", reason, stage: "dns", rule: byDefault, destination: { protocol: "dns", ...destination }, dns };
}
