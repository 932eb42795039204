/**
 * Terraform plans: resources are joined by references where ids are unknown, through modules and counts; what is known only after apply is
 * unknown and never passed. Among the fixtures is the published blueprint's runner, whose defects are all found.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { account, hub, judge, said } from "./testing/given.ts";
import { machineRole, plan, runner } from "./testing/plan.ts";
import type { Planned } from "./testing/plan.ts";

const see = (
  resources: readonly Planned[],
  calls?: Parameters<typeof plan>[1],
  options: Parameters<typeof judge>[0] = {},
) => judge({ plan: [plan(resources, calls)], ...options });
const says = (...given: Parameters<typeof see>) => said(see(...given));
const toNat: Parameters<typeof runner>[0] = ["nat_gateway_id", "aws_nat_gateway", "out"];
const open = {
  egress: [
    {
      protocol: "-1",
      from_port: 0,
      to_port: 0,
      cidr_blocks: ["0.0.0.0/0"],
      ipv6_cidr_blocks: ["::/0"],
      security_groups: [],
      prefix_list_ids: [],
      self: false,
    },
  ],
};
const apart = { egress: [{ ...open.egress[0]!, cidr_blocks: ["0.0.0.0/1", "128.0.0.0/1"] }] };

describe("a network of a plan (RG-19, RG-20)", () => {
  test("is closed by a firewall's endpoint, or by a group, and looked at", () => {
    const endpoint: Planned = {
      type: "aws_vpc_endpoint",
      name: "fw",
      values: { vpc_endpoint_type: "GatewayLoadBalancer", service_name: "com.amazonaws.vpce.x" },
      unknown: { vpc_id: true },
      refs: { vpc_id: "aws_vpc.ci.id" },
    };
    const resources = runner(["vpc_endpoint_id", "aws_vpc_endpoint", "fw"]).filter(({ name }) => name !== "fw");
    const result = see([...resources, endpoint]);
    assert.deepEqual(said(result), []);
    assert.ok(result.findings.some(({ check, status }) => check === "way-out" && status === "pass"));
    assert.deepEqual(
      says(
        runner(["vpc_endpoint_id", "aws_networkfirewall_firewall", "fw"], {
          group: { egress: [{ ...open.egress[0]!, cidr_blocks: ["203.0.113.0/24"], ipv6_cidr_blocks: [] }] },
        }),
      ),
      [],
    );
  });

  test("is open by every other target, found by reference", () => {
    const targets: [Parameters<typeof runner>[0], string][] = [
      [toNat, "way-out fail"],
      [["gateway_id", "aws_internet_gateway", "out"], "way-out fail"],
      [["transit_gateway_id", "aws_ec2_transit_gateway", "out"], "internal-route fail"],
      [["vpc_peering_connection_id", "aws_vpc_peering_connection", "out"], "internal-route fail"],
      [["gateway_id", "aws_vpn_gateway", "out"], "internal-route fail"],
      [["network_interface_id", "aws_network_interface", "out"], "way-out-unknown unknown"],
    ];
    for (const [target, expected] of targets)
      assert.ok(says(runner(target, { group: open })).includes(expected), target.join(" "));
    const known = see(
      runner(["network_interface_id", "aws_network_interface", "out"], { group: apart }),
      {},
      { firewalls: ["aws_network_interface.out"], destinations: ["10.0.0.0/16"] },
    );
    assert.deepEqual(said(known), []);
  });

  test("says the route: the resource that is it", () => {
    const finding = see(runner(toNat, { group: open })).findings.find(({ check }) => check === "way-out")!;
    assert.match(finding.seen, /0\.0\.0\.0\/0 → aws_nat_gateway\.out/);
    assert.ok(finding.where.kind === "file" && finding.where.part === "/resource_changes/4/change/after");
    assert.equal(finding.subject, "aws_subnet.runner: 0.0.0.0/0");
  });

  test("with routes inside a table, in both ways that a configuration writes them", () => {
    const inside = (route: unknown): Planned[] => {
      const resources = runner(toNat, { group: open }).filter(({ type }) => type !== "aws_route");
      return resources.map((each) =>
        each.type === "aws_route_table"
          ? {
              ...each,
              values: { route: [{ cidr_block: "0.0.0.0/0" }] },
              unknown: { vpc_id: true, route: [{ nat_gateway_id: true }] },
              refs: { ...each.refs, route },
            }
          : each,
      );
    };
    for (const refs of [
      [
        {
          cidr_block: { constant_value: "0.0.0.0/0" },
          nat_gateway_id: { references: ["aws_nat_gateway.out.id", "aws_nat_gateway.out"] },
        },
      ],
      { references: ["aws_nat_gateway.out.id", "aws_nat_gateway.out"] },
    ])
      assert.match(see(inside(refs)).findings.find(({ check }) => check === "way-out")!.seen, /→ aws_nat_gateway\.out/);
    const whole = runner(toNat).map((each) =>
      each.type === "aws_route_table"
        ? { ...each, refs: { ...each.refs, route: { references: ["local.routes"] } } }
        : each,
    );
    assert.ok(says(whole).includes("way-out-unknown unknown"), "routes that are unknown as a whole");
  });

  test("through a module's variables and outputs, and with counts joined by index", () => {
    const vpc = runner(toNat, { group: open });
    const inner = new Set(["aws_subnet", "aws_route_table", "aws_route_table_association", "aws_route"]);
    const moved = vpc.map((each): Planned => {
      if (each.type === "aws_instance") return { ...each, refs: { ...each.refs, subnet_id: "module.net.subnet" } };
      if (!inner.has(each.type)) return each;
      const refs = Object.fromEntries(
        Object.entries(each.refs ?? {}).map(([key, value]) => [
          key,
          value === "aws_vpc.ci.id" ? "var.vpc" : value === "aws_nat_gateway.out.id" ? "var.nat" : value,
        ]),
      );
      return {
        ...each,
        module: "module.net",
        index: each.type === "aws_subnet" || each.type === "aws_route_table_association" ? "[0]" : "",
        refs,
      };
    });
    const calls = {
      net: {
        expressions: { vpc: "aws_vpc.ci.id", nat: "aws_nat_gateway.out.id" },
        outputs: { subnet: "aws_subnet.runner" },
      },
    };
    const finding = see(moved, calls).findings.find(({ check }) => check === "way-out");
    assert.match(finding!.seen, /→ aws_nat_gateway\.out/);
    assert.equal(finding!.subject, "module.net.aws_subnet.runner[0]: 0.0.0.0/0");
  });

  test("where it cannot be followed is not known", () => {
    const lost = (type: string, key: string) =>
      runner(toNat, { group: { egress: [] } }).map((each) =>
        each.type === type ? { ...each, refs: { ...each.refs, [key]: { references: ["local.x"] } } } : each,
      );
    assert.ok(says(lost("aws_route", "route_table_id")).includes("way-out-unknown unknown"));
    assert.ok(says(lost("aws_route_table_association", "route_table_id")).includes("way-out-unknown unknown"));
    const groups = lost("aws_instance", "vpc_security_group_ids");
    assert.ok(says(groups).includes("way-out fail"), "a group that is not known closes nothing");
  });

  test("rules beside a group and a new VPC's resolver count", () => {
    const rule = (values: Record<string, unknown>): Planned => ({
      type: "aws_vpc_security_group_egress_rule",
      name: "x",
      values: { ip_protocol: "-1", ...values },
      unknown: { security_group_id: true },
      refs: { security_group_id: "aws_security_group.runner.id" },
    });
    assert.deepEqual(says([...runner(toNat, { group: { egress: [] } }), rule({ cidr_ipv4: "0.0.0.0/0" })]), [
      "internal-neighbours fail",
      "way-out fail",
    ]);
    assert.deepEqual(says(runner(toNat, { group: { egress: [] } })), []);
    assert.deepEqual(says(runner(toNat, { group: { egress: [] }, vpc: { enable_dns_support: true } })), [
      "resolver fail",
    ]);
  });
});

describe("roles of a plan (RG-17, RG-18)", () => {
  const policy = (statement: unknown) => JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  const everything = policy({ Effect: "Allow", Action: "*", Resource: "*" });
  const boundary = { permissions_boundary: `arn:aws:iam::${account}:policy/b` };
  test("by policies of their own, attached ones and AWS's", () => {
    const own: Planned = {
      type: "aws_iam_role_policy",
      name: "p",
      values: { policy: everything },
      unknown: { role: true },
      refs: { role: "aws_iam_role.runner.id" },
    };
    assert.ok(says(machineRole([own])).includes("administrator fail"));
    const made: Planned = { type: "aws_iam_policy", name: "p", values: { policy: everything } };
    const attachment: Planned = {
      type: "aws_iam_role_policy_attachment",
      name: "p",
      values: { role: "runner" },
      unknown: { policy_arn: true },
      refs: { role: "aws_iam_role.runner.name", policy_arn: "aws_iam_policy.p.arn" },
    };
    assert.ok(says(machineRole([made, attachment])).includes("administrator fail"));
    const theirs: Planned = {
      type: "aws_iam_role_policy_attachment",
      name: "p",
      values: { role: "runner", policy_arn: "arn:aws:iam::aws:policy/AdministratorAccess" },
    };
    assert.ok(says(machineRole([theirs])).includes("administrator fail"));
    assert.deepEqual(says(machineRole()), ["no-boundary fail"]);
    assert.deepEqual(
      says(
        machineRole([
          { ...theirs, values: { role: "another", policy_arn: "arn:aws:iam::aws:policy/AdministratorAccess" } },
        ]),
      ),
      ["no-boundary fail"],
    );
  });

  test("that are known only after apply are unknown", () => {
    const own: Planned = {
      type: "aws_iam_role_policy",
      name: "p",
      values: { role: "runner" },
      unknown: { policy: true },
      refs: { policy: { references: ["local.policy"] } },
    };
    const found = says(machineRole([own], boundary));
    assert.ok(found.includes("policy-unknown unknown") && !found.some((each) => each.endsWith("fail")), found.join());
  });

  test("that GitHub's jobs get, by a document whose provider is made in the same plan", () => {
    const document = (sub: string): Planned[] => [
      { type: "aws_iam_openid_connect_provider", name: "github", values: { url: `https://${hub}` } },
      {
        type: "aws_iam_policy_document",
        name: "trust",
        data: true,
        values: {
          statement: [
            {
              actions: ["sts:AssumeRoleWithWebIdentity"],
              effect: null,
              principals: [{ type: "Federated" }],
              condition: [
                { test: "StringEquals", variable: `${hub}:aud`, values: ["sts.amazonaws.com"] },
                { test: "StringLike", variable: `${hub}:sub`, values: [sub] },
              ],
            },
          ],
        },
        unknown: { json: true, statement: [{ principals: [{ identifiers: true }] }] },
      },
      {
        type: "aws_iam_role",
        name: "deploy",
        values: { name: "deploy", ...boundary },
        unknown: { assume_role_policy: true },
        refs: { assume_role_policy: "data.aws_iam_policy_document.trust.json" },
      },
    ];
    const refs = (list: Planned[]) =>
      list.map((each) =>
        each.name === "deploy"
          ? {
              ...each,
              refs: {
                assume_role_policy: {
                  references: ["data.aws_iam_policy_document.trust.json", "data.aws_iam_policy_document.trust"],
                },
              },
            }
          : each,
      );
    const found = (sub: string) => says(refs(document(sub))).filter((each) => each.startsWith("oidc"));
    assert.deepEqual(found("repo:octo@1/app@2:ref:refs/heads/main"), []);
    assert.deepEqual(found("repo:octo/*"), ["oidc-names fail", "oidc-organisation fail", "oidc-pull-request fail"]);
  });

  test("that everybody may take by one of two blocks for one kind of principal, or nobody knows who", () => {
    const found = (principals: unknown, unknown: unknown = []) =>
      says([
        {
          ...{ type: "aws_iam_policy_document", name: "trust", data: true },
          values: { statement: [{ actions: ["sts:AssumeRole"], effect: "Allow", principals }] },
          unknown: { json: true, statement: [{ principals: unknown }] },
        },
        ...machineRole([], boundary).map((each) =>
          each.type === "aws_iam_role"
            ? {
                ...each,
                values: { ...each.values, assume_role_policy: undefined },
                unknown: { assume_role_policy: true },
                refs: { assume_role_policy: { references: ["data.aws_iam_policy_document.trust.json"] } },
              }
            : each,
        ),
      ]).filter((each) => /^trust-(?:public|unknown)/.test(each));
    const to = (...identifiers: string[]) => ({ type: "AWS", identifiers });
    assert.deepEqual(found([to("*")]), ["trust-public fail"]);
    assert.deepEqual(found([to("*"), to(`arn:aws:iam::${account}:role/x`)]), ["trust-public fail"]);
    for (const unknown of [true, [true]]) assert.deepEqual(found([], unknown), ["trust-unknown unknown"]);
  });
});

describe("the published blueprint's runner", () => {
  test("has all its defects found: open group, NAT, hop limit, a token in its user data", () => {
    const user_data = `#!/bin/bash\ncurl -H "Authorization: token ghp_${"x".repeat(36)}" https://api.github.com/repos/o/r/actions/runners/registration-token\n./config.sh --unattended\n./svc.sh install\n`;
    const machine = {
      user_data,
      metadata_options: [{ http_tokens: "required", http_put_response_hop_limit: 2, http_endpoint: "enabled" }],
    };
    const admin: Planned = {
      type: "aws_iam_role_policy_attachment",
      name: "ssm",
      values: { role: "runner", policy_arn: "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore" },
    };
    const before = runner(toNat, { group: open, machine, vpc: { enable_dns_support: true } });
    assert.deepEqual(says([...before, ...machineRole([admin])]), [
      "internal-neighbours fail",
      "metadata-hops fail",
      "no-boundary fail",
      "policy-unknown unknown",
      "resolver fail",
      "user-data fail",
      "way-out fail",
    ]);
  });
});
