/**
 * Cloud roles judged: from whatever files there are to evidence. Who gets roles in CI is machines, containers and GitHub's jobs; in an
 * account's description the others are left out unless they are named, and how many is said.
 */
import { bounded } from "../cloud/json.ts";
import type { JsonFile, Trouble } from "../cloud/json.ts";
import { isPlan } from "../cloud/plan.ts";
import type { Plan } from "../cloud/plan.ts";
import { isFields, own, shown } from "../cloud/value.ts";
import { isAccount, principalsOfAccount } from "./account.ts";
import { judgeBreadth } from "./breadth.ts";
import type { Catalogue } from "./catalogue.ts";
import { readPolicyDocument } from "./document.ts";
import type { Policy } from "./document.ts";
import { sayer } from "./finding.ts";
import type { IamEvidence } from "./finding.ts";
import { isGitHub } from "./github-trust.ts";
import { guardrailsOf, layerOver } from "./guardrails.ts";
import { principalsOfPlan } from "./planned.ts";
import { controlsOfPlan, deniesOver } from "./planned-controls.ts";
import type { Principal } from "./principal.ts";
import { isResourceDocument, judgeResourcePolicies, resourcePolicyOf } from "./resource-policy.ts";
import { judgeRights } from "./rights.ts";
import { judgeTrust } from "./trust.ts";

export interface IamOptions {
  /** Names or ARNs of the roles to judge; empty: those that CI can get. */
  readonly roles: readonly string[];
  /** Accounts that may be trusted, twelve digits each. */
  readonly accounts: readonly string[];
  /** Hosts of own GitHub Enterprise Servers. */
  readonly servers: readonly string[];
  /** Control policies that stand over the runners' account. */
  readonly controls: readonly JsonFile[];
  /** Whether others were given that are no JSON. */
  readonly hasUnreadControls: boolean;
  /** All of AWS's actions; null: how wide permissions are is not judged, and no policy of a resource passes. */
  readonly catalogue: Catalogue | null;
}

export interface IamAudit {
  readonly evidence: IamEvidence[];
  /** Names of the principals that were judged. */
  readonly judged: string[];
  /** How many were left out because CI cannot get them. */
  readonly leftOut: number;
  /** How many resources' policies were given. */
  readonly resources: number;
  /**
   * How many control policies plans have, how many of them are shown to stand over what was judged and deny something there, and over
   * how many of the judged none of them is shown to stand.
   */
  readonly controls: { readonly planned: number; readonly over: number; readonly without: number };
}

