/** Cases of checks that read a cloud's files: answers in AWS's shapes, one thing changed. */
import type { Catalogue } from "../../iam/catalogue.ts";
import { acl, answers, base, entry, igw, route, subnet } from "../cloud/testing/aws.ts";
import type { Changes } from "../cloud/testing/aws.ts";
import { account, allow, details, forGitHub, hub, judge, withPolicy } from "../cloud/testing/given.ts";
import { ruleCase } from "./rule-cases.ts";
import type { RuleCase } from "./rule-cases.ts";

const facts = (name: string) => ({ name, level: "Write" as const, onResources: true });
/** Enough of AWS's actions for two rules; the whole of them is tried in `cloud/roles.test.ts`. */
const catalogue: Catalogue = new Map([["s3", [facts("s3:PutObject"), facts("s3:DeleteObject")]]]);

const iam =
  (value: unknown, more: Parameters<typeof judge>[0] = {}) =>
  () =>
    judge({ iam: [value], ...more }).findings;
const policy = (statement: unknown) => iam(withPolicy(statement), { catalogue });
const trust = (Principal: unknown, Condition?: unknown, role: Record<string, unknown> = {}) => {
  const statement = {
    Effect: "Allow",
    Principal,
    Action: "sts:AssumeRole",
    ...(Condition === undefined ? {} : { Condition }),
  };
  return iam(details({ AssumeRolePolicyDocument: { Statement: [statement] }, ...role }));
};
const bucket = (Principal: unknown, Action: string) => {
  const Statement = [{ Effect: "Allow", Principal, Action, Resource: ["arn:aws:s3:::app", "arn:aws:s3:::app/*"] }];
  return () => judge({ iam: [details(), { Policy: JSON.stringify({ Statement }) }] }).findings;
};
const aud = { [`${hub}:aud`]: "sts.amazonaws.com" };
const good = "repo:octo@1/app@2:ref:refs/heads/main";
const github = (sub: string, operator = "StringLike") =>
  iam(forGitHub({ StringEquals: aud, [operator]: { [`${hub}:sub`]: sub } }));
const net =
  (changes: Changes = {}, more: Parameters<typeof judge>[0] = {}) =>
  () =>
    judge({ network: answers(changes), subnets: [subnet], ...more }).findings;
const { local, firewall } = base;
const peer = route({ DestinationCidrBlock: "172.20.0.0/16", VpcPeeringConnectionId: "pcx-01" });
const v6 = { Ipv6CidrBlockAssociationSet: [{ Ipv6CidrBlock: "2001:db8:0:1::/64" }] };
const six = (fields: Record<string, unknown>) => ({
  routes: [local, firewall, route({ DestinationIpv6CidrBlock: "::/0", ...fields })],
  subnetFields: v6,
});
const appliance = [local, route({ DestinationCidrBlock: "0.0.0.0/0", InstanceId: "i-09" })];
const dnsOn = { VpcId: "vpc-0a1", EnableDnsSupport: { Value: true } };
const s3 = (Resource: string) => ({
  endpoints: [
    {
      ...{
        VpcEndpointId: "vpce-s3",
        VpcEndpointType: "Gateway",
        VpcId: "vpc-0a1",
        ServiceName: "com.amazonaws.eu-central-1.s3",
      },
      PolicyDocument: JSON.stringify({ Statement: [{ Effect: "Allow", Principal: "*", Action: "*", Resource }] }),
    },
  ],
});
const metadata = (fields: Record<string, unknown>) => ({
  instance: {
    MetadataOptions: { HttpTokens: "required", HttpPutResponseHopLimit: 1, HttpEndpoint: "enabled", ...fields },
  },
});
const narrow = ["s3:PutObject on one bucket", policy(allow("s3:PutObject", "arn:aws:s3:::cache/*"))] as const;
const main = ["a subject with ids and a branch", github(good)] as const;
const ec2 = ["ec2.amazonaws.com alone", trust({ Service: "ec2.amazonaws.com" })] as const;
const closed = ["a closed subnet", net()] as const;

