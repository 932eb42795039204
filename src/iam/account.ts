/**
 * Principals out of an account's own description: `aws iam get-account-authorization-details --output json`.
 * https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
 */
import { pointerTo } from "../cloud/json.ts";
import type { JsonFile, Trouble } from "../cloud/json.ts";
import { flagAt, isFields, listAt, own, textAt, textsAt } from "../cloud/value.ts";
import { readPolicyDocument } from "./document.ts";
import type { Policy } from "./document.ts";
import { accountOf } from "./principal.ts";
import type { Attached, Principal } from "./principal.ts";

export function isAccount(value: unknown): boolean {
  return ["RoleDetailList", "UserDetailList", "GroupDetailList"].some((key) => Array.isArray(own(value, key)));
}

/** All principals of the answer, and what in it cannot be read. */
export function principalsOfAccount({ file, value }: JsonFile): { principals: Principal[]; troubles: Trouble[] } {
  const troubles: Trouble[] = [];
  const trouble = (pointer: string, message: string, fix: string) => troubles.push({ file, pointer, message, fix });
  if (flagAt(value, "IsTruncated") === true)
    trouble(
      "/IsTruncated",
      "is one page of several: what the others hold is not known",
      "Ask without --no-paginate and --max-items.",
    );
  const managed = new Map<string, Policy>();
  for (const [i, each] of listAt(value, "Policies").entries()) {
    const arn = textAt(each, "Arn");
    if (arn === null) continue;
    const pointer = pointerTo("/Policies", i);
    const versions = listAt(each, "PolicyVersionList");
    const at = versions.findIndex((version) => flagAt(version, "IsDefaultVersion") === true);
    const place = { file, pointer: at < 0 ? pointer : `${pointer}/PolicyVersionList/${at}/Document` };
    managed.set(arn, readPolicyDocument(arn, at < 0 ? undefined : own(versions[at], "Document"), place));
  }
  const attachedOf = (entity: unknown, pointer: string): Attached[] =>
    listAt(entity, "AttachedManagedPolicies").flatMap((each, i) => {
      const arn = textAt(each, "PolicyArn");
      const place = { file, pointer: `${pointer}/AttachedManagedPolicies/${i}` };
      return arn === null ? [] : [{ arn, known: managed.get(arn)?.partial === null, place }];
    });
  const inlineOf = (entity: unknown, key: string, pointer: string): Policy[] =>
    listAt(entity, key).map((each, i) =>
      readPolicyDocument(textAt(each, "PolicyName") ?? key, own(each, "PolicyDocument"), {
        file,
        pointer: `${pointer}/${key}/${i}/PolicyDocument`,
      }),
    );
  const documentsOf = (attached: readonly Attached[]): Policy[] =>
    attached.flatMap(({ arn }) => managed.get(arn) ?? []);
  const boundaryOf = (entity: unknown, pointer: string): Policy | null => {
    const boundary = own(entity, "PermissionsBoundary");
    if (boundary === undefined) return null;
    const arn = textAt(boundary, "PermissionsBoundaryArn") ?? "boundary";
    const place = { file, pointer: `${pointer}/PermissionsBoundary` };
    return managed.get(arn) ?? { name: arn, statements: [], partial: "is not in the file", place };
  };

  const principals: Principal[] = [];
  const groups = new Map<string, { policies: Policy[]; attached: Attached[] }>();
  for (const [list, kind, inline] of [
    ["GroupDetailList", "group", "GroupPolicyList"],
    ["RoleDetailList", "role", "RolePolicyList"],
    ["UserDetailList", "user", "UserPolicyList"],
  ] as const) {
    for (const [i, entity] of listAt(value, list).entries()) {
      const pointer = `/${list}/${i}`;
      if (!isFields(entity)) {
        trouble(pointer, "is no object", "Give the file as the aws command wrote it.");
        continue;
      }
      const name = textAt(entity, "Arn") ?? pointer;
      const attached = attachedOf(entity, pointer);
      const policies = [...inlineOf(entity, inline, pointer), ...documentsOf(attached)];
      const groupName = textAt(entity, "GroupName");
      if (kind === "group" && groupName !== null) groups.set(groupName, { policies, attached });
      for (const of of kind === "user" ? textsAt(entity, "GroupList") : []) {
        const group = groups.get(of);
        if (group === undefined) {
          trouble(
            `${pointer}/GroupList`,
            `group ${of} is not in the file`,
            "Ask for groups as well (leave out --filter).",
          );
          continue;
        }
        policies.push(...group.policies);
        attached.push(...group.attached);
      }
      const trust = own(entity, "AssumeRolePolicyDocument");
      const trustPlace = { file, pointer: `${pointer}/AssumeRolePolicyDocument` };
      principals.push({
        kind,
        name,
        account: accountOf(name),
        policies,
        attached,
        boundary: boundaryOf(entity, pointer),
        trust: trust === undefined ? null : readPolicyDocument("trust policy", trust, trustPlace),
        onMachines: listAt(entity, "InstanceProfileList").length > 0,
        place: { file, pointer },
      });
    }
  }
  return { principals, troubles };
}
