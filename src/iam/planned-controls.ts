/**
 * Service control policies that a Terraform plan attaches, for the accounts that it shows them to stand over: an account by its number,
 * or by a unit or the root that the plan shows above it. What they deny counts; what they allow does not limit, since AWS attaches
 * FullAWSAccess by itself and no plan shows whether it is still there. Everything that is not sure takes nothing away: two resources
 * that one reference may mean, an account whose place is not in the plan, a document that is not whole, the management account,
 * which no control policy limits, and policies of resources, which say nothing of who asks.
 * https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html
 */
import type { Plan, PlanResource } from "../cloud/plan.ts";
import { isUnknownAt, listAt, own, textAt, textsAt } from "../cloud/value.ts";
import type { Policy } from "./document.ts";
import { limitAt } from "./planned.ts";

const ofPolicies = "aws_organizations_policy";
const ofOrganisation = "aws_organizations_organization";
const ofUnits = "aws_organizations_organizational_unit";
const ofAccounts = "aws_organizations_account";
const serviceControl = "SERVICE_CONTROL_POLICY";
/** An organisation nests units five deep; far beyond it is a circle. */
const deepest = 16;

/** A control policy of a plan, as somebody wrote it. */
export interface PlannedControl {
  readonly policy: Policy;
  readonly resource: PlanResource;
}

/** All that the plan has, attached or not; `types`: of policies, as AWS names them. */
export function controlsOfPlan(plan: Plan, types: readonly string[] = [serviceControl]): PlannedControl[] {
  return plan.of(ofPolicies).flatMap((resource) => {
    // Left out it is a service control policy (the provider's default).
    const type = own(resource.values, "type") ?? serviceControl;
    if (typeof type !== "string" || !types.includes(type)) return [];
    return [{ resource, policy: limitAt(plan, resource, "content", resource.address) }];
  });
}

/** What the plan's control policies deny in an account, twelve digits. */
export function deniesOver(plan: Plan, account: string): Policy[] {
  const controls = controlsOfPlan(plan).filter(({ policy }) => policy.partial === null);
  if (controls.length === 0 || !mayLimit(plan, account)) return [];
  const above = aboveAccount(plan, account);
  const ids = new Set<string>();
  const attached = new Set<PlanResource>();
  for (const each of plan.of("aws_organizations_policy_attachment")) {
    if (!standsOver(plan, each, above)) continue;
    const id = textAt(each.values, "policy_id");
    const one = id === null ? oneReferred(plan, each, "policy_id") : null;
    if (id !== null) ids.add(id);
    if (one !== null) attached.add(one);
  }
  return controls.flatMap(({ policy, resource }) => {
    const statements = policy.statements.filter(({ effect }) => effect === "Deny");
    const isAttached = attached.has(resource) || ids.has(textAt(resource.values, "id") ?? "");
    return statements.length > 0 && isAttached ? [{ ...policy, statements }] : [];
  });
}

/**
 * Only where the plan shows the organisation: that it has them switched on, and that its management account is another one, over
 * which a control policy can be put and does nothing. Two organisations (of two providers) may each be the account's.
 */
function mayLimit(plan: Plan, account: string): boolean {
  const organisations = plan.resources.filter(({ type }) => type === ofOrganisation).map(({ values }) => values);
  const managing = new Set(organisations.map((each) => textAt(each, "master_account_id")));
  return (
    managing.size === 1 &&
    !managing.has(null) &&
    !managing.has(account) &&
    organisations.every(
      (each) =>
        textAt(each, "feature_set") !== "CONSOLIDATED_BILLING" &&
        textsAt(each, "enabled_policy_types").includes(serviceControl),
    )
  );
}

/** An account with what the plan shows above it. */
interface Above {
  /** Of the account, its units and its root, as far as they are known. */
  readonly ids: ReadonlySet<string>;
  /** The organisation among them is for its one root. */
  readonly resources: ReadonlySet<PlanResource>;
}

function aboveAccount(plan: Plan, account: string): Above {
  const ids = new Set([account]);
  const resources = new Set<PlanResource>();
  const units = plan.of(ofUnits);
  let at = plan.of(ofAccounts).find(({ values }) => textAt(values, "id") === account);
  for (let depth = 0; at !== undefined && depth < deepest; depth++) {
    resources.add(at);
    const parent = textAt(at.values, "parent_id");
    if (parent !== null) ids.add(parent);
    const one = parent === null ? unitOrRoot(plan, at, "parent_id") : null;
    if (one?.type === ofOrganisation) resources.add(one);
    at = units.find((each) => (parent === null ? each === one : textAt(each.values, "id") === parent));
  }
  return { ids, resources };
}

function standsOver(plan: Plan, attachment: PlanResource, { ids, resources }: Above): boolean {
  const target = textAt(attachment.values, "target_id");
  if (target !== null) return ids.has(target);
  const one = unitOrRoot(plan, attachment, "target_id");
  return one !== null && resources.has(one);
}

/** What an attribute means: a unit, an account, or the organisation for its root, `aws_organizations_organization.this.roots[0].id`. */
function unitOrRoot(plan: Plan, from: PlanResource, key: string): PlanResource | null {
  const one = oneReferred(plan, from, key);
  if (one?.type !== ofOrganisation) return one;
  const references = listAt(own(from.expressions, key), "references");
  return references.some((each) => typeof each === "string" && each.includes(".roots")) ? one : null;
}

/** The one resource that an attribute whose value is not known refers to; null: none, or it may be another. */
function oneReferred(plan: Plan, from: PlanResource, key: string): PlanResource | null {
  return isUnknownAt(from.values, key) ? plan.surely(from, key) : null;
}
