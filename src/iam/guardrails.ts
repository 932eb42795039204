/**
 * Service and resource control policies of an organisation, which limit what any policy of an account's gives: a document, the answer of
 * `aws organizations describe-policy`, a list of them, or a Terraform plan with them. Which stands over which account the answers do not say; whoever gives them
 * says that they stand over the runners'. Levels are not told apart, so that what is found allowed may still be refused by one level;
 * what is found refused is refused.
 * https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html
 */
import { pointerTo } from "../cloud/json.ts";
import type { JsonFile, Trouble } from "../cloud/json.ts";
import { isPlan, Plan } from "../cloud/plan.ts";
import { own, textAt } from "../cloud/value.ts";
import { readPolicyDocument } from "./document.ts";
import type { Policy } from "./document.ts";
import { controlsOfPlan } from "./planned-controls.ts";

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
  const limiting = (policy: Policy): Policy[] => {
    if (policy.partial === null) return [policy];
    const fix = "Give the document, or the answer of aws organizations describe-policy.";
    const { file, pointer } = policy.place;
    troubles.push({ file, pointer, message: `as a control policy it ${policy.partial}`, fix });
    // Its denies are certain as far as they were read; that it allows nothing more is not.
    return policy.statements.length === 0 ? [] : [policy];
  };
  const policies = files.flatMap((json) => {
    const { file, value } = json;
    if (isPlan(value)) return policiesOfPlan(json, troubles).flatMap(limiting);
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    return list.flatMap((each, i) => limiting(policyOf(file, each, Array.isArray(value) ? pointerTo("", i) : "")));
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

/** All of a plan, of either kind, wherever it attaches them: whoever gives it so says where they stand. */
function policiesOfPlan(json: JsonFile, troubles: Trouble[]): Policy[] {
  const found = controlsOfPlan(new Plan(json), ["SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"]);
  if (found.length === 0)
    troubles.push({
      file: json.file,
      pointer: "",
      message: "is a plan without a control policy",
      fix: "Give a plan that has an aws_organizations_policy, or the policies' documents.",
    });
  return found.map(({ policy }) => policy);
}

/** Those given over all accounts, and what plans deny in the one; null: neither. */
export function layerOver({ policies }: Guardrails, denied: readonly Policy[]): readonly Policy[] | null {
  if (denied.length === 0) return policies;
  return [...(policies ?? [readPolicyDocument("FullAWSAccess", everything, denied[0]!.place)]), ...denied];
}

function policyOf(file: string, value: unknown, pointer: string): Policy {
  const described = own(value, "Policy");
  if (described === undefined) return readPolicyDocument(file, value, { file, pointer });
  const name = textAt(own(described, "PolicySummary"), "Name") ?? file;
  const place = { file, pointer: `${pointer}/Policy/Content` };
  return readPolicyDocument(name, own(described, "Content"), place);
}
