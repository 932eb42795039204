/**
 * Who has which policies: roles, users and groups out of `aws iam get-account-authorization-details`, of Terraform plans, and single
 * policy documents, which stand for a role that nothing else is known of.
 */
import type { Place } from "../cloud/evidence.ts";
import type { Policy } from "./document.ts";

export interface Principal {
  readonly kind: "role" | "user" | "group" | "document";
  /** ARN, Terraform address, or the file. */
  readonly name: string;
  /** Twelve digits; null: not known. */
  readonly account: string | null;
  readonly policies: readonly Policy[];
  /** ARNs of attached managed policies, whether or not their documents are among `policies`. */
  readonly attached: readonly Attached[];
  /** Null: none. A policy that is not known is partial. */
  readonly boundary: Policy | null;
  /** Control policies over its account: a layer by itself. Left out: none was given. */
  readonly guardrails?: readonly Policy[];
  /** Null: none, or not known (then `trustUnknown`). */
  readonly trust: Policy | null;
  /** Whether machines get it. */
  readonly onMachines: boolean;
  readonly place: Place;
}

export interface Attached {
  readonly arn: string;
  /** Whether its document was read. */
  readonly known: boolean;
  readonly place: Place;
}

/** The account in an ARN, or null. */
export function accountOf(arn: string): string | null {
  return /^arn:[^:]*:[^:]*:[^:]*:(\d{12}):/.exec(arn)?.[1] ?? null;
}
