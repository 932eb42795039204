/**
 * A cloud network as this room sees it, whatever it was read from: what `aws ec2 describe-*` answers, or a Terraform plan. Ids are AWS's
 * or Terraform's addresses; nothing here asks which. `partial` says what of a thing is not known, in words for people.
 */
import type { Cidr } from "../address/cidr.ts";
import type { Place } from "../cloud/evidence.ts";

/** Where a route hands packets to. */
export const targetKinds = {
  local: "the VPC itself",
  firewall: "a firewall",
  nat: "a NAT gateway",
  internet: "an internet gateway",
  "egress-only": "an egress-only internet gateway",
  transit: "a transit gateway",
  peering: "a peered VPC",
  vpn: "a virtual private gateway",
  beside: "another network of the organisation's",
  endpoint: "a service endpoint",
  appliance: "an instance or interface",
  blackhole: "nowhere (blackhole)",
  none: "nowhere",
  unknown: "a target that is not known",
} as const;
export type TargetKind = keyof typeof targetKinds;

export interface Target {
  readonly kind: TargetKind;
  /** "" where there is none. */
  readonly id: string;
  /** A further id of the same: the interface of an instance. */
  readonly also?: string;
}

export interface Route {
  /** Null: a prefix list or a value whose prefixes are not known. */
  readonly cidrs: readonly Cidr[] | null;
  /** As written. */
  readonly destination: string;
  readonly target: Target;
  /** Of two for one prefix the lower rank wins: the VPC's own, static, by prefix list, propagated. */
  readonly rank: 0 | 1 | 2 | 3;
  readonly place: Place;
}

export interface RouteTable {
  readonly id: string;
  readonly vpc: string | null;
  readonly subnets: readonly string[];
  readonly main: boolean;
  readonly routes: readonly Route[];
  readonly partial: string | null;
  readonly place: Place;
}

export interface Subnet {
  readonly id: string;
  readonly vpc: string | null;
  readonly cidrs: readonly Cidr[];
  /** Whether it has addresses of IPv6; null: not known. */
  readonly ipv6: boolean | null;
  /** Whether machines get a public address; null: not known. */
  readonly publicAddresses: boolean | null;
  readonly name: string | null;
  readonly place: Place;
}

/** What a rule speaks of: `protocol` null is all of them, ports only of TCP and UDP. */
export interface Traffic {
  readonly protocol: number | null;
  readonly from: number;
  readonly to: number;
}

export interface GroupRule extends Traffic {
  /** Null: to destinations that are not known, so to any. */
  readonly cidrs: readonly Cidr[] | null;
  /** To members of security groups: anywhere in the VPC. */
  readonly toGroups: boolean;
  readonly place: Place;
}

export interface SecurityGroup {
  readonly id: string;
  readonly egress: readonly GroupRule[];
  readonly partial: string | null;
  readonly place: Place;
}

export interface AclEntry extends Traffic {
  readonly number: number;
  readonly allow: boolean;
  readonly cidr: Cidr;
}

export interface Acl {
  readonly id: string;
  readonly vpc: string | null;
  readonly subnets: readonly string[];
  readonly isDefault: boolean;
  /** Outbound ones. */
  readonly entries: readonly AclEntry[];
  readonly partial: string | null;
}

export interface Endpoint {
  readonly id: string;
  readonly vpc: string | null;
  readonly kind: "gateway" | "interface" | "firewall";
  readonly service: string;
  /** The document; undefined: not known; null: AWS's default, which allows everything. */
  readonly policy: unknown;
  readonly place: Place;
}

export interface Machine {
  readonly id: string;
  /** Null: a template that says no subnet. */
  readonly subnet: string | null;
  readonly groups: readonly string[];
  readonly publicAddress: boolean | null;
  readonly metadata: {
    readonly enabled: boolean | null;
    /** Whether tokens are required. */
    readonly tokens: boolean | null;
    readonly hops: number | null;
  } | null;
  /** Decoded; null: none; undefined: not known. */
  readonly userData: string | null | undefined;
  readonly place: Place;
}

export interface Vpc {
  readonly id: string;
  readonly cidrs: readonly Cidr[];
  /** Whether Amazon's resolver answers; null: not known, and the default is that it does. */
  readonly resolver: boolean | null;
  readonly place: Place;
}

export interface Network {
  readonly vpcs: Map<string, Vpc>;
  readonly subnets: Map<string, Subnet>;
  readonly tables: RouteTable[];
  readonly groups: Map<string, SecurityGroup>;
  readonly acls: Acl[];
  readonly endpoints: Endpoint[];
  /** Subnets of NAT gateways; null: not known, or a private one's. */
  readonly nats: Map<string, string | null>;
  readonly machines: Machine[];
  /** VPCs with a DNS Firewall; null: nothing was given that says so. */
  dnsFirewalls: Set<string> | null;
}

export function emptyNetwork(): Network {
  return {
    vpcs: new Map(),
    subnets: new Map(),
    tables: [],
    groups: new Map(),
    acls: [],
    endpoints: [],
    nats: new Map(),
    machines: [],
    dnsFirewalls: null,
  };
}
