/**
 * Service and resource control policies of an organisation, which limit what any policy of an account's gives: a document, the answer of
 * `aws organizations describe-policy`, or a list of them. Which stands over which account the answers do not say; whoever gives them
 * says that they stand over the runners'. Levels are not told apart, so that what is found allowed may still be refused by one level;
 * what is found refused is refused.
 * https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html
 */
import { pointerTo } from "../cloud/json.ts";
import type { JsonFile, Trouble } from "../cloud/json.ts";
import { own, textAt } from "../cloud/value.ts";
import { readPolicyDocument } from "./document.ts";
import type { Policy } from "./document.ts";

/** `policies` null: none was given. */
export interface Guardrails {
  readonly policies: readonly Policy[] | null;
  readonly troubles: readonly Trouble[];
}

const everything = { Version: "2012-10-17", Statement: { Effect: "Allow", Action: "*", Resource: "*" } };

/**
 * Reads them; what cannot be read is said, and does not limit: it may be FullAWSAccess, so that beside it no list of what is allowed
 * takes anything away. Denies count all the same. `isUnread`: others were given that are no JSON.
 */
export function guardrailsOf(files: readonly JsonFile[], isUnread = false): Guardrails {
  const troubles: Trouble[] = [];
  const policies = files.flatMap(({ file, value }) => {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    return list.flatMap((each, i) => {
      const policy = policyOf(file, each, Array.isArray(value) ? pointerTo("", i) : "");
      if (policy.partial === null) return [policy];
      const fix = "Give the document, or the answer of aws organizations describe-policy.";
      troubles.push({ file, pointer: policy.place.pointer, message: `as a control policy it ${policy.partial}`, fix });
      // Its denies are certain as far as they were read; that it allows nothing more is not.
      return policy.statements.length === 0 ? [] : [policy];
    });
  });
  if (files.length === 0) return { policies: null, troubles };
  // AWS attaches FullAWSAccess everywhere; where only denies were given, it was left out.
  const allows =
    !isUnread &&
    troubles.length === 0 &&
    policies.some(({ statements }) => statements.some(({ effect }) => effect === "Allow"));
  const place = { file: files[0]!.file, pointer: "" };
  return {
    policies: allows ? policies : [...policies, readPolicyDocument("FullAWSAccess", everything, place)],
    troubles,
  };
}

function policyOf(file: string, value: unknown, pointer: string): Policy {
  const described = own(value, "Policy");
  if (described === undefined) return readPolicyDocument(file, value, { file, pointer });
  const name = textAt(own(described, "PolicySummary"), "Name") ?? file;
  const place = { file, pointer: `${pointer}/Policy/Content` };
  return readPolicyDocument(name, own(described, "Content"), place);
}
