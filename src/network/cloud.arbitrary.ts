/** Answers of AWS and Terraform plans with things in them that AWS and Terraform never write: for fuzzing. */
import fc from "fast-check";

const statement = {
  Effect: "Allow",
  Principal: { Federated: "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com", AWS: ["*"] },
  Action: ["sts:AssumeRole*", "iam:PassRole"],
  Resource: ["*", "arn:aws:iam::*:role/${aws:username}"],
  Condition: {
    "ForAllValues:StringLike": { "token.actions.githubusercontent.com:sub": ["repo:octo/*", "repo:octo@1/a@2:*"] },
  },
};

const seeds: readonly unknown[] = [
  {
    RoleDetailList: [
      {
        Arn: "arn:aws:iam::111122223333:role/runner",
        AssumeRolePolicyDocument: { Statement: [statement] },
        InstanceProfileList: [{}],
        RolePolicyList: [{ PolicyName: "p", PolicyDocument: { Statement: statement } }],
        AttachedManagedPolicies: [{ PolicyArn: "arn:aws:iam::aws:policy/AdministratorAccess" }],
        PermissionsBoundary: { PermissionsBoundaryArn: "arn:aws:iam::1:policy/b" },
      },
    ],
    UserDetailList: [{ Arn: "arn:aws:iam::111122223333:user/u", GroupList: ["g"] }],
    Policies: [
      {
        Arn: "arn:aws:iam::1:policy/b",
        PolicyVersionList: [{ IsDefaultVersion: true, Document: JSON.stringify({ Statement: [statement] }) }],
      },
    ],
    IsTruncated: false,
  },
  { Version: "2012-10-17", Statement: [statement] },
  {
    Vpcs: [{ VpcId: "v", CidrBlock: "10.0.0.0/16" }],
    Subnets: [
      {
        SubnetId: "s",
        VpcId: "v",
        CidrBlock: "10.0.1.0/24",
        Ipv6CidrBlockAssociationSet: [{ Ipv6CidrBlock: "2001:db8::/64" }],
      },
    ],
    RouteTables: [
      {
        RouteTableId: "t",
        VpcId: "v",
        Associations: [{ SubnetId: "s" }, { Main: true }],
        Routes: [
          { DestinationCidrBlock: "0.0.0.0/0", NatGatewayId: "n" },
          { DestinationIpv6CidrBlock: "::/0", GatewayId: "igw-1" },
          { DestinationPrefixListId: "pl", GatewayId: "vpce-1" },
        ],
      },
    ],
    NatGateways: [{ NatGatewayId: "n", SubnetId: "s" }],
    PrefixLists: [{ PrefixListId: "pl", Cidrs: ["192.0.2.0/24"] }],
    SecurityGroups: [
      {
        GroupId: "g",
        IpPermissionsEgress: [
          {
            IpProtocol: "tcp",
            FromPort: 1,
            ToPort: 70000,
            IpRanges: [{ CidrIp: "0.0.0.0/0" }],
            PrefixListIds: [{ PrefixListId: "x" }],
          },
        ],
      },
    ],
    NetworkAcls: [
      {
        VpcId: "v",
        IsDefault: true,
        Entries: [
          {
            Egress: true,
            RuleNumber: 1,
            RuleAction: "allow",
            Protocol: "6",
            CidrBlock: "0.0.0.0/0",
            PortRange: { From: 443, To: 80 },
          },
        ],
      },
    ],
    VpcEndpoints: [
      { VpcEndpointId: "vpce-1", VpcEndpointType: "Gateway", VpcId: "v", PolicyDocument: '{"Statement":{}}' },
    ],
    Reservations: [
      {
        Instances: [
          {
            InstanceId: "i",
            SubnetId: "s",
            SecurityGroups: [{ GroupId: "g" }],
            MetadataOptions: { HttpTokens: "optional" },
          },
        ],
      },
    ],
    LaunchTemplateVersions: [
      { LaunchTemplateId: "l", VersionNumber: 1, LaunchTemplateData: { UserData: "IyEvYmluL3No" } },
    ],
  },
  {
    format_version: "1.2",
    planned_values: { root_module: {} },
    resource_changes: [
      {
        address: "aws_vpc.v",
        type: "aws_vpc",
        change: { actions: ["create"], after: { cidr_block: "10.0.0.0/16" }, after_unknown: { id: true } },
      },
      {
        address: 'module.m["k"].aws_subnet.s[0]',
        type: "aws_subnet",
        change: { actions: ["create"], after: { cidr_block: "10.0.1.0/24" }, after_unknown: { vpc_id: true } },
      },
      {
        address: "aws_route_table.t",
        type: "aws_route_table",
        change: {
          actions: ["create"],
          after: { route: [{ cidr_block: "0.0.0.0/0" }] },
          after_unknown: { route: [{ gateway_id: true }], vpc_id: true },
        },
      },
      {
        address: "aws_iam_role.r",
        type: "aws_iam_role",
        change: {
          actions: ["create"],
          after: { arn: "arn:aws:iam::111122223333:role/r", inline_policy: [{ name: "p" }] },
          after_unknown: { assume_role_policy: true, inline_policy: [{ policy: true }] },
        },
      },
      {
        address: "aws_organizations_policy.p",
        type: "aws_organizations_policy",
        change: { actions: ["create"], after: { content: JSON.stringify({ Statement: [statement] }) } },
      },
      {
        address: "aws_organizations_policy_attachment.p",
        type: "aws_organizations_policy_attachment",
        change: { actions: ["create"], after: { target_id: "111122223333" }, after_unknown: { policy_id: true } },
      },
      {
        address: "aws_organizations_organization.o",
        type: "aws_organizations_organization",
        change: {
          actions: ["no-op"],
          after: { master_account_id: "999988887777", enabled_policy_types: ["SERVICE_CONTROL_POLICY"] },
        },
      },
      {
        address: "aws_organizations_account.a",
        type: "aws_organizations_account",
        change: { actions: ["update"], after: { id: "111122223333", parent_id: "ou-a" } },
      },
      {
        address: "aws_organizations_organizational_unit.u",
        type: "aws_organizations_organizational_unit",
        change: { actions: ["update"], after: { id: "ou-a", parent_id: "ou-a" } },
      },
      {
        address: "aws_launch_template.l",
        type: "aws_launch_template",
        change: {
          actions: ["create"],
          after: { network_interfaces: [{}], user_data: "x" },
          after_unknown: { network_interfaces: [{ security_groups: true, subnet_id: true }] },
        },
      },
    ],
    configuration: {
      root_module: {
        resources: [
          {
            address: "aws_route_table.t",
            expressions: {
              vpc_id: { references: ["aws_vpc.v.id"] },
              route: [{ gateway_id: { references: ["module.m.o"] } }],
            },
          },
        ],
        module_calls: {
          m: {
            expressions: { x: { references: ["var.x", "module.m.o"] } },
            module: {
              outputs: { o: { expression: { references: ["var.x"] } } },
              resources: [{ address: "aws_subnet.s", expressions: { vpc_id: { references: ["var.x"] } } }],
            },
          },
        },
      },
    },
  },
];

