/**
 * RG-17 and RG-18, each check with a policy that fires it and one that does not: administrators in every disguise, known ways to more,
 * what is trusted and by which subject.
 */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Catalogue } from "../../iam/catalogue.ts";
import { credentialActions, escalations, iamProbes, otherProbes } from "../../iam/escalations.ts";
import { loadIamCatalogue } from "../sources/iam-catalogue.ts";
import {
  account,
  allow,
  details,
  forGitHub,
  hub,
  judge,
  managed,
  runnerArn,
  said,
  withPolicy,
} from "./testing/given.ts";

const saysOf = (file: unknown, options: Parameters<typeof judge>[0] = {}) => said(judge({ iam: [file], ...options }));

describe("an administrator (RG-17)", () => {
  const disguises: [string, unknown][] = [
    ["a star", allow("*")],
    ["two stars", allow("*:*")],
    ["all but something harmless", { Effect: "Allow", NotAction: "aws-portal:*", Resource: "*" }],
    ["all of IAM", allow("iam:*")],
    ["a question mark", allow(["i?m:*"])],
    ["capitals", allow("IAM:*")],
    ["by the letters", allow(["a*", "c*", "d*", "e*", "i*", "k*", "l*", "r*", "s*"])],
    ["every resource but one", { Effect: "Allow", Action: "*", NotResource: "arn:aws:s3:::quiet" }],
    ["a condition that always holds", allow("*", "*", { Bool: { "aws:SecureTransport": "true" } })],
    ["a statement that is no list", allow(["iam:*", "s3:GetObject"], ["*"])],
    [
      "a condition on a key that is missing",
      allow("*", "*", { StringNotEqualsIfExists: { "aws:MultiFactorAuthAge": "0" } }),
    ],
  ];
  for (const [name, statement] of disguises)
    test(`by ${name}`, () => {
      assert.deepEqual(saysOf(withPolicy(statement)), ["administrator fail"]);
    });

  test("by an attached policy of AWS's, with its document or without", () => {
    const AttachedManagedPolicies = [
      { PolicyName: "AdministratorAccess", PolicyArn: "arn:aws:iam::aws:policy/AdministratorAccess" },
    ];
    assert.deepEqual(saysOf(details({ AttachedManagedPolicies })), ["administrator fail"]);
  });

  test("by a group, in a document that is percent-encoded", () => {
    const PolicyDocument = encodeURIComponent(JSON.stringify({ Statement: allow("*") }));
    const user = {
      UserName: "ci",
      Arn: `arn:aws:iam::${account}:user/ci`,
      GroupList: ["all"],
      UserPolicyList: [],
      AttachedManagedPolicies: [],
    };
    const group = {
      GroupName: "all",
      Arn: `arn:aws:iam::${account}:group/all`,
      GroupPolicyList: [{ PolicyName: "p", PolicyDocument }],
    };
    const file = details({}, { UserDetailList: [user], GroupDetailList: [group] });
    assert.deepEqual(saysOf(file, { roles: ["ci"] }), ["administrator fail"]);
    assert.deepEqual(saysOf(file), [], "a user is not judged unasked");
  });

  const silent: [string, unknown][] = [
    ["denied in full", [allow("*"), { Effect: "Deny", Action: "*", Resource: "*" }]],
    [
      "only with a second factor, which a machine has not",
      allow("*", "*", { Bool: { "aws:MultiFactorAuthPresent": "true" } }),
    ],
    ["narrow", allow("s3:GetObject", "arn:aws:s3:::cache/*")],
  ];
  for (const [name, statement] of silent)
    test(`is not one who is ${name}`, () => {
      assert.deepEqual(saysOf(withPolicy(statement)), []);
    });

  test("is not one whom the boundary holds back", () => {
    const more = { Policies: [managed("boundary", allow("s3:GetObject", "arn:aws:s3:::cache/*"))] };
    const role = { RolePolicyList: [{ PolicyName: "inline", PolicyDocument: { Statement: allow("*") } }] };
    assert.deepEqual(saysOf(details(role, more)), []);
  });

  test("is one whose boundary is not known, perhaps: less is said, and never a pass", () => {
    const role = { RolePolicyList: [{ PolicyName: "inline", PolicyDocument: { Statement: allow("*") } }] };
    const { findings } = judge({ iam: [details(role, { Policies: [] })] });
    const found = findings.find(({ check }) => check === "administrator");
    assert.equal(found?.status, "fail");
    assert.equal(found?.severity, "medium");
    assert.ok(findings.some(({ check, status }) => check === "policy-unknown" && status === "unknown"));
  });

  test("nearly, outside of IAM", () => {
    const power = { Effect: "Allow", NotAction: ["iam:*", "organizations:*", "account:*"], Resource: "*" };
    const found = saysOf(withPolicy(power));
    assert.ok(found.includes("all-but-iam fail") && !found.includes("administrator fail"));
  });

  test("has its place: the statement, on its line", () => {
    const { findings } = judge({ iam: [withPolicy([allow("s3:GetObject", "arn:aws:s3:::a/*"), allow("*")])] });
    const { where, subject, rule } = findings[0]!;
    assert.ok(where.kind === "file");
    assert.equal(where.part, "/RoleDetailList/0/RolePolicyList/0/PolicyDocument/Statement/1");
    assert.equal(subject, runnerArn);
    assert.equal(rule, "RG-17");
    const lines = JSON.stringify(withPolicy([allow("s3:GetObject", "arn:aws:s3:::a/*"), allow("*")]), null, 2).split(
      "\n",
    );
    assert.equal(
      lines.findIndex((each) => each.includes('"Action": "*"')),
      where.line! + 1,
    );
  });
});

