/**
 * What a look at a cloud's account came to: one record for one check of one subject. `unknown` is an answer of its own, for what the
 * files do not say; only what was looked at whole is `pass`.
 */

export type Outcome = "fail" | "unknown" | "pass";
export type Severity = "critical" | "high" | "medium" | "low";

/** Where: a file and the JSON pointer of the value that decides. */
export interface Place {
  readonly file: string;
  readonly pointer: string;
}

export interface Evidence<Check extends string = string> {
  readonly check: Check;
  readonly outcome: Outcome;
  /** How bad it is where it fails; for `unknown` how bad it could be. */
  readonly severity: Severity;
  /** A role's ARN, a subnet's id, an address of Terraform's. */
  readonly subject: string;
  /** Which of several things of the subject: a route, a pattern. Part of what makes it the same finding the next time. */
  readonly about?: string;
  readonly message: string;
  readonly fix: string;
  readonly place: Place;
}
