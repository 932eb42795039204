/**
 * RG-19 and RG-20 on what AWS answers: a closed network says nothing, and each way out of it is said when it alone is open, with the
 * route that leads there.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { acl, answers, base, entry, igw, route, subnet, to } from "./testing/aws.ts";
import type { Changes } from "./testing/aws.ts";
import { judge, said } from "./testing/given.ts";

const { local, firewall } = base;
const see = (changes: Changes = {}, options: Parameters<typeof judge>[0] = {}) =>
  judge({ network: answers(changes), subnets: [subnet], ...options });
const says = (changes: Changes = {}, options: Parameters<typeof judge>[0] = {}) => said(see(changes, options));
const seenOf = (check: string, changes: Changes, options: Parameters<typeof judge>[0] = {}) => {
  const found = see(changes, options).findings.find((each) => each.check === check && each.status !== "pass");
  assert.ok(found !== undefined, check);
  return found;
};

describe("a closed network", () => {
  test("says nothing, and that it was looked at", () => {
    assert.deepEqual(says(), []);
    const passed = see().findings.map(({ check }) => check);
    for (const check of ["internal-route", "way-out", "resolver", "metadata-tokens", "metadata-hops", "user-data"])
      assert.ok(passed.includes(check), check);
  });
});

describe("does any route lead to intranets, databases or internal APIs? (RG-19)", () => {
  const routes: [string, Record<string, string>][] = [
    ["a transit gateway", { DestinationCidrBlock: "10.8.0.0/13", TransitGatewayId: "tgw-01" }],
    ["a peered VPC", { DestinationCidrBlock: "172.20.0.0/16", VpcPeeringConnectionId: "pcx-01" }],
    [
      "a virtual private gateway",
      { DestinationCidrBlock: "192.168.0.0/16", GatewayId: "vgw-01", Origin: "EnableVgwRoutePropagation" },
    ],
    ["another network", { DestinationCidrBlock: "192.168.0.0/16", LocalGatewayId: "lgw-01" }],
    [
      "another network",
      { DestinationCidrBlock: "192.168.0.0/16", CoreNetworkArn: "arn:aws:networkmanager::1:core-network/c" },
    ],
    ["a peered VPC", { DestinationIpv6CidrBlock: "fd12::/16", VpcPeeringConnectionId: "pcx-01" }],
  ];
  for (const [name, fields] of routes)
    test(`${name} is found, with its route: ${Object.keys(fields)[1]} ${Object.values(fields)[0]}`, () => {
      const finding = seenOf("internal-route", { routes: [local, firewall, route(fields)] });
      assert.match(finding.seen, new RegExp(name));
      assert.ok(finding.seen.includes(String(Object.values(fields)[0])));
      assert.ok(
        finding.where.kind === "file" && finding.where.part === "/RouteTables/1/Routes/2" && finding.where.line! > 10,
      );
    });

  test("not where the route is a blackhole, where no group or ACL lets out, or where a review says so", () => {
    const fields = { DestinationCidrBlock: "10.8.0.0/13", TransitGatewayId: "tgw-01" };
    const routes = [local, firewall, route(fields)];
    assert.deepEqual(says({ routes: [local, firewall, route({ ...fields, State: "blackhole" })] }), []);
    assert.deepEqual(says({ routes, egress: [to("203.0.113.0/24", 443)] }), []);
    assert.deepEqual(says({ routes, acl: acl(entry(50, "deny", "10.0.0.0/8"), entry(100, "allow")) }), []);
    assert.deepEqual(says({ routes, acl: acl(entry(50, "allow"), entry(60, "deny", "10.0.0.0/8")) }), [
      "internal-neighbours fail",
      "internal-route fail",
    ]);
    assert.deepEqual(says({ routes }, { destinations: ["10.8.0.0/13"] }), []);
    assert.deepEqual(says({ routes }, { destinations: ["10.8.0.0/14"] }), ["internal-route fail"]);
  });

  test("an entry that refuses closes only what it names: no other protocol, no one type of ICMP, no nonsense", () => {
    const routes = [local, firewall, route({ DestinationCidrBlock: "10.8.0.0/13", TransitGatewayId: "tgw-01" })];
    const refusing = (fields: Record<string, unknown>) =>
      says({ routes, acl: acl({ ...entry(50, "deny", "10.0.0.0/8"), ...fields }, entry(100, "allow")) }).includes(
        "internal-route fail",
      );
    assert.ok(!refusing({ Protocol: "6", PortRange: { From: 0, To: 65_535 } }));
    assert.ok(refusing({ Protocol: "6", PortRange: { From: 80, To: 80 } }));
    assert.ok(refusing({ Protocol: "17", PortRange: { From: 0, To: 65_535 } }));
    assert.ok(refusing({ Protocol: "esp" }));
    assert.ok(refusing({ Protocol: "6", PortRange: { From: 443, To: 80 } }));
    assert.ok(refusing({ Protocol: "1", IcmpTypeCode: { Type: 8, Code: -1 } }));
  });

  test("neighbours in the VPC, by the names of their subnets, unless the ACL keeps them apart", () => {
    const open = acl(entry(100, "allow"));
    assert.match(seenOf("internal-neighbours", { acl: open }).seen, /subnet-0db \(databases\).*open for TCP 443/);
    assert.deepEqual(says({ acl: open, egress: [to("10.0.8.10/32", 3128)] }, { destinations: ["10.0.8.10"] }), []);
  });

  test("behind a NAT gateway, by the table of the NAT gateway's subnet", () => {
    const routes = [local, route({ DestinationCidrBlock: "0.0.0.0/0", NatGatewayId: "nat-01" })];
    assert.match(seenOf("internal-route", { routes }).seen, /0\.0\.0\.0\/0 → nat-01, then 172\.20\.0\.0\/16 → pcx-01/);
  });
});

describe("is the only way out the allowlist? (RG-19)", () => {
  test("not with a NAT gateway, an internet gateway, or the same for IPv6", () => {
    const nat = route({ DestinationCidrBlock: "0.0.0.0/0", NatGatewayId: "nat-01" });
    assert.match(
      seenOf("way-out", { routes: [local, nat] }).seen,
      /nat-01, then 0\.0\.0\.0\/0 → igw-01.*open for TCP 443/,
    );
    assert.equal(seenOf("way-out", { routes: [local, igw] }).severity, "medium");
    assert.equal(
      seenOf("way-out", { routes: [local, igw], instance: { PublicIpAddress: "203.0.113.7" } }).severity,
      "high",
    );
    const v6 = { Ipv6CidrBlockAssociationSet: [{ Ipv6CidrBlock: "2001:db8:0:1::/64" }] };
    const six = (fields: Record<string, unknown>) => [
      local,
      firewall,
      route({ DestinationIpv6CidrBlock: "::/0", ...fields }),
    ];
    assert.equal(
      seenOf("way-out-ipv6", { routes: six({ EgressOnlyInternetGatewayId: "eigw-1" }), subnetFields: v6 }).severity,
      "high",
    );
    assert.equal(
      seenOf("way-out-ipv6", { routes: six({ GatewayId: "igw-01" }) }).severity,
      "low",
      "the subnet has no IPv6",
    );
    assert.deepEqual(says({ routes: six({ GatewayId: "vpce-0fw" }), subnetFields: v6 }), []);
  });

  test("half of the world is not the world: a more specific route counts for what it takes", () => {
    const half = route({ DestinationCidrBlock: "128.0.0.0/1", NatGatewayId: "nat-01" });
    assert.match(seenOf("way-out", { routes: [local, firewall, half] }).seen, /route 128\.0\.0\.0\/1 → nat-01/);
    assert.deepEqual(says({ routes: [local, firewall, half], egress: [to("0.0.0.0/1", 443)] }), []);
  });

  test("one port is enough, and ports are named; none is none", () => {
    const routes = [local, igw];
    assert.match(
      seenOf("way-out", { routes, egress: [to("0.0.0.0/0", 22), to("198.51.100.0/24", 443)] }).seen,
      /TCP 22/,
    );
    assert.deepEqual(says({ routes, egress: [] }), []);
    assert.match(
      seenOf("way-out", {
        routes,
        egress: [{ IpProtocol: "icmp", FromPort: -1, ToPort: -1, IpRanges: [{ CidrIp: "0.0.0.0/0" }] }],
      }).seen,
      /open for ICMP/,
    );
  });

  test("not known: an instance, a transit gateway for the world, prefix lists, no table, groups that are not there", () => {
    const appliance = [
      local,
      route({ DestinationCidrBlock: "0.0.0.0/0", NetworkInterfaceId: "eni-09", InstanceId: "i-09" }),
    ];
    assert.deepEqual(says({ routes: appliance }), ["way-out-unknown unknown"]);
    assert.deepEqual(says({ routes: appliance }, { firewalls: ["i-09"] }), []);
    assert.deepEqual(says({ routes: appliance }, { firewalls: ["eni-09"] }), []);
    const transit = [local, route({ DestinationCidrBlock: "0.0.0.0/0", TransitGatewayId: "tgw-01" })];
    assert.deepEqual(says({ routes: transit }), ["internal-route fail", "way-out-unknown unknown"]);
    assert.deepEqual(says({ routes: transit }, { firewalls: ["tgw-01"] }), []);
    const list = [local, firewall, route({ DestinationPrefixListId: "pl-1", TransitGatewayId: "tgw-01" })];
    assert.deepEqual(says({ routes: list }), ["way-out-unknown unknown"]);
    const known = { PrefixLists: [{ PrefixListId: "pl-1", PrefixListName: "corp", Cidrs: ["10.64.0.0/12"] }] };
    assert.deepEqual(says({ routes: list, more: [known] }), ["internal-route fail"]);
    assert.deepEqual(
      says({ routes: [local, igw], egress: [], instance: { SecurityGroups: [{ GroupId: "sg-gone" }] } }),
      ["way-out fail"],
    );
    assert.deepEqual(said(judge({ network: [{ Subnets: [{ SubnetId: subnet, CidrBlock: "10.0.1.0/24" }] }] })), [
      "resolver unknown",
      "way-out-unknown unknown",
    ]);
    assert.deepEqual(says({}, { subnets: ["subnet-nowhere"] }), ["no-subnet unknown"]);
  });

  test("Amazon's resolver answers past everything, unless it is off; a DNS Firewall is in doubt", () => {
    const on = { VpcId: "vpc-0a1", EnableDnsSupport: { Value: true } };
    assert.deepEqual(says({ dns: on }), ["resolver unknown"]);
    assert.deepEqual(says({ dns: on, associations: { FirewallRuleGroupAssociations: [] } }), ["resolver fail"]);
    const one = {
      FirewallRuleGroupAssociations: [{ Id: "rslvr-frgassoc-1", VpcId: "vpc-0a1", Status: "COMPLETE", Priority: 101 }],
    };
    assert.deepEqual(says({ dns: on, associations: one }), ["resolver unknown"]);
    assert.deepEqual(says(), []);
  });

  test("endpoints of services let data into anybody's buckets unless their policy says whose", () => {
    const s3 = (statement: unknown) => [
      {
        VpcEndpointId: "vpce-s3",
        VpcEndpointType: "Gateway",
        VpcId: "vpc-0a1",
        ServiceName: "com.amazonaws.eu-central-1.s3",
        ...(statement === undefined ? {} : { PolicyDocument: JSON.stringify({ Statement: [statement] }) }),
      },
    ];
    const all = { Effect: "Allow", Principal: "*", Action: "*", Resource: "*" };
    assert.deepEqual(says({ endpoints: s3(all) }), ["endpoint-policy fail"]);
    assert.deepEqual(says({ endpoints: s3({ ...all, Resource: "arn:aws:s3:::*/*" }) }), ["endpoint-policy fail"]);
    assert.deepEqual(
      says({ endpoints: s3({ ...all, Condition: { StringEquals: { "aws:ResourceAccount": ["111122223333"] } } }) }),
      [],
    );
    assert.deepEqual(
      says({
        endpoints: s3({ ...all, Condition: { StringEqualsIfExists: { "aws:ResourceAccount": "111122223333" } } }),
      }),
      ["endpoint-policy fail"],
    );
    assert.deepEqual(says({ endpoints: s3({ ...all, Resource: "arn:aws:s3:::our-cache/*" }) }), []);
    assert.deepEqual(says({ endpoints: s3(undefined) }), ["endpoint-policy unknown"]);
  });
});