describe("ways to more (RG-17)", () => {
  test("each known one is found with all it needs, and not with one action less", () => {
    for (const { needs, passedTo } of escalations) {
      const statement = allow([...needs]);
      const found = judge({ iam: [withPolicy(statement)] }).findings.filter(({ check }) => check === "escalation");
      assert.ok(
        found.some(({ seen }) => needs.some((need) => seen.includes(need))),
        needs.join(" + "),
      );
      for (const left of needs) {
        const some = needs.filter((each) => each !== left);
        if (some.length === 0) continue;
        const still = judge({ iam: [withPolicy(allow(some))] }).findings;
        assert.ok(!still.some(({ seen }) => seen.includes(needs.join(" + "))), `${needs.join(" + ")} without ${left}`);
      }
      if (passedTo === undefined) continue;
      const other = { StringEquals: { "iam:PassedToService": "another.amazonaws.com" } };
      const apart = [allow(needs.filter((each) => each !== "iam:PassRole")), allow("iam:PassRole", "*", other)];
      assert.ok(
        !judge({ iam: [withPolicy(apart)] }).findings.some(({ seen }) => seen.includes(needs.join(" + "))),
        "passed to another",
      );
    }
  });

  test("are smaller where they are limited to a name, and where a condition stands before them", () => {
    const severities = (statement: unknown) =>
      judge({ iam: [withPolicy(statement)] })
        .findings.filter(({ check }) => check === "escalation")
        .map(({ severity }) => severity);
    assert.deepEqual(severities(allow("iam:PutRolePolicy")), ["critical"]);
    assert.deepEqual(severities(allow("iam:PutRolePolicy", `arn:aws:iam::${account}:role/app`)), ["high"]);
    assert.deepEqual(
      severities(
        allow("iam:PutRolePolicy", "*", { StringEquals: { "iam:PermissionsBoundary": "arn:aws:iam::1:policy/b" } }),
      ),
      ["medium"],
    );
    assert.deepEqual(
      severities([
        allow("iam:PutRolePolicy"),
        { Effect: "Deny", Action: "iam:Put*", Resource: "arn:aws:iam::*:role/admin" },
      ]),
      ["critical"],
    );
    assert.deepEqual(
      severities([allow("iam:PutRolePolicy"), { Effect: "Deny", Action: "iam:Put*", Resource: "*" }]),
      [],
    );
  });

  test("handing on any role, becoming any role, reading any secret", () => {
    assert.deepEqual(saysOf(withPolicy(allow("iam:PassRole"))), ["pass-role fail"]);
    assert.deepEqual(
      saysOf(withPolicy(allow("iam:PassRole", "*", { StringEquals: { "iam:PassedToService": "ec2.amazonaws.com" } }))),
      [],
    );
    assert.deepEqual(saysOf(withPolicy(allow("iam:PassRole", `arn:aws:iam::${account}:role/app`))), []);
    assert.deepEqual(saysOf(withPolicy(allow("sts:AssumeRole"))), ["assume-role fail"]);
    assert.deepEqual(saysOf(withPolicy(allow("sts:AssumeRole", "arn:aws:iam::999988887777:role/deploy"))), [
      "assume-role fail",
    ]);
    assert.deepEqual(saysOf(withPolicy(allow("sts:AssumeRole", `arn:aws:iam::${account}:role/deploy`))), []);
    for (const action of credentialActions.filter(
      (each) => each !== "sts:AssumeRole" && each !== "iam:CreateAccessKey",
    ))
      assert.deepEqual(saysOf(withPolicy(allow(action))), ["credentials fail"], action);
    assert.deepEqual(
      saysOf(withPolicy(allow("secretsmanager:GetSecretValue", `arn:aws:secretsmanager:*:${account}:secret:ci-*`))),
      [],
    );
  });
});

