/** Files in the recorded shapes of AWS's answers, small, and what is judged of them; for tests. */
import { checkCloud } from "../check.ts";
import type { CloudInput, CloudResult } from "../check.ts";

const nothing: CloudInput = {
  iam: [],
  network: [],
  plan: [],
  controls: [],
  subnets: [],
  roles: [],
  accounts: [],
  servers: [],
  firewalls: [],
  destinations: [],
  catalogue: null,
};

const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

/** Judges values as if they were files. */
export function judge(
  given: { iam?: unknown[]; network?: unknown[]; plan?: unknown[]; controls?: unknown[] } & Partial<
    Omit<CloudInput, "iam" | "network" | "plan" | "controls">
  >,
): CloudResult {
  const files = (kind: string, list: readonly unknown[] = []) =>
    list.map((each, i) => ({ file: `${kind}-${i}.json`, text: text(each) }));
  return checkCloud({
    ...nothing,
    ...given,
    iam: files("iam", given.iam),
    network: files("network", given.network),
    plan: files("plan", given.plan),
    controls: files("controls", given.controls),
  });
}

/** `check status`, sorted, without those that pass. */
export function said(result: CloudResult): string[] {
  return result.findings
    .filter(({ status }) => status !== "pass")
    .map(({ check, status }) => `${check} ${status}`)
    .toSorted();
}

export const account = "111122223333";
export const runnerArn = `arn:aws:iam::${account}:role/runner`;
const ec2 = { Effect: "Allow", Principal: { Service: "ec2.amazonaws.com" }, Action: "sts:AssumeRole" };

/** `aws iam get-account-authorization-details` with one role, which machines get, and more of it where given. */
export function details(role: Record<string, unknown> = {}, more: Record<string, unknown> = {}): unknown {
  return {
    UserDetailList: [],
    GroupDetailList: [],
    RoleDetailList: [
      {
        Path: "/",
        RoleName: "runner",
        RoleId: "AROAEXAMPLE",
        Arn: runnerArn,
        CreateDate: "2026-01-05T10:00:00+00:00",
        AssumeRolePolicyDocument: { Version: "2012-10-17", Statement: [ec2] },
        InstanceProfileList: [
          { InstanceProfileName: "runner", Arn: `arn:aws:iam::${account}:instance-profile/runner`, Roles: [] },
        ],
        RolePolicyList: [],
        AttachedManagedPolicies: [],
        PermissionsBoundary: {
          PermissionsBoundaryType: "Policy",
          PermissionsBoundaryArn: `arn:aws:iam::${account}:policy/boundary`,
        },
        Tags: [],
        RoleLastUsed: {},
        ...role,
      },
    ],
    Policies: [managed("boundary", [{ Effect: "Allow", Action: "*", Resource: "*" }])],
    IsTruncated: false,
    ...more,
  };
}

/** One entry of `Policies`. */
export function managed(name: string, Statement: unknown): unknown {
  return {
    PolicyName: name,
    PolicyId: "ANPAEXAMPLE",
    Arn: `arn:aws:iam::${account}:policy/${name}`,
    Path: "/",
    DefaultVersionId: "v2",
    PolicyVersionList: [
      { Document: { Version: "2012-10-17", Statement: [] }, VersionId: "v1", IsDefaultVersion: false },
      { Document: { Version: "2012-10-17", Statement }, VersionId: "v2", IsDefaultVersion: true },
    ],
  };
}

/** A role with one inline policy. */
export function withPolicy(Statement: unknown, more: Record<string, unknown> = {}): unknown {
  return details({
    RolePolicyList: [{ PolicyName: "inline", PolicyDocument: { Version: "2012-10-17", Statement } }],
    ...more,
  });
}

export const allow = (Action: string | string[], Resource: string | string[] = "*", Condition?: unknown) => ({
  Effect: "Allow",
  Action,
  Resource,
  ...(Condition === undefined ? {} : { Condition }),
});

export const hub = "token.actions.githubusercontent.com";

/** A role that GitHub's jobs get, with the given conditions. */
export function forGitHub(Condition: unknown, provider = `arn:aws:iam::${account}:oidc-provider/${hub}`): unknown {
  const statement = {
    Effect: "Allow",
    Principal: { Federated: provider },
    Action: "sts:AssumeRoleWithWebIdentity",
    Condition,
  };
  return details({
    InstanceProfileList: [],
    AssumeRolePolicyDocument: { Version: "2012-10-17", Statement: [statement] },
  });
}