describe("metadata and user data (RG-20)", () => {
  const options = (fields: Record<string, unknown>) => ({
    instance: {
      MetadataOptions: { HttpTokens: "required", HttpPutResponseHopLimit: 1, HttpEndpoint: "enabled", ...fields },
    },
  });
  test("tokens, hops, off, and what is not said", () => {
    assert.deepEqual(says(options({ HttpTokens: "optional" })), ["metadata-tokens fail"]);
    assert.deepEqual(says(options({ HttpPutResponseHopLimit: 2 })), ["metadata-hops fail"]);
    assert.deepEqual(
      says(options({ HttpEndpoint: "disabled", HttpTokens: "optional", HttpPutResponseHopLimit: 9 })),
      [],
    );
    assert.deepEqual(says({ instance: { MetadataOptions: undefined } }), ["metadata-tokens unknown"]);
  });

  const secrets = [
    `TOKEN=ghp_${"a".repeat(36)}`,
    `./config.sh --url https://github.com/octo --token ${"A".repeat(29)}`,
    `export AWS_ACCESS_KEY_ID=AKIA${"B".repeat(16)}`,
    "-----BEGIN RSA PRIVATE KEY-----",
    'db_password: "correct-horse-battery"',
  ];
  for (const secret of secrets)
    test(`a secret is said and not shown: ${secret.slice(0, 24)}`, () => {
      const finding = seenOf("user-data", { userData: `#!/bin/sh\n${secret}\n` });
      assert.equal(finding.severity, "critical");
      assert.ok(!JSON.stringify(finding).includes(secret.slice(-16)));
    });
  for (const fine of [
    'TOKEN="$(aws ssm get-parameter --name /ci/token)"',
    "export PASSWORD=${FROM_ELSEWHERE}",
    "token_url=https://api.github.com/repos",
    "#!/bin/sh\necho started\n",
  ])
    test(`no secret is none: ${fine.slice(0, 24).trim()}`, () => {
      assert.deepEqual(says({ userData: fine }), []);
    });

  test("a launch template's default and newest versions", () => {
    const version = (VersionNumber: number, DefaultVersion: boolean, HttpTokens: string) => ({
      LaunchTemplateId: "lt-1",
      VersionNumber,
      DefaultVersion,
      LaunchTemplateData: {
        MetadataOptions: { HttpTokens, HttpPutResponseHopLimit: 1 },
        SecurityGroupIds: ["sg-0run"],
      },
    });
    const with3 = (first: string, second: string, third: string) =>
      says({
        more: [
          { LaunchTemplateVersions: [version(1, false, first), version(2, true, second), version(3, false, third)] },
        ],
      });
    assert.deepEqual(with3("optional", "required", "required"), []);
    assert.deepEqual(with3("required", "optional", "required"), ["metadata-tokens fail"]);
    assert.deepEqual(with3("required", "required", "optional"), ["metadata-tokens fail"]);
    assert.deepEqual(says({ more: [{ LaunchTemplates: [{ LaunchTemplateId: "lt-2" }] }] }), ["unreadable unknown"]);
  });
});