describe("all of AWS's actions", () => {
  let catalogue: Catalogue;
  before(async () => {
    catalogue = await loadIamCatalogue();
  });

  test("have every action that our lists name", () => {
    const known = new Set([...catalogue.values()].flat().map(({ name }) => name.toLowerCase()));
    const named = [...escalations.flatMap(({ needs }) => needs), ...credentialActions, ...iamProbes, ...otherProbes];
    assert.deepEqual(
      named.filter((name) => !known.has(name.toLowerCase())),
      [],
    );
    assert.ok(known.size > 20_000);
  });

  test("tell how wide permissions are, and which name nothing", () => {
    const says = (statement: unknown) => saysOf(withPolicy(statement), { catalogue });
    assert.deepEqual(says(allow("s3:PutObject")), ["breadth fail"]);
    assert.deepEqual(says(allow("s3:Put*", "arn:aws:s3:::*")), ["breadth fail"]);
    assert.deepEqual(says(allow("s3:PutObject", "arn:aws:s3:::cache/*")), []);
    assert.deepEqual(says(allow("ec2:DescribeInstances")), []);
    assert.deepEqual(says(allow("s3:PutObjects", "arn:aws:s3:::cache/*")), ["no-such-action fail"]);
    const { findings } = judge({ iam: [withPolicy(allow("sns:*"))], catalogue });
    const found = findings.find(({ check }) => check === "breadth")!;
    assert.match(found.seen, /all that sns can be told to change; \d+ of them decide who may do what/);
    assert.equal(found.severity, "high");
  });
});

describe("what is not known (RG-17) is never passed", () => {
  test("a policy without its document, a page of several, a broken policy, no boundary, no such role", () => {
    const AttachedManagedPolicies = [{ PolicyName: "x", PolicyArn: "arn:aws:iam::aws:policy/ReadOnlyAccess" }];
    assert.deepEqual(saysOf(details({ AttachedManagedPolicies })), ["policy-unknown unknown"]);
    assert.deepEqual(saysOf(details({}, { IsTruncated: true })), ["unreadable unknown"]);
    assert.deepEqual(saysOf(withPolicy([{ Effect: "Perhaps" }])), ["policy-unknown unknown"]);
    assert.deepEqual(saysOf(details({ PermissionsBoundary: undefined })), ["no-boundary fail"]);
    assert.deepEqual(saysOf(details(), { roles: ["nobody"] }), ["unreadable unknown"]);
    assert.deepEqual(saysOf("{"), ["unreadable unknown"]);
    assert.deepEqual(saysOf({ Instances: [] }), ["unreadable unknown"]);
  });

  test("a policy alone is judged as what somebody may do, or as whom somebody trusts", () => {
    assert.deepEqual(saysOf({ Version: "2012-10-17", Statement: allow("iam:*") }), ["administrator fail"]);
    assert.deepEqual(saysOf({ Version: "2012-10-17", Statement: allow("s3:GetObject", "arn:aws:s3:::a/*") }), []);
    assert.deepEqual(saysOf({ Statement: { Effect: "Allow", Principal: "*", Action: "sts:AssumeRole" } }), [
      "trust-public fail",
    ]);
  });
});

