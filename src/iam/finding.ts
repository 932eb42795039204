/** The checks of cloud roles: a closed list, and how each makes its evidence. */
import type { Evidence, Outcome, Place, Severity } from "../cloud/evidence.ts";

/** Every check; `trust-` and `oidc-` ones are about who may become the role, the others about what it may do. */
export const iamChecks = {
  unreadable: "high",
  "policy-unknown": "high",
  administrator: "critical",
  "all-but-iam": "high",
  escalation: "critical",
  "pass-role": "high",
  credentials: "high",
  "assume-role": "high",
  "resource-policy": "high",
  breadth: "medium",
  "no-such-action": "low",
  "no-boundary": "low",
  "trust-public": "critical",
  "trust-account": "medium",
  "trust-services": "low",
  "trust-deputy": "low",
  "trust-unknown": "high",
  "oidc-audience": "high",
  "oidc-subject": "critical",
  "oidc-wildcard": "critical",
  "oidc-organisation": "medium",
  "oidc-pull-request": "high",
  "oidc-claim": "high",
  "oidc-absent-claims": "critical",
  "oidc-names": "low",
  "oidc-issuer": "high",
} as const satisfies Record<string, Severity>;

export type IamCheck = keyof typeof iamChecks;
export type IamEvidence = Evidence<IamCheck>;

/** What is common to all evidence of one subject. */
export type Say = (
  check: IamCheck,
  message: string,
  fix: string,
  more?: { outcome?: Outcome; severity?: Severity; place?: Place; about?: string },
) => void;

/** Collects into `list`. */
export function sayer(list: IamEvidence[], subject: string, place: Place): Say {
  return (check, message, fix, more = {}) => {
    list.push({ check, outcome: "fail", severity: iamChecks[check], subject, message, fix, place, ...more });
  };
}
