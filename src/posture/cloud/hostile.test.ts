/**
 * Hostile files: nothing is thrown, each says something in a line of its own, and none takes long: nesting, length, wrong types, keys
 * of prototypes, escapes, more rules than AWS has. And the picture is well-formed whatever things are called.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { elementsOf } from "./testing/xml.ts";
import { answers, base, route, subnet, to } from "./testing/aws.ts";
import { details, judge } from "./testing/given.ts";
import { subnetPicture } from "./picture.ts";

const deep = (n: number, open: string, close: string, inner = "1") => open.repeat(n) + inner + close.repeat(n);
const many = (n: number, each: unknown) => Array.from({ length: n }, () => each);
const rule = (i: number) => ({
  IpProtocol: "tcp",
  FromPort: i % 60_000,
  ToPort: (i % 60_000) + 1,
  IpRanges: [{ CidrIp: "0.0.0.0/0" }],
});

const texts: [string, unknown][] = [
  ["nothing", ""],
  ["arrays in arrays", deep(200_000, "[", "]")],
  ["objects in objects", deep(100_000, '{"Statement":', "}")],
  [
    "a policy in a policy",
    `{"RoleDetailList":[{"Arn":"a","InstanceProfileList":[{}],"RolePolicyList":[{"PolicyDocument":${deep(50_000, '{"Statement":[', "]}")}}]}]}`,
  ],
  [
    "a plan's modules in modules",
    `{"format_version":"1","planned_values":{"root_module":${deep(20_000, '{"child_modules":[', "]}")}},"configuration":{"root_module":${deep(20_000, '{"module_calls":{"m":{"module":', "}}}")}}}`,
  ],
  [
    "a plan's unknowns in unknowns",
    `{"format_version":"1","resource_changes":[{"address":"aws_vpc.v","type":"aws_vpc","change":{"actions":["create"],"after":{},"after_unknown":${deep(20_000, '{"a":', "}", "true")}}}]}`,
  ],
  ["many roles that are none", { RoleDetailList: many(200_000, 7) }],
  [
    "many policies of one role",
    details({ AttachedManagedPolicies: many(20_000, { PolicyArn: "arn:aws:iam::aws:policy/X" }) }),
  ],
  ["a page of subnets that are none", { Subnets: many(200_000, null) }],
  [
    "keys of prototypes",
    '{"__proto__":{"RoleDetailList":[]},"constructor":{},"Statement":[{"Effect":"Allow","__proto__":{"Action":"*"},"Action":"toString"}]}',
  ],
  [
    "escapes",
    '{"RoleDetailList":[{"Arn":"\\u0000\\u001b[2J\\u202e\\ud800","InstanceProfileList":[1],"AssumeRolePolicyDocument":{"Statement":{"Effect":"Allow","Principal":"*"}}}]}',
  ],
  ["a string for every list", { RoleDetailList: "x", UserDetailList: [], RouteTables: "y", Policies: { length: 1e9 } }],
];

describe("hostile files", () => {
  for (const [name, value] of texts)
    test(`${name}: a clear line, and nothing thrown`, () => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      for (const kind of ["iam", "network", "plan"] as const) {
        const { findings } = judge({ [kind]: [text] });
        assert.ok(findings.length > 0 && findings.length < 20_100, `${kind}: ${findings.length}`);
        for (const { seen, subject } of findings) {
          assert.ok(seen.length > 0 && seen.length <= 600, `${kind}: ${seen}`);
          assert.doesNotMatch(seen + subject, /[\p{Cc}\p{Cf}]/u);
        }
      }
    });

  test("more rules or routes than AWS has are refused, as many as it has are judged", () => {
    const rules = (n: number) =>
      judge({ network: answers({ egress: Array.from({ length: n }, (_, i) => rule(i)) }), subnets: [subnet] }).findings;
    assert.ok(rules(1500).some(({ check, status }) => check === "unreadable" && status === "unknown"));
    assert.ok(!rules(600).some(({ check }) => check === "unreadable"));
    const routes = Array.from({ length: 1000 }, (_, i) =>
      route({ DestinationCidrBlock: `172.${16 + (i % 16)}.${Math.floor(i / 16)}.0/24`, TransitGatewayId: "tgw-1" }),
    );
    const found = judge({ network: answers({ routes: [base.local, ...routes] }), subnets: [subnet] }).findings;
    assert.equal(found.filter(({ check }) => check === "internal-route").length, 1000);
  });

  test("NAT gateways that lead to each other end", () => {
    const loop = route({ DestinationCidrBlock: "0.0.0.0/0", NatGatewayId: "nat-01" });
    const files = answers({ routes: [base.local, loop] });
    const nats = { NatGateways: [{ NatGatewayId: "nat-01", SubnetId: subnet }] };
    const { findings } = judge({ network: [...files, nats], subnets: [subnet] });
    assert.ok(findings.some(({ check, status }) => check === "way-out" && status === "fail"));
  });
});

describe("the picture", () => {
  test("is well-formed and holds no markup of a foreign name, whatever things are called", () => {
    const name = `"/><script>alert(1)</script>&amp;'\u0000\ud800 ${"x".repeat(300)}`;
    const routes = [
      base.local,
      route({ DestinationCidrBlock: "0.0.0.0/0", NatGatewayId: name }),
      route({ DestinationIpv6CidrBlock: "::/0", GatewayId: "igw-<b>" }),
    ];
    const { subnets } = judge({
      network: answers({
        routes,
        egress: [to("0.0.0.0/0", 443)],
        subnetFields: { Tags: [{ Key: "Name", Value: name }] },
      }),
      subnets: [subnet],
    });
    const svg = subnetPicture(subnets[0]!, { firewalls: [], destinations: [] });
    const elements = elementsOf(svg);
    assert.ok(
      !elements.some((each) => !["svg", "title", "desc", "rect", "text", "path"].includes(each)),
      elements.join(),
    );
    assert.match(svg, /open<\/text>/);
    assert.match(svg, /closed<\/text>/);
    assert.doesNotMatch(svg, /href|url\(|@import/);
  });
});