/** Judges all principals in the files and plans. Never throws on what they hold. */
export function auditIam(files: readonly JsonFile[], plans: readonly Plan[], options: IamOptions): IamAudit {
  const evidence: IamEvidence[] = [];
  const principals: Principal[] = plans.flatMap(principalsOfPlan);
  const guardrails = guardrailsOf(options.controls, options.hasUnreadControls);
  const troubles: Trouble[] = [...guardrails.troubles];
  const resources: Policy[] = [];
  for (const file of files) {
    const ofResource = resourcePolicyOf(file);
    if (ofResource !== null) resources.push(ofResource);
    else if (isResourceDocument(file.value))
      resources.push(readPolicyDocument(file.file, file.value, { file: file.file, pointer: "" }));
    else if (isAccount(file.value)) {
      const read = principalsOfAccount(file);
      for (const each of read.principals) principals.push(each);
      for (const each of read.troubles) troubles.push(each);
    } else if (isFields(file.value) && own(file.value, "Statement") !== undefined)
      principals.push(principalOfDocument(file));
    else if (!isPlan(file.value))
      troubles.push({
        file: file.file,
        pointer: "",
        message: "is neither an account's authorization details nor a policy",
        fix: "Give the answer of aws iam get-account-authorization-details, or a policy document.",
      });
  }
  for (const { file, pointer, message, fix } of bounded(troubles))
    sayer(evidence, file, { file, pointer })("unreadable", shown(message, 300), fix, { outcome: "unknown" });
  const servers = new Set(options.servers.map((host) => host.toLowerCase()));
  const denied = new Map<string, Policy[]>();
  const limited = new Set<string>();
  let without = 0;
  const chosen = principals
    .filter((each) => isChosen(each, options.roles, servers))
    .map((each) => {
      const { account } = each;
      if (account !== null && !denied.has(account))
        denied.set(
          account,
          plans.flatMap((plan) => deniesOver(plan, account)),
        );
      const over = account === null ? [] : denied.get(account)!;
      if (over.length === 0) without++;
      for (const { name, place } of over) limited.add(JSON.stringify([place.file, name]));
      const layer = layerOver(guardrails, over);
      return layer === null ? each : { ...each, guardrails: layer };
    });
  const accounts = new Set(options.accounts);
  for (const principal of chosen) {
    const before = evidence.length;
    const say = sayer(evidence, principal.name, principal.place);
    const isAdministrator = judgeRights(principal, say);
    if (options.catalogue !== null && !isAdministrator) judgeBreadth(principal, options.catalogue, say);
    judgeResourcePolicies(principal, resources, options.catalogue, say);
    judgeTrust(principal, { accounts, servers }, say);
    const isJobs = principal.kind === "role" && (principal.onMachines || trustsGitHub(principal, servers));
    if (isJobs && principal.boundary === null)
      say("no-boundary", "has no permissions boundary", "Set one that leaves out IAM and what its jobs never need.");
    // Said under the first check of each kind, so that a role without fault is seen to have been looked at.
    const found = new Set(
      evidence
        .slice(before)
        .map(({ check }) =>
          /^(?:trust|oidc)-/.test(check)
            ? "trust"
            : check === "no-boundary"
              ? "boundary"
              : check === "resource-policy"
                ? "resource"
                : "rights",
        ),
    );
    if (!found.has("rights") && principal.policies.length + principal.attached.length > 0)
      say("administrator", "has no right that is known to lead to more", "", { outcome: "pass" });
    if (!found.has("trust") && principal.trust !== null)
      say("trust-public", "is trusted by whom it names alone", "", { outcome: "pass" });
    if (isJobs && !found.has("boundary")) say("no-boundary", "has a permissions boundary", "", { outcome: "pass" });
  }
  for (const name of options.roles)
    if (!chosen.some((each) => isNamed(each, name)))
      sayer(evidence, shown(name), { file: files[0]?.file ?? plans[0]?.file ?? "", pointer: "" })(
        "unreadable",
        "is a role that no file has",
        "Check the name, or give the file that has it.",
        { outcome: "unknown" },
      );
  return {
    evidence,
    judged: chosen.map(({ name }) => name),
    leftOut: principals.length - chosen.length,
    resources: resources.length,
    controls: {
      planned: plans.reduce((sum, plan) => sum + controlsOfPlan(plan).length, 0),
      ...{ over: limited.size, without },
    },
  };
}

function isNamed({ name }: Principal, wanted: string): boolean {
  return name === wanted || name.endsWith(`/${wanted}`);
}

function isChosen(principal: Principal, roles: readonly string[], servers: ReadonlySet<string>): boolean {
  if (roles.length > 0) return roles.some((name) => isNamed(principal, name));
  if (principal.kind !== "role") return principal.kind === "document";
  // A plan's roles have a Terraform address and are few; an account's roles have ARNs and are many.
  if (!principal.name.startsWith("arn:") || principal.onMachines) return true;
  const trusted = (principal.trust?.statements ?? []).flatMap(({ principals }) => [...(principals?.byType ?? [])]);
  // A provider that is none of GitHub's may be another CI's, or only look like GitHub's.
  return trusted.some(
    ([type, names]) =>
      (type === "Federated" && names.some((name) => isGitHub(name, servers) || name.includes(":oidc-provider/"))) ||
      (type === "Service" && names.some((name) => /^(?:ec2|ecs-tasks|pods\.eks|codebuild)\.amazonaws\.com/.test(name))),
  );
}

function trustsGitHub({ trust }: Principal, servers: ReadonlySet<string>): boolean {
  return (trust?.statements ?? []).some(
    ({ principals }) => principals?.byType.get("Federated")?.some((name) => isGitHub(name, servers)) === true,
  );
}

/** A policy alone: a trust policy where it names principals, else what some role may do. */
function principalOfDocument(file: JsonFile): Principal {
  const place = { file: file.file, pointer: "" };
  const policy = readPolicyDocument(file.file, file.value, place);
  const isTrust = policy.statements.some(({ principals }) => principals !== null);
  return {
    kind: "document",
    name: file.file,
    account: null,
    policies: isTrust ? [] : [policy],
    attached: [],
    boundary: null,
    trust: isTrust ? policy : null,
    onMachines: false,
    place,
  };
}
