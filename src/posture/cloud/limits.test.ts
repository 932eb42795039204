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
import type { Planned } from "./testing/plan.ts";

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

describe("control policies in a plan", () => {
  const guard = (more: Partial<Planned> = {}, values: object = {}): Planned => ({
    ...{ type: "aws_organizations_policy", name: "guard", ...more },
    values: { content: JSON.stringify(document(deny("iam:*"))), type: "SERVICE_CONTROL_POLICY", ...values },
  });
  const attached = (target: string, refs: Record<string, unknown> = {}, more: Partial<Planned> = {}): Planned => ({
    ...{ type: "aws_organizations_policy_attachment", name: "guard", ...more },
    values: target === "" ? {} : { target_id: target },
    unknown: { policy_id: true, ...(target === "" ? { target_id: true } : {}) },
    refs: { policy_id: "aws_organizations_policy.guard.id", ...refs },
  });
  const root = "aws_organizations_organization.all.roots[0].id";
  const isRoot = {
    references: [root, "aws_organizations_organization.all.roots", "aws_organizations_organization.all"],
  };
  const organisation = (values: object = {}): Planned => ({
    ...{ type: "aws_organizations_organization", name: "all" },
    values: {
      ...{ feature_set: "ALL", enabled_policy_types: ["SERVICE_CONTROL_POLICY"], master_account_id: "999988887777" },
      ...values,
    },
  });
  const member = (more: Partial<Planned> = {}): Planned => ({
    ...{ type: "aws_organizations_account", name: "ci", unknown: { id: false }, ...more },
    values: { id: account, ...more.values },
  });
  const unit = (refs: Record<string, unknown>): Planned => ({
    ...{ type: "aws_organizations_organizational_unit", name: "ci", unknown: { parent_id: true }, refs },
  });
  const inUnit = member({
    unknown: { id: false, parent_id: true },
    refs: { parent_id: "aws_organizations_organizational_unit.ci.id" },
  });
  const roles = [withPolicy(allow("iam:PassRole"))];
  /** With an organisation whose management account is another one, where a case has none of its own. */
  const over = (...resources: Planned[]) => {
    const isShown = resources.some(({ type }) => type === "aws_organizations_organization");
    return judge({ iam: roles, plan: [plan(isShown ? resources : [...resources, organisation()])] });
  };

  test("count over the account that they are attached to: by its number, its resource, its unit or the root above it", () => {
    for (const [name, ...resources] of [
      ["number", guard(), attached(account)],
      ["resource", guard(), attached("", { target_id: "aws_organizations_account.ci.id" }), member()],
      ["unit", guard(), attached("", { target_id: "aws_organizations_organizational_unit.ci.id" }), inUnit, unit({})],
      ["unit by id", guard(), attached("ou-ab12-x"), member({ values: { parent_id: "ou-ab12-x" } })],
      ["root", guard(), attached("", { target_id: isRoot }), inUnit, unit({ parent_id: isRoot }), organisation()],
      ["root by id", guard(), attached("r-ab12"), member({ values: { parent_id: "r-ab12" } })],
      ["default type", guard({}, { type: undefined }), attached(account)],
    ] as [string, ...Planned[]][]) {
      const judged = over(...resources);
      assert.deepEqual(said(judged), [], name);
      assert.deepEqual(judged.controls, { planned: 1, over: 1, without: 0 }, name);
    }
  });

  test("take nothing away where the plan does not show that they stand over the role's account", () => {
    const two = [guard(), guard({ name: "other" }, { content: JSON.stringify(document(allow("*"))) })];
    const both = {
      policy_id: { references: ["aws_organizations_policy.guard.id", "aws_organizations_policy.other.id"] },
    };
    const other = { ...organisation({ master_account_id: "222233334444" }), name: "other" };
    const hidden = judge({ iam: roles, plan: [plan([guard(), attached(account)])] });
    assert.deepEqual(said(hidden), ["pass-role fail"], "no organisation is shown");
    for (const [name, ...resources] of [
      ["not attached", guard()],
      ["another account", guard(), attached("999999999999")],
      ["a unit that nobody shows above it", guard(), attached("ou-ab12-x"), member()],
      ["a root, of nobody knows which accounts", guard(), attached("", { target_id: isRoot }), organisation()],
      [
        "another of the organisation's values",
        guard(),
        attached("", { target_id: "aws_organizations_organization.all.id" }),
        inUnit,
        unit({ parent_id: isRoot }),
      ],
      ["one policy of two", ...two, attached(account, both)],
      ["the management account", guard(), attached(account), organisation({ master_account_id: account })],
      [
        "a management account that is not known yet",
        guard(),
        attached(account),
        organisation({ master_account_id: null }),
      ],
      ["switched off", guard(), attached(account), organisation({ enabled_policy_types: [] })],
      ["never switched on", guard(), attached(account), organisation({ enabled_policy_types: null })],
      ["without its features", guard(), attached(account), organisation({ feature_set: "CONSOLIDATED_BILLING" })],
      ["two organisations", guard(), attached(account), organisation(), other],
      [
        "the root of another organisation",
        guard(),
        attached("", { target_id: isRoot }),
        inUnit,
        unit({ parent_id: { references: [root.replace("all", "other"), "aws_organizations_organization.other"] } }),
        organisation(),
        { ...organisation(), name: "other" },
      ],
      [
        "a root that may be another's",
        guard(),
        attached("", { target_id: isRoot }),
        member({ values: { parent_id: "r-ab12" } }),
      ],
      ["of resources", guard({}, { type: "RESOURCE_CONTROL_POLICY" }), attached(account)],
      ["not known yet", guard({ unknown: { content: true } }, { content: undefined }), attached(account)],
      ["a list of what is allowed", guard({}, { content: JSON.stringify(document(allow("s3:*"))) }), attached(account)],
      [
        "units in a circle",
        guard(),
        attached("ou-ab12-x"),
        inUnit,
        unit({ parent_id: "aws_organizations_organizational_unit.ci.id" }),
      ],
    ] as [string, ...Planned[]][]) {
      const judged = over(...resources);
      assert.deepEqual(said(judged), ["pass-role fail"], name);
      assert.deepEqual([judged.controls.over, judged.controls.without], [0, 1], name);
    }
  });

  const lists = { actions: ["iam:*"], resources: ["*"] };
  /** A document of blocks, as `aws_iam_policy_document` has them. */
  const blocks = (name: string, statement: unknown, unknown: unknown = [], more: Partial<Planned> = {}): Planned => ({
    ...{ type: "aws_iam_policy_document", name, data: true, values: { statement } },
    unknown: { json: true, statement: unknown },
    ...more,
  });
  const byBlocks = (...references: string[]) =>
    guard({ unknown: { content: true }, refs: { content: { references } } }, { content: undefined });
  const byOne = byBlocks("data.aws_iam_policy_document.d.json", "data.aws_iam_policy_document.d");

  test("of blocks take away what is sure: no more than lowered, or nothing, where a condition, effect or statement is not known", () => {
    const denies = { effect: "Deny", ...lists };
    const arns = (...values: string[]) => ({ test: "ArnNotLike", variable: "aws:PrincipalArn", values });
    const except = (...condition: unknown[]) => [{ ...denies, condition }];
    const of = (statement: unknown, unknown?: unknown) =>
      over(byOne, attached(account), blocks("d", statement, unknown)).findings.flatMap(({ check, status, severity }) =>
        status === "pass" ? [] : [`${check} ${status} ${severity}`],
      );
    const [lowered, stands] = [["pass-role fail medium"], ["pass-role fail high"]];
    assert.deepEqual(of([denies]), []);
    for (const condition of [true, [true], [{ test: true }], [{ variable: true }], [{ values: true }], [{}, true]])
      assert.deepEqual(of(except(arns("*/nobody")), [{ condition }]), lowered, JSON.stringify(condition));
    // Values of blocks that have the same test and variable are one list, in any order.
    assert.deepEqual(of(except(arns(runnerArn), arns("*/admin"))), stands);
    assert.deepEqual(of(except(arns("*/admin"), arns(runnerArn, "*/other"))), stands);
    assert.deepEqual(of(except(arns("*/admin"), arns("*/other"))), []);
    const others = [{ effect: "Allow", actions: ["*"], resources: ["*"] }];
    for (const unknown of [true, [true], [{}, true], [{ effect: true }], [{}, { effect: true }]])
      assert.deepEqual(of([denies, ...others], unknown), stands, JSON.stringify(unknown));
  });

  test("of which a reference may mean several take nothing away; an index that is written means one, and so does each.key", () => {
    const strict = [{ effect: "Deny", ...lists }];
    const lax = [{ effect: "Deny", ...lists, actions: ["s3:*"] }];
    const d = "data.aws_iam_policy_document.d";
    const full = (text: string) => [`${text}.json`, text, ...(text === d ? [] : [d])];
    const documents = [blocks("d", strict, [], { index: '["strict"]' }), blocks("d", lax, [], { index: '["lax"]' })];
    const stands = ["pass-role fail"];
    for (const [name, expected, ...resources] of [
      ["a written index", [], byBlocks(...full(`${d}["strict"]`)), ...documents],
      ["another", stands, byBlocks(...full(`${d}["lax"]`)), ...documents],
      ["any", stands, byBlocks(d, "local.which"), ...documents],
      [
        "one of two",
        stands,
        byBlocks("var.strict", ...full(d), "data.aws_iam_policy_document.l.json"),
        blocks("d", strict),
        blocks("l", lax),
      ],
      ["one, or what nobody sees", stands, byBlocks("var.own", ...full(d)), blocks("d", strict)],
      [
        "one that others replace",
        stands,
        byOne,
        blocks("d", strict, [], { values: { statement: strict, override_policy_documents: ["{}"] } }),
      ],
      ["that one", [], byOne, blocks("d", strict)],
    ] as [string, string[], ...Planned[]][])
      assert.deepEqual(said(over(...resources, attached(account))), expected, name);
    const u = "aws_organizations_organizational_unit.u";
    const units = ["prod", "sandbox"].map((key): Planned => ({
      type: u.split(".")[0]!,
      name: "u",
      index: `["${key}"]`,
    }));
    const inProd = member({
      unknown: { id: false, parent_id: true },
      refs: { parent_id: { references: [`${u}["prod"].id`, `${u}["prod"]`, u] } },
    });
    for (const [expected, index, ...references] of [
      [stands, '["prod"]', `${u}["sandbox"].id`, `${u}["sandbox"]`, u],
      [[], '["sandbox"]', `${u}["prod"].id`, `${u}["prod"]`, u],
      [stands, '["prod"]', u, "local.key"],
      [stands, '["prod"]', u],
      [stands, '["prod"]', u, "each.value"],
      [[], '["prod"]', u, "each.key"],
      [stands, '["sandbox"]', u, "each.key"],
    ] as [string[], string, ...string[]][]) {
      const attachment = attached("", { target_id: { references } }, { index });
      const judged = over(guard(), attachment, inProd, ...units);
      assert.deepEqual(said(judged), expected, `${index} ${references.join()}`);
    }
  });

  test("of a role whose account is not known yet say nothing; given as --scp they count by their giver's word", () => {
    const policy = { policy: JSON.stringify(document(allow("iam:PassRole"))), name: "x" };
    const role = machineRole([
      {
        type: "aws_iam_role_policy",
        name: "x",
        values: { ...policy, role: "runner" },
        refs: { role: "aws_iam_role.runner.name" },
      },
    ]);
    const planned = plan([...role, guard(), attached(account), organisation()]);
    const rights = (controls: unknown[]) =>
      said(judge({ plan: [planned], controls })).filter((each) => /pass-role|unreadable/.test(each));
    assert.deepEqual(rights([]), ["pass-role fail"]);
    assert.deepEqual(rights([planned]), []);
    assert.deepEqual(rights([plan(role)]), ["pass-role fail", "unreadable unknown"]);
    assert.deepEqual(rights([plan([guard({ unknown: { content: true } }, { content: undefined })])]), [
      "pass-role fail",
      "unreadable unknown",
    ]);
  });

  test("go together with those that were given", () => {
    const given = [document(allow(["iam:*", "sts:*"]))];
    const wide = [withPolicy([allow("iam:PassRole"), allow("sts:AssumeRole")])];
    const planned = [plan([guard(), attached(account), organisation()])];
    assert.deepEqual(said(judge({ iam: wide, controls: given })), ["assume-role fail", "pass-role fail"]);
    assert.deepEqual(said(judge({ iam: wide, controls: given, plan: planned })), ["assume-role fail"]);
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
