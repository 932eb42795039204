/** A VPC of a runner as `aws ec2 describe-*` answers, closed as it should be; tests open one thing at a time. */
const vpc = "vpc-0a1";
export const subnet = "subnet-0run";

export const igw = { DestinationCidrBlock: "0.0.0.0/0", GatewayId: "igw-01", Origin: "CreateRoute", State: "active" };
const local = { DestinationCidrBlock: "10.0.0.0/16", GatewayId: "local", Origin: "CreateRouteTable", State: "active" };
const firewall = { DestinationCidrBlock: "0.0.0.0/0", GatewayId: "vpce-0fw", Origin: "CreateRoute", State: "active" };
const range = (CidrIp: string) => ({
  IpProtocol: "-1",
  IpRanges: [{ CidrIp }],
  Ipv6Ranges: [],
  PrefixListIds: [],
  UserIdGroupPairs: [],
});

/** What a test may replace. */
export interface Changes {
  routes?: unknown[];
  egress?: unknown[];
  acl?: unknown[];
  subnetFields?: Record<string, unknown>;
  endpoints?: unknown[];
  instance?: Record<string, unknown>;
  more?: Record<string, unknown>[];
  dns?: unknown;
  associations?: unknown;
  userData?: string;
}

/** One permission of a security group: a protocol's port to a prefix. */
export const to = (cidr: string, port?: number) => ({
  ...range(cidr),
  ...(cidr.includes(":") ? { IpRanges: [], Ipv6Ranges: [{ CidrIpv6: cidr }] } : {}),
  ...(port === undefined ? {} : { IpProtocol: "tcp", FromPort: port, ToPort: port }),
});

const anyEntry = (RuleNumber: number, RuleAction: string, CidrBlock = "0.0.0.0/0") => ({
  CidrBlock,
  Egress: true,
  Protocol: "-1",
  RuleAction,
  RuleNumber,
});
export const acl = (...entries: unknown[]) => [...entries, anyEntry(32767, "deny")];
export const entry = anyEntry;

/** The answers, one file each. */
export function answers(changes: Changes = {}): unknown[] {
  const instance = {
    InstanceId: "i-0run",
    SubnetId: subnet,
    VpcId: vpc,
    State: { Code: 16, Name: "running" },
    SecurityGroups: [{ GroupName: "runner", GroupId: "sg-0run" }],
    MetadataOptions: { State: "applied", HttpTokens: "required", HttpPutResponseHopLimit: 1, HttpEndpoint: "enabled" },
    ...changes.instance,
  };
  return [
    {
      Vpcs: [
        {
          VpcId: vpc,
          CidrBlock: "10.0.0.0/16",
          CidrBlockAssociationSet: [{ CidrBlock: "10.0.0.0/16" }],
          IsDefault: false,
        },
      ],
    },
    {
      Subnets: [
        {
          SubnetId: subnet,
          VpcId: vpc,
          CidrBlock: "10.0.1.0/24",
          Ipv6CidrBlockAssociationSet: [],
          MapPublicIpOnLaunch: false,
          Tags: [{ Key: "Name", Value: "runners" }],
          ...changes.subnetFields,
        },
        { SubnetId: "subnet-0db", VpcId: vpc, CidrBlock: "10.0.9.0/24", Tags: [{ Key: "Name", Value: "databases" }] },
        { SubnetId: "subnet-0nat", VpcId: vpc, CidrBlock: "10.0.8.0/24" },
      ],
    },
    {
      RouteTables: [
        { RouteTableId: "rtb-main", VpcId: vpc, Associations: [{ Main: true }], Routes: [local] },
        {
          RouteTableId: "rtb-run",
          VpcId: vpc,
          Associations: [{ Main: false, SubnetId: subnet }],
          Routes: changes.routes ?? [local, firewall],
        },
        {
          RouteTableId: "rtb-nat",
          VpcId: vpc,
          Associations: [{ Main: false, SubnetId: "subnet-0nat" }],
          Routes: [
            local,
            igw,
            { DestinationCidrBlock: "172.20.0.0/16", VpcPeeringConnectionId: "pcx-01", State: "active" },
          ],
        },
      ],
    },
    {
      SecurityGroups: [
        {
          GroupId: "sg-0run",
          VpcId: vpc,
          IpPermissions: [],
          IpPermissionsEgress: changes.egress ?? [to("0.0.0.0/0", 443), to("::/0", 443)],
        },
      ],
    },
    {
      NetworkAcls: [
        {
          NetworkAclId: "acl-1",
          VpcId: vpc,
          IsDefault: true,
          Associations: [],
          Entries:
            changes.acl ??
            acl(anyEntry(90, "deny", "10.0.0.0/16"), anyEntry(100, "allow"), {
              Ipv6CidrBlock: "::/0",
              Egress: true,
              Protocol: "-1",
              RuleAction: "allow",
              RuleNumber: 101,
            }),
        },
      ],
    },
    {
      VpcEndpoints: [
        {
          VpcEndpointId: "vpce-0fw",
          VpcEndpointType: "GatewayLoadBalancer",
          VpcId: vpc,
          ServiceName: "com.amazonaws.vpce.eu-central-1.vpce-svc-1",
        },
        ...(changes.endpoints ?? []),
      ],
    },
    { NatGateways: [{ NatGatewayId: "nat-01", SubnetId: "subnet-0nat", VpcId: vpc, State: "available" }] },
    { Reservations: [{ Instances: [instance] }] },
    {
      InstanceId: "i-0run",
      UserData: { Value: Buffer.from(changes.userData ?? "#!/bin/sh\nsystemctl start runner\n").toString("base64") },
    },
    changes.dns ?? { VpcId: vpc, EnableDnsSupport: { Value: false } },
    ...(changes.associations === undefined ? [] : [changes.associations]),
    ...(changes.more ?? []),
  ];
}

export const route = (fields: Record<string, unknown>) => ({ State: "active", Origin: "CreateRoute", ...fields });
export const base = { local, firewall };
