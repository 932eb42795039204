/**
 * Roles out of a Terraform plan, with all that is attached to them: inline, by attachment resources, and by documents of
 * `aws_iam_policy_document` that are known only in part. A role's ARN and a policy's ARN are unknown at plan time; references join them.
 */
import { pointerTo } from "../cloud/json.ts";
import type { Plan, PlanResource } from "../cloud/plan.ts";
import { isUnknownAt, listAt, own, textAt, textsAt } from "../cloud/value.ts";
import { policyOfBlocks, readPolicyDocument } from "./document.ts";
import type { Policy } from "./document.ts";
import { accountOf } from "./principal.ts";
import type { Attached, Principal } from "./principal.ts";

/** Every role and user of the plan. */
export function principalsOfPlan(plan: Plan): Principal[] {
  const owners = plan.of("aws_iam_role", "aws_iam_user", "aws_iam_group");
  return owners.map((owner) => {
    const kind = owner.type === "aws_iam_role" ? "role" : owner.type === "aws_iam_user" ? "user" : "group";
    const attached = attachedTo(plan, owner, kind);
    const policies = [...inlineOf(plan, owner, kind), ...attached.flatMap(({ policy }) => policy ?? [])];
    const arn = textAt(owner.values, "arn");
    return {
      kind,
      name: owner.address,
      account: arn === null ? null : accountOf(arn),
      policies,
      attached: attached.map(({ arn, known, place }) => ({ arn, known, place })),
      boundary: boundaryOf(plan, owner),
      trust: kind === "role" ? documentAt(plan, owner, "assume_role_policy", "trust policy") : null,
      onMachines: plan.of("aws_iam_instance_profile").some((profile) => belongsTo(plan, profile, owner, "role")),
      place: { file: owner.file, pointer: owner.pointer },
    };
  });
}

/** Whether `resource` names `owner`: by its name where that is known, or by a reference. */
function belongsTo(plan: Plan, resource: PlanResource, owner: PlanResource, key: string): boolean {
  const name = textAt(owner.values, "name");
  if (name !== null && textsAt(resource.values, key).includes(name)) return true;
  // A name that is known and another's; a reference is then to something with that name.
  if (typeof own(resource.values, key) === "string") return false;
  return plan.referred(resource, key)?.includes(owner) ?? false;
}

/** The document in an attribute, or what can be said of it from the one data source that it refers to. */
export function documentAt(
  plan: Plan,
  resource: PlanResource,
  key: string,
  name: string,
  path: readonly (string | number)[] = [key],
): Policy {
  const sources = () => (plan.referred(resource, ...path) ?? []).filter(isDocument);
  return documentFrom(resource, name, path, sources);
}

/** The same of what takes permissions away: the attribute refers to that data source for sure, and to nothing else. */
export function limitAt(plan: Plan, resource: PlanResource, key: string, name: string): Policy {
  return documentFrom(resource, name, [key], () =>
    [plan.surely(resource, key)].filter((each) => each !== null).filter(isDocument),
  );
}

const isDocument = ({ data, type }: PlanResource) => data && type === "aws_iam_policy_document";

function documentFrom(
  resource: PlanResource,
  name: string,
  path: readonly (string | number)[],
  sources: () => readonly PlanResource[],
): Policy {
  let value: unknown = resource.values;
  let pointer = resource.pointer;
  for (const part of path) {
    value = typeof part === "number" ? (Array.isArray(value) ? value[part] : undefined) : own(value, part);
    pointer = pointerTo(pointer, part);
  }
  const place = { file: resource.file, pointer };
  if (typeof value === "string") return readPolicyDocument(name, value, place);
  const [source, another] = sources();
  if (another !== undefined) return { name, statements: [], partial: "may be one of several documents", place };
  if (source === undefined) return { name, statements: [], partial: "is known only after apply", place };
  const takesIn = (key: string) => listAt(source.values, key).length > 0 || isUnknownAt(source.values, key);
  const isOverridden = takesIn("override_policy_documents");
  const read = readPolicyDocument(name, policyOfBlocks(source.values), { file: source.file, pointer: source.pointer });
  const statements = read.statements
    // A statement of the same Sid comes in the place of one here: what this one denies is not sure.
    .filter(({ effect }) => effect === "Allow" || !isOverridden)
    .map((each) => ({ ...each, place: { ...each.place, pointer: source.pointer } }));
  const isMerged = isOverridden || takesIn("source_policy_documents");
  return { ...read, statements, partial: isMerged ? "takes in documents that are not known" : read.partial };
}

