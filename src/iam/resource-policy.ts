/**
 * Policies of resources: buckets, keys, secrets, queues, functions, image repositories. One that names a role, or everybody, gives it
 * what its own policies need not say. A statement for a whole account only lets that account's own policies decide, and is not
 * counted; nor is what reads alone, which a runner may well need.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_identity-vs-resource.html
 */
import type { JsonFile } from "../cloud/json.ts";
import { isFields, own, shown, textAt } from "../cloud/value.ts";
import { actionsOf } from "./breadth.ts";
import type { Catalogue } from "./catalogue.ts";
import { readPolicyDocument } from "./document.ts";
import type { Policy, Statement } from "./document.ts";
import { credentialActions, iamProbes, otherProbes } from "./escalations.ts";
import type { Say } from "./finding.ts";
import { grantOf } from "./grant.ts";
import type { Grant } from "./grant.ts";
import type { Principal } from "./principal.ts";
import { session } from "./rights.ts";

/** Where the answers have it: get-bucket-policy, get-key-policy, get-policy; get-resource-policy; get-repository-policy; attributes. */
const places: readonly (readonly string[])[] = [
  ["Policy"],
  ["ResourcePolicy"],
  ["policyText"],
  ["Attributes", "Policy"],
];

/** What matters most, named first: what changes things, or reads secrets. */
const probes: readonly string[] = [
  ...new Set([
    ...credentialActions,
    ...iamProbes,
    ...otherProbes,
    ...[
      "s3:PutObject",
      "s3:DeleteObject",
      "kms:Decrypt",
      "kms:PutKeyPolicy",
      "kms:CreateGrant",
      "lambda:UpdateFunctionCode",
    ],
    ...["lambda:AddPermission", "sqs:SetQueueAttributes", "secretsmanager:PutSecretValue", "ecr:PutImage"],
  ]),
];

/** The policy in an answer about a resource; null where it is none. */
export function resourcePolicyOf({ file, value }: JsonFile): Policy | null {
  for (const path of places) {
    let found: unknown = value;
    for (const key of path) found = own(found, key);
    // An organisation's policy has fields there.
    if (typeof found !== "string") continue;
    const name = textAt(value, "Name") ?? textAt(value, "repositoryName") ?? file;
    return readPolicyDocument(name, found, { file, pointer: `/${path.join("/")}` });
  }
  return null;
}

/** A plain document for a resource: it names principals and is no role's trust policy. */
export function isResourceDocument(value: unknown): boolean {
  const written = own(value, "Statement");
  const list: readonly unknown[] = Array.isArray(written) ? written : [written];
  return list.some((each) => {
    const actions = own(each, "Action");
    const texts = (Array.isArray(actions) ? actions : [actions]) as readonly unknown[];
    const isTrust = texts.every((text) => typeof text === "string" && /^sts:/i.test(text));
    return isFields(each) && own(each, "Principal") !== undefined && !isTrust;
  });
}

/**
 * Judges what the policies give one principal by name, or as one of everybody. `catalogue`: all of AWS's actions; null: the best known
 * alone are asked for, and nothing passes.
 */