const hostile = fc.constantFrom<string>(
  "null",
  "true",
  "-1",
  "1e999",
  '""',
  "[]",
  "{}",
  "[[[[[]]]]]",
  '{"__proto__":{"Effect":"Allow"}}',
  '{"constructor":1,"toString":[]}',
  '"__proto__"',
  '"\\u0000\\u001b[31m\\u202e\\ud800"',
  '"*"',
  '"0.0.0.0/0"',
  '"10.0.0.0/99"',
  '"%7B%22Statement%22%3A"',
  '"${${${"',
  `${"[".repeat(300)}${"]".repeat(300)}`,
  `[${"{},".repeat(300)}null]`,
  `{"a":${'{"a":'.repeat(200)}1${"}".repeat(200)}}`,
);

/** One of the seeds as text, with a few of its values replaced by others. */
export const cloudTexts: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(...seeds),
    fc.array(fc.tuple(fc.nat(400), hostile), { maxLength: 4 }),
    fc.constantFrom(undefined, 2),
  )
  .map(([seed, changes, indent]) => {
    let at = 0;
    const wanted = new Map(changes);
    const marks: string[] = [];
    const text = JSON.stringify(
      seed,
      (_, value: unknown) => {
        const change = wanted.get(at++);
        if (change === undefined) return value;
        marks.push(change);
        return `@@${marks.length - 1}@@`;
      },
      indent,
    );
    return text.replaceAll(/"@@(\d+)@@"/g, (_, i: string) => marks[Number(i)]!);
  });
