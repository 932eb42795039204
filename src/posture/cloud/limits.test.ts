/**
 * What stands around a role's own policies (RG-17): control policies take away and never give, and where they cannot be read or leave a
 * doubt nothing is taken; policies of resources give a role, or everybody, what its own need not say.
 */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Catalogue } from "../../iam/catalogue.ts";
import { loadIamCatalogue } from "../sources/iam-catalogue.ts";
import { account, allow, details, judge, runnerArn, said, withPolicy } from "./testing/given.ts";
import { machineRole, plan } from "./testing/plan.ts";

const deny = (Action: string | string[], Condition?: unknown) => ({
  ...{ Effect: "Deny", Action, Resource: "*" },
  ...(Condition === undefined ? {} : { Condition }),
});
const document = (...Statement: unknown[]) => ({ Version: "2012-10-17", Statement });
const described = (Content: unknown) => ({
  Policy: {
    PolicySummary: { Id: "p-1", Name: "guard", Type: "SERVICE_CONTROL_POLICY" },
    Content: JSON.stringify(Content),
  },
});
const says = (statement: unknown, controls: unknown[] = []) => said(judge({ iam: [withPolicy(statement)], controls }));

describe("control policies", () => {
  test("refuse what they deny, in each form that they come in; where only denies are given, the rest stays allowed", () => {
    const passes = allow("iam:PassRole");
    const guard = document(deny("iam:*"));
    assert.deepEqual(says(passes), ["pass-role fail"]);
    for (const form of [guard, described(guard), [described(guard)], [described(document(allow("*"))), guard]])
      assert.deepEqual(says(passes, [form]), [], JSON.stringify(form).slice(0, 60));
    assert.deepEqual(says([passes, allow("sts:AssumeRole")], [guard]), ["assume-role fail"]);
  });

  test("limit to what they allow, where they allow anything", () => {
    assert.deepEqual(says(allow("iam:PassRole"), [document(allow("s3:*"))]), []);
    assert.deepEqual(says(allow("*"), [document(allow("iam:*"))]), ["administrator fail"]);
  });

  test("except roles by their ARN: this one, or another", () => {
    const but = (arn: string) => document(deny("iam:*", { ArnNotLike: { "aws:PrincipalArn": arn } }));
    assert.deepEqual(says(allow("iam:PassRole"), [but(`arn:aws:iam::${account}:role/admin`)]), []);
    assert.deepEqual(says(allow("iam:PassRole"), [but(runnerArn)]), ["pass-role fail"]);
  });

  test("under a condition that nobody can judge lower what is found, and do not take it away", () => {
    const guard = document(deny("iam:*", { StringNotEquals: { "aws:RequestedRegion": "eu-central-1" } }));
    const [found] = judge({ iam: [withPolicy(allow("iam:PassRole"))], controls: [guard] }).findings;
    assert.deepEqual([found!.check, found!.status, found!.severity], ["pass-role", "fail", "medium"]);
  });

  test("that cannot be read take nothing away, and are said", () => {
    for (const broken of ["{", "[]x", { Statement: [{ Effect: "Perhaps" }] }, {}])
      assert.deepEqual(says(allow("iam:PassRole"), [broken]), ["pass-role fail", "unreadable unknown"]);
  });

  test("that cannot be read may be the one that allows: beside them a list of what is allowed takes nothing away, a deny does", () => {
    const unread = { Policy: { PolicySummary: { Id: "p-FullAWSAccess", Name: "FullAWSAccess" } } };
    const half = document(allow("s3:*"), { Effect: "Perhaps" });
    for (const controls of [
      [document(allow("s3:*")), unread],
      [[document(allow("s3:*")), unread]],
      [document(allow("s3:*")), "{"],
      [half],
    ]) {
      assert.deepEqual(says(allow("iam:*"), controls), ["administrator fail", "unreadable unknown"]);
      assert.deepEqual(says(allow("iam:*"), [...controls, document(deny("iam:*"))]), ["unreadable unknown"]);
    }
  });
});

