/** The checks of a runner's network: a closed list. */
import type { Evidence, Outcome, Place, Severity } from "../cloud/evidence.ts";

export const networkChecks = {
  unreadable: "high",
  "no-subnet": "high",
  "internal-route": "high",
  "internal-neighbours": "medium",
  "way-out": "high",
  "way-out-ipv6": "high",
  "way-out-unknown": "high",
  resolver: "high",
  "endpoint-policy": "high",
  "metadata-tokens": "high",
  "metadata-hops": "medium",
  "user-data": "critical",
} as const satisfies Record<string, Severity>;

export type NetworkCheck = keyof typeof networkChecks;
export type NetworkEvidence = Evidence<NetworkCheck>;

export type Say = (
  check: NetworkCheck,
  subject: string,
  place: Place,
  message: string,
  fix: string,
  more?: { outcome?: Outcome; severity?: Severity; about?: string },
) => void;

export function sayer(list: NetworkEvidence[]): Say {
  return (check, subject, place, message, fix, more = {}) => {
    list.push({ check, outcome: "fail", severity: networkChecks[check], subject, message, fix, place, ...more });
  };
}