export function judgeResourcePolicies(
  principal: Principal,
  policies: readonly Policy[],
  catalogue: Catalogue | null,
  say: Say,
): void {
  const hasArn = principal.name.startsWith("arn:");
  if (policies.length === 0 || (!hasArn && principal.kind !== "role")) return;
  let quiet = true;
  for (const policy of policies) {
    if (policy.partial !== null) {
      quiet = false;
      say("policy-unknown", `the policy of ${shown(policy.name)} ${policy.partial}`, "Give the whole document.", {
        outcome: "unknown",
        about: policy.name,
        place: policy.place,
      });
    }
    const statements = policy.statements.filter((each) => names(each, principal.name) !== null);
    const layer = [{ ...policy, statements, partial: null }];
    const grants: { action: string; grant: Grant }[] = [];
    for (const action of changingActions(statements, catalogue)) {
      const grant = grantOf([layer], action, session);
      if (grant !== null) grants.push({ action, grant });
    }
    if (policy.statements.some((each) => isUnknown(each, statements))) {
      quiet = false;
      say("policy-unknown", `whom the policy of ${shown(policy.name)} names is not known`, "Judge it after apply.", {
        outcome: "unknown",
        about: policy.name,
        place: policy.place,
      });
    }
    if (grants.length === 0) continue;
    quiet = false;
    const everybody = grants.some(
      ({ grant }) => names(grant.by, principal.name) === "everybody" && grant.truth === "yes",
    );
    const list = grants.map(({ action }) => action);
    const what = list.length <= 4 ? list.join(", ") : `${list.slice(0, 4).join(", ")} and ${list.length - 4} more`;
    const maybe = grants.every(({ grant }) => grant.truth === "maybe") ? ", under conditions" : "";
    say(
      "resource-policy",
      `the policy of ${shown(policy.name)} gives ${everybody ? "everybody" : "it"} ${what}${maybe}`,
      "Take the role out of the resource's policy, or name the actions its jobs use.",
      {
        about: policy.name,
        place: grants[0]!.grant.by.place,
        severity: everybody ? "critical" : maybe === "" ? "high" : "medium",
      },
    );
  }
  const unknown = hasArn
    ? catalogue === null
      ? "which actions AWS has is not at hand, so what policies of resources give it is not known"
      : null
    : "its ARN is not known, so what policies of resources give it by name is not";
  if (unknown !== null && (quiet || !hasArn))
    say("resource-policy", unknown, "Judge it again from get-account-authorization-details, after apply.", {
      outcome: "unknown",
    });
  else if (quiet)
    say("resource-policy", `${policies.length} resources' policies give it nothing that changes them`, "", {
      outcome: "pass",
    });
}

/** The probes, then all else that the allowing statements name and that does more than read. */
function changingActions(statements: readonly Statement[], catalogue: Catalogue | null): Set<string> {
  const found = new Set(probes);
  const known = new Set(probes.map((action) => action.toLowerCase()));
  if (catalogue === null) return found;
  for (const { effect, actions } of statements) {
    if (effect !== "Allow") continue;
    for (const { name, level } of actionsOf(actions, catalogue))
      if (level !== "Read" && level !== "List" && !known.has(name.toLowerCase())) found.add(name);
  }
  return found;
}

/** An allowing statement that names somebody who is known only later, and nobody whom it is known to be about. */
function isUnknown(statement: Statement, about: readonly Statement[]): boolean {
  return statement.effect === "Allow" && statement.principals?.partial === true && !about.includes(statement);
}

/** Whether a statement is about the principal: by its ARN, as one of everybody, or not at all. */
function names({ effect, principals }: Statement, arn: string): "it" | "everybody" | null {
  if (principals === null) return null;
  const list = [...(principals.byType.get("AWS") ?? [])];
  // A session of the role is the role, for what it is allowed; a deny of one session leaves the others.
  const isIt = list.includes(arn) || (effect === "Allow" && list.some((each) => isSessionOf(each, arn)));
  const hit = list.some((each) => /^[*?]+$/.test(each)) ? "everybody" : isIt ? "it" : null;
  // Everybody but those it names; a deny of that form counts, since less is said then.
  if (principals.not) return list.includes(arn) ? null : "everybody";
  if (hit === null && effect === "Deny") {
    const account = /^arn:[^:]*:iam::(\d{12}):/.exec(arn)?.[1];
    return list.some((each) => each === account || each.endsWith(`::${account}:root`)) ? "it" : null;
  }
  return hit;
}

/** `arn:aws:sts::111122223333:assumed-role/runner/i-0a1` of `arn:aws:iam::111122223333:role/ci/runner`: without the role's path. */
function isSessionOf(session: string, role: string): boolean {
  const [, partition, account, name] = /^arn:([^:]*):iam::(\d{12}):role\/(?:.*\/)?([^/]+)$/.exec(role) ?? [];
  return name !== undefined && session.startsWith(`arn:${partition}:sts::${account}:assumed-role/${name}/`);
}
