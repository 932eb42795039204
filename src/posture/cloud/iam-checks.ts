/** Which rule of the runner policy each check of cloud roles belongs to. */
import type { IamCheck } from "../../iam/finding.ts";
import type { RuleId } from "../catalogue.ts";

export const ruleOfIam: Readonly<Record<IamCheck, RuleId>> = {
  unreadable: "RG-17",
  "policy-unknown": "RG-17",
  administrator: "RG-17",
  "all-but-iam": "RG-17",
  escalation: "RG-17",
  "pass-role": "RG-17",
  credentials: "RG-17",
  "assume-role": "RG-17",
  "resource-policy": "RG-17",
  breadth: "RG-17",
  "no-such-action": "RG-17",
  "no-boundary": "RG-17",
  "trust-public": "RG-18",
  "trust-account": "RG-18",
  "trust-services": "RG-18",
  "trust-deputy": "RG-18",
  "trust-unknown": "RG-18",
  "oidc-audience": "RG-18",
  "oidc-subject": "RG-18",
  "oidc-wildcard": "RG-18",
  "oidc-organisation": "RG-18",
  "oidc-pull-request": "RG-18",
  "oidc-claim": "RG-18",
  "oidc-absent-claims": "RG-18",
  "oidc-names": "RG-18",
  "oidc-issuer": "RG-18",
};