describe("trust (RG-18)", () => {
  const trusts = (Principal: unknown, Condition?: unknown, options: Parameters<typeof judge>[0] = {}) => {
    const statement = {
      Effect: "Allow",
      Principal,
      Action: "sts:AssumeRole",
      ...(Condition === undefined ? {} : { Condition }),
    };
    const trust = { AssumeRolePolicyDocument: { Statement: [statement] } };
    return saysOf(details(trust), options);
  };
  const foreign = "arn:aws:iam::999988887777:root";
  test("in everybody, other accounts, other services, deputies; and in those it is for", () => {
    assert.deepEqual(trusts("*"), ["trust-public fail"]);
    assert.deepEqual(trusts({ AWS: ["*"] }, { StringLike: { "aws:PrincipalArn": "*" } }), ["trust-public fail"]);
    assert.deepEqual(trusts({ AWS: foreign }), ["trust-account fail"]);
    assert.deepEqual(trusts({ AWS: "999988887777" }), ["trust-account fail"]);
    assert.deepEqual(trusts({ AWS: foreign }, undefined, { accounts: ["999988887777"] }), []);
    assert.deepEqual(trusts({ AWS: `arn:aws:iam::${account}:role/deploy` }), []);
    assert.deepEqual(trusts({ Service: ["ec2.amazonaws.com", "lambda.amazonaws.com"] }), ["trust-services fail"]);
    assert.deepEqual(trusts({ Service: "ec2.amazonaws.com" }), []);
    assert.deepEqual(trusts({ Service: "events.amazonaws.com" }), ["trust-deputy fail", "trust-services fail"]);
    assert.deepEqual(trusts({ Service: "events.amazonaws.com" }, { StringEquals: { "aws:SourceAccount": account } }), [
      "trust-services fail",
    ]);
    assert.deepEqual(trusts({ Federated: "accounts.google.com" }), ["trust-public fail"]);
  });

  const aud = { [`${hub}:aud`]: "sts.amazonaws.com" };
  const sub = (value: string | string[], operator = "StringLike") => ({
    StringEquals: aud,
    ...(operator === "StringEquals"
      ? { StringEquals: { ...aud, [`${hub}:sub`]: value } }
      : { [operator]: { [`${hub}:sub`]: value } }),
  });
  const ids = "repo:octo-org@123456/octo-repo@456789";
  const cases: [string, unknown, string[]][] = [
    ["ids and a branch", sub(`${ids}:ref:refs/heads/main`, "StringEquals"), []],
    ["ids and an environment, by a pattern without a wildcard", sub(`${ids}:environment:production`), []],
    [
      "repository_id beside a subject of names",
      { StringEquals: { ...aud, [`${hub}:sub`]: "repo:octo/app:ref:refs/heads/main", [`${hub}:repository_id`]: "42" } },
      [],
    ],
    ["names where ids should be", sub("repo:octo/app:ref:refs/heads/main", "StringEquals"), ["oidc-names fail"]],
    ["no audience", { StringEquals: { [`${hub}:sub`]: `${ids}:ref:refs/heads/main` } }, ["oidc-audience fail"]],
    ["no subject", { StringEquals: aud }, ["oidc-subject fail"]],
    ["no conditions", undefined, ["oidc-audience fail", "oidc-subject fail"]],
    ["a star", sub("*"), ["oidc-wildcard fail"]],
    ["every repository", sub("repo:*"), ["oidc-wildcard fail"]],
    ["owners that begin alike", sub("repo:octo*"), ["oidc-wildcard fail"]],
    ["owners that begin alike, with a slash", sub("repo:octo*/app:ref:refs/heads/main"), ["oidc-wildcard fail"]],
    ["an organisation", sub("repo:octo@1/*:ref:refs/heads/main"), ["oidc-names fail", "oidc-organisation fail"]],
    ["pull requests", sub(`${ids}:pull_request`, "StringEquals"), ["oidc-pull-request fail"]],
    ["everything of a repository", sub(`${ids}:*`), ["oidc-pull-request fail"]],
    ["every branch", sub(`${ids}:ref:refs/heads/*`), ["oidc-pull-request fail"]],
    ["a wildcard that compares letter by letter", sub("repo:octo/*", "StringEquals"), ["oidc-wildcard fail"]],
    ["a claim that anybody has", sub("environment:production"), ["oidc-claim fail"]],
    [
      "ForAllValues",
      sub(`${ids}:ref:refs/heads/main`, "ForAllValues:StringLike"),
      ["oidc-absent-claims fail", "oidc-subject fail"],
    ],
    [
      "IfExists",
      sub(`${ids}:ref:refs/heads/main`, "StringLikeIfExists"),
      ["oidc-absent-claims fail", "oidc-subject fail"],
    ],
    ["who it is not", { StringEquals: aud, StringNotLike: { [`${hub}:sub`]: "repo:evil/*" } }, ["oidc-subject fail"]],
    [
      "an owner's id alone",
      { StringEquals: { ...aud, [`${hub}:repository_owner_id`]: "7" } },
      ["oidc-organisation fail"],
    ],
    ["repository_id alone", { StringEquals: { ...aud, [`${hub}:repository_id`]: "42" } }, ["oidc-pull-request fail"]],
    [
      "repository_id and an environment",
      { StringEquals: { ...aud, [`${hub}:repository_id`]: "42", [`${hub}:environment`]: "production" } },
      [],
    ],
    [
      "another issuer's key, which no token has",
      { StringEquals: { ...aud, "token.actions.githubusercontent.com/octo:sub": `${ids}:ref:refs/heads/main` } },
      ["oidc-issuer fail"],
    ],
    [
      "another issuer's key, by an operator that holds without it",
      {
        StringEquals: { ...aud, [`${hub}:sub`]: `${ids}:ref:refs/heads/main` },
        StringNotLike: { "token.actions.octo.ghe.com:sub": "x" },
      },
      ["oidc-issuer fail"],
    ],
    ["one good subject and one bad", sub([`${ids}:ref:refs/heads/main`, "repo:*"]), ["oidc-wildcard fail"]],
  ];
  for (const [name, condition, expected] of cases)
    test(`in GitHub's jobs by ${name}`, () => {
      assert.deepEqual(saysOf(forGitHub(condition)), expected);
    });

  test("in whose tokens: GitHub's issuers by their own keys, one that looks like GitHub's, others in question", () => {
    const provider = (issuer: string) => `arn:aws:iam::${account}:oidc-provider/${issuer}`;
    const by = (issuer: string, keys = issuer, servers: string[] = []) =>
      saysOf(
        forGitHub(
          { StringEquals: { [`${keys}:aud`]: "sts.amazonaws.com", [`${keys}:sub`]: `${ids}:ref:refs/heads/main` } },
          provider(issuer),
        ),
        { servers },
      );
    for (const issuer of [hub, `${hub}/octo`, "token.actions.octo.ghe.com"]) assert.deepEqual(by(issuer), [], issuer);
    // Anybody can have an Enterprise Server's path: whose it is, somebody must say.
    const [server, trap] = ["Ghe.octo.example/_services/token", "github.com.evil.example/_services/token"];
    assert.deepEqual(by(server), ["oidc-issuer unknown"]);
    assert.deepEqual(by(server, server, ["ghe.Octo.example"]), []);
    assert.deepEqual(by("github.octo.example/_services/token"), ["oidc-issuer unknown"]);
    assert.deepEqual(by(trap), ["oidc-issuer fail"]);
    assert.deepEqual(by("x.githubusercontent.com/_services/token", trap, ["ghe.octo.example"]), ["oidc-issuer fail"]);
    assert.deepEqual(by(trap, trap, ["github.com.evil.example"]), []);
    assert.deepEqual(by(`${hub}/octo`, hub), ["oidc-issuer fail", "oidc-issuer fail"]);
    for (const issuer of [`${hub}.example`, "token.actions.githubusercontents.com", "github.example/token"])
      assert.deepEqual(by(issuer), ["oidc-issuer fail"], issuer);
    assert.deepEqual(by("gitlab.example"), ["oidc-issuer unknown"]);
  });
});