describe("policies of resources", () => {
  const statement = (Principal: unknown, Action: string | string[], more: object = {}) => ({
    ...{ Effect: "Allow", Principal, Action, Resource: "*" },
    ...more,
  });
  const it = { AWS: runnerArn };
  let catalogue: Catalogue;
  before(async () => {
    catalogue = await loadIamCatalogue();
  });
  const of = (...list: unknown[]) => said(judge({ iam: [details(), ...list], catalogue }));
  const string = (...Statement: unknown[]) => JSON.stringify({ Statement });

  test("give a role what changes things or reads secrets, in each answer that has one", () => {
    const secret = string(statement(it, "secretsmanager:GetSecretValue"));
    for (const answer of [
      { Policy: secret },
      { ARN: "arn:aws:secretsmanager:eu-central-1:1:secret:x", Name: "x", ResourcePolicy: secret },
      { registryId: "1", repositoryName: "x", policyText: secret },
      { Attributes: { Policy: secret } },
      JSON.parse(secret) as unknown,
    ])
      assert.deepEqual(of(answer), ["resource-policy fail"]);
  });

  test("give nothing by reading alone, to others, to an account that decides for itself, or what they deny as well", () => {
    const app = { AWS: `arn:aws:iam::${account}:role/app` };
    for (const list of [
      [statement(it, "s3:GetObject")],
      [statement(app, "s3:*")],
      [statement({ AWS: `arn:aws:iam::${account}:root` }, "kms:*")],
      [statement(it, "s3:*"), statement("*", "s3:*", { Effect: "Deny" })],
      [statement(it, "s3:*"), statement({ AWS: account }, "s3:*", { Effect: "Deny" })],
    ])
      assert.deepEqual(of({ Policy: string(...list) }), []);
    const { findings } = judge({
      iam: [details(), { Policy: string(statement(it, "s3:GetObject")) }],
      catalogue,
    });
    assert.ok(findings.some(({ check, status }) => check === "resource-policy" && status === "pass"));
  });

  test("give more than the best known actions: each of AWS's that does more than read; without the list nothing passes", () => {
    for (const action of [
      "s3:PutBucketAcl",
      "s3:PutObjectAcl",
      "sqs:SendMessage",
      "sns:Publish",
      "lambda:InvokeFunction",
    ])
      assert.deepEqual(of({ Policy: string(statement(it, action)) }), ["resource-policy fail"], action);
    const all = judge({ iam: [details(), { Policy: string(statement(it, "s3:*")) }], catalogue }).findings;
    assert.match(all.find(({ check }) => check === "resource-policy")!.seen, /and \d\d more$/);
    assert.deepEqual(said(judge({ iam: [details(), { Policy: string(statement(it, "s3:GetObject")) }] })), [
      "resource-policy unknown",
    ]);
  });

  test("name a role's session as well; of a role whose ARN is not known, and of whom is not, nothing passes", () => {
    const session = (name: string) => ({ AWS: `arn:aws:sts::${account}:assumed-role/${name}/i-0a1` });
    const policy = (...list: unknown[]) => ({ Policy: string(...list) });
    assert.deepEqual(of(policy(statement(session("runner"), "s3:*"))), ["resource-policy fail"]);
    assert.deepEqual(of(policy(statement(session("other"), "s3:*"))), []);
    // Another session has what this one is denied.
    const denied = statement(session("runner"), "s3:*", { Effect: "Deny" });
    assert.deepEqual(of(policy(statement(it, "s3:*"), denied)), ["resource-policy fail"]);
    const role = { Statement: [{ ...statement({ AWS: [null] }, "s3:*") }] };
    assert.deepEqual(of(role), ["policy-unknown unknown"]);
    const says = judge({
      plan: [plan(machineRole())],
      iam: [policy(statement({ AWS: "arn:aws:iam::1:role/x" }, "s3:*"))],
      catalogue,
    });
    const found = says.findings.filter(({ check }) => check === "resource-policy");
    assert.deepEqual(
      found.map(({ status, subject }) => `${subject} ${status}`),
      ["aws_iam_role.runner unknown"],
    );
  });

  test("are worst where everybody is meant, smaller under a condition, and unknown where they cannot be read", () => {
    const found = (text: string) =>
      judge({ iam: [details(), { Policy: text }], catalogue }).findings.find(
        ({ check }) => check === "resource-policy",
      )!;
    assert.equal(found(string(statement("*", "s3:*"))).severity, "critical");
    assert.match(found(string(statement("*", "s3:*"))).seen, /gives everybody/);
    assert.equal(found(string(statement(it, "s3:*"))).severity, "high");
    const tied = { Condition: { StringEquals: { "aws:SourceVpce": "vpce-1" } } };
    assert.equal(found(string(statement("*", "s3:*", tied))).severity, "medium");
    assert.deepEqual(of({ Policy: "{" }), ["policy-unknown unknown"]);
  });
});

test("what moves in a file keeps its id: a statement behind another", () => {
  const ids = (...statements: unknown[]) =>
    judge({ iam: [withPolicy(statements)] })
      .findings.filter(({ check }) => check === "pass-role")
      .map(({ id, where }) => [id, where.kind === "file" ? where.line : null] as const);
  const [[before, line]] = ids(allow("iam:PassRole")) as [[string, number]];
  const [[after, moved]] = ids(allow("s3:GetObject", "arn:aws:s3:::a/*"), allow("iam:PassRole")) as [[string, number]];
  assert.equal(after, before);
  assert.ok(moved > line);
});