export const cloudCases: readonly RuleCase[] = [
  ruleCase("RG-17", "unreadable", ["a file that is cut off", iam("{")], narrow),
  ruleCase(
    "RG-17",
    "policy-unknown",
    [
      "a managed policy without its document",
      iam(details({ AttachedManagedPolicies: [{ PolicyName: "x", PolicyArn: `arn:aws:iam::${account}:policy/x` }] })),
    ],
    narrow,
  ),
  ruleCase("RG-17", "administrator", ["i?m:*", policy(allow("i?m:*"))], narrow),
  ruleCase(
    "RG-17",
    "all-but-iam",
    ["NotAction iam:*", policy({ Effect: "Allow", NotAction: "iam:*", Resource: "*" })],
    narrow,
  ),
  ruleCase(
    "RG-17",
    "escalation",
    ["iam:PassRole and lambda:*", policy(allow(["iam:PassRole", "lambda:*"]))],
    ["iam:PassRole of one role", policy(allow("iam:PassRole", `arn:aws:iam::${account}:role/app`))],
  ),
  ruleCase(
    "RG-17",
    "pass-role",
    ["iam:PassRole on *", policy(allow("iam:PassRole"))],
    [
      "to one service",
      policy(allow("iam:PassRole", "*", { StringEquals: { "iam:PassedToService": "ec2.amazonaws.com" } })),
    ],
  ),
  ruleCase(
    "RG-17",
    "credentials",
    ["any secret", policy(allow("secretsmanager:GetSecretValue"))],
    [
      "secrets by a name",
      policy(allow("secretsmanager:GetSecretValue", `arn:aws:secretsmanager:*:${account}:secret:ci-*`)),
    ],
  ),
  ruleCase(
    "RG-17",
    "assume-role",
    ["a role of another account", policy(allow("sts:AssumeRole", "arn:aws:iam::999988887777:role/x"))],
    ["a role of its own", policy(allow("sts:AssumeRole", `arn:aws:iam::${account}:role/x`))],
  ),
  ruleCase(
    "RG-17",
    "resource-policy",
    ["a bucket whose policy gives everybody s3:*", bucket("*", "s3:*")],
    ["one that gives another role s3:GetObject", bucket({ AWS: `arn:aws:iam::${account}:role/app` }, "s3:GetObject")],
  ),
  ruleCase("RG-17", "breadth", ["s3:PutObject on any bucket", policy(allow("s3:PutObject"))], narrow),
  ruleCase(
    "RG-17",
    "no-such-action",
    ["s3:PutObjects", policy(allow("s3:PutObjects", "arn:aws:s3:::cache/*"))],
    narrow,
  ),
  ruleCase(
    "RG-17",
    "no-boundary",
    ["no permissions boundary", iam(details({ PermissionsBoundary: undefined }))],
    ["one", iam(details())],
  ),
  ruleCase("RG-18", "trust-public", ["Principal *", trust("*")], ec2),
  ruleCase(
    "RG-18",
    "trust-account",
    ["another account", trust({ AWS: "999988887777" })],
    ["its own", trust({ AWS: account })],
  ),
  ruleCase(
    "RG-18",
    "trust-services",
    ["a machine's role that Lambda gets as well", trust({ Service: ["ec2.amazonaws.com", "lambda.amazonaws.com"] })],
    ec2,
  ),
  ruleCase(
    "RG-18",
    "trust-deputy",
    ["events.amazonaws.com", trust({ Service: "events.amazonaws.com" })],
    [
      "with aws:SourceAccount",
      trust({ Service: "events.amazonaws.com" }, { StringEquals: { "aws:SourceAccount": account } }),
    ],
  ),
  ruleCase(
    "RG-18",
    "trust-unknown",
    [
      "a statement without a Principal",
      iam(details({ AssumeRolePolicyDocument: { Statement: [{ Effect: "Allow", Action: "sts:AssumeRole" }] } })),
    ],
    ec2,
  ),
  ruleCase("RG-18", "oidc-audience", ["no aud", iam(forGitHub({ StringEquals: { [`${hub}:sub`]: good } }))], main),
  ruleCase("RG-18", "oidc-subject", ["no sub", iam(forGitHub({ StringEquals: aud }))], main),
  ruleCase("RG-18", "oidc-wildcard", ["repo:*", github("repo:*")], main),
  ruleCase(
    "RG-18",
    "oidc-organisation",
    ["every repository of an owner", github("repo:octo@1/*:ref:refs/heads/main")],
    main,
  ),
  ruleCase(
    "RG-18",
    "oidc-pull-request",
    ["a subject that ends in :pull_request", github("repo:octo@1/app@2:pull_request")],
    main,
  ),
  ruleCase("RG-18", "oidc-claim", ["environment:production", github("environment:production")], main),
  ruleCase("RG-18", "oidc-absent-claims", ["ForAllValues:StringLike", github(good, "ForAllValues:StringLike")], main),
  ruleCase("RG-18", "oidc-names", ["names where ids should be", github("repo:octo/app:ref:refs/heads/main")], main),
  ruleCase(
    "RG-18",
    "oidc-issuer",
    [
      "an issuer that looks like GitHub's",
      trust(
        { Federated: `arn:aws:iam::${account}:oidc-provider/token.actions.githubusercontent.com.example` },
        { StringEquals: aud },
      ),
    ],
    main,
  ),
  ruleCase(
    "RG-19",
    "unreadable",
    ["an answer that is cut off", () => judge({ network: ["{"], subnets: [subnet] }).findings],
    closed,
  ),
  ruleCase("RG-19", "no-subnet", ["a subnet that no file has", net({}, { subnets: ["subnet-nowhere"] })], closed),
  ruleCase(
    "RG-19",
    "internal-route",
    ["a route to a peered VPC", net({ routes: [local, firewall, peer] })],
    ["reviewed", net({ routes: [local, firewall, peer] }, { destinations: ["172.20.0.0/16"] })],
  ),
  ruleCase(
    "RG-19",
    "internal-neighbours",
    ["an ACL that lets databases' subnet through", net({ acl: acl(entry(100, "allow")) })],
    ["one that does not", net()],
  ),
  ruleCase(
    "RG-19",
    "way-out",
    ["an internet gateway", net({ routes: [local, igw] })],
    ["a firewall's endpoint", net()],
  ),
  ruleCase(
    "RG-19",
    "way-out-ipv6",
    ["an egress-only gateway for ::/0", net(six({ EgressOnlyInternetGatewayId: "eigw-1" }))],
    ["the firewall for ::/0", net(six({ GatewayId: "vpce-0fw" }))],
  ),
  ruleCase(
    "RG-19",
    "way-out-unknown",
    ["an instance for the world", net({ routes: appliance })],
    ["one that --firewall names", net({ routes: appliance }, { firewalls: ["i-09"] })],
  ),
  ruleCase(
    "RG-19",
    "resolver",
    [
      "Amazon's resolver, and no DNS Firewall",
      net({ dns: dnsOn, associations: { FirewallRuleGroupAssociations: [] } }),
    ],
    ["switched off", net()],
  ),
  ruleCase(
    "RG-19",
    "endpoint-policy",
    ["an S3 endpoint to everybody's buckets", net(s3("*"))],
    ["to ours", net(s3("arn:aws:s3:::our-cache/*"))],
  ),
  ruleCase(
    "RG-20",
    "metadata-tokens",
    ["HttpTokens: optional", net(metadata({ HttpTokens: "optional" }))],
    ["required", net(metadata({}))],
  ),
  ruleCase(
    "RG-20",
    "metadata-hops",
    ["a hop limit of 2", net(metadata({ HttpPutResponseHopLimit: 2 }))],
    ["of 1", net(metadata({}))],
  ),
  ruleCase(
    "RG-20",
    "user-data",
    ["a token in user data", net({ userData: `TOKEN=ghp_${"a".repeat(36)}\n` })],
    ["a path to one", net({ userData: 'TOKEN="$(aws ssm get-parameter --name /ci/token)"\n' })],
  ),
];