function inlineOf(plan: Plan, owner: PlanResource, kind: string): Policy[] {
  const within = listAt(owner.values, "inline_policy").map((each, i) =>
    documentAt(plan, owner, "policy", textAt(each, "name") ?? "inline policy", ["inline_policy", i, "policy"]),
  );
  const beside = plan
    .of(`aws_iam_${kind}_policy`)
    .filter((each) => belongsTo(plan, each, owner, kind))
    .map((each) => documentAt(plan, each, "policy", each.address));
  return [...within, ...beside];
}

function attachedTo(plan: Plan, owner: PlanResource, kind: string): (Attached & { policy: Policy | null })[] {
  const one = (from: PlanResource, key: string): (Attached & { policy: Policy | null })[] => {
    const place = { file: from.file, pointer: pointerTo(from.pointer, key) };
    const known = textsAt(from.values, key).map((arn) => managed(plan, arn, place));
    if (!isUnknownAt(from.values, key)) return known;
    const referred = (plan.referred(from, key) ?? []).filter(({ type }) => type === "aws_iam_policy");
    if (referred.length === 0)
      return [...known, { arn: `${from.address}: known only after apply`, known: false, place, policy: null }];
    return [
      ...known,
      ...referred.map((policy) => {
        const document = documentAt(plan, policy, "policy", policy.address);
        return { arn: policy.address, known: document.partial === null, place, policy: document };
      }),
    ];
  };
  return [
    ...one(owner, "managed_policy_arns"),
    ...plan
      .of(`aws_iam_${kind}_policy_attachment`)
      .filter((each) => belongsTo(plan, each, owner, kind))
      .flatMap((each) => one(each, "policy_arn")),
    ...plan
      .of(`aws_iam_${kind}_policy_attachments_exclusive`)
      .filter((each) => belongsTo(plan, each, owner, `${kind}_name`))
      .flatMap((each) => one(each, "policy_arns")),
    ...plan
      .of("aws_iam_policy_attachment")
      .filter((each) => belongsTo(plan, each, owner, `${kind}s`))
      .flatMap((each) => one(each, "policy_arn")),
  ];
}

function managed(plan: Plan, arn: string, place: Attached["place"]): Attached & { policy: Policy | null } {
  const own = plan.of("aws_iam_policy").find(({ values }) => textAt(values, "arn") === arn);
  const policy = own === undefined ? null : documentAt(plan, own, "policy", own.address);
  return { arn, known: policy !== null && policy.partial === null, place, policy };
}

function boundaryOf(plan: Plan, owner: PlanResource): Policy | null {
  const key = "permissions_boundary";
  const place = { file: owner.file, pointer: pointerTo(owner.pointer, key) };
  const arn = textAt(owner.values, key);
  if (arn === null && !isUnknownAt(owner.values, key)) return null;
  if (arn !== null) {
    const policy = plan.of("aws_iam_policy").find(({ values }) => textAt(values, "arn") === arn);
    if (policy !== undefined) return limitAt(plan, policy, "policy", policy.address);
    return { name: arn, statements: [], partial: "is not in the plan", place };
  }
  const policy = plan.surely(owner, key);
  if (policy?.type !== "aws_iam_policy")
    return { name: "boundary", statements: [], partial: "is known only after apply", place };
  return limitAt(plan, policy, "policy", policy.address);
}
