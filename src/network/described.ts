/**
 * A network out of what `aws ec2 describe-* --output json` answers, in any number of files: each top-level key of an answer says what
 * is in it. Shapes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Operations.html
 */
import { isCidrDefect, parseCidr } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import { pointerTo } from "../cloud/json.ts";
import type { JsonFile, Trouble } from "../cloud/json.ts";
import { flagAt, isFields, listAt, numberAt, own, textAt } from "../cloud/value.ts";
import { machineOf, newestVersions, templateOf, userDataOf } from "./described-machine.ts";
import { emptyNetwork } from "./model.ts";
import type { Acl, AclEntry, GroupRule, Network, Route, Target, TargetKind, Traffic } from "./model.ts";

/** Top-level keys that are understood; a file with none of them is a trouble. */
const understood = [
  "Subnets",
  "RouteTables",
  "SecurityGroups",
  "NetworkAcls",
  "VpcEndpoints",
  "NatGateways",
  "InternetGateways",
  "EgressOnlyInternetGateways",
  "VpcPeeringConnections",
  "TransitGatewayAttachments",
  "TransitGatewayVpcAttachments",
  "Reservations",
  "LaunchTemplateVersions",
  "LaunchTemplates",
  "UserData",
  "PrefixLists",
  "Vpcs",
  "EnableDnsSupport",
  "FirewallRuleGroupAssociations",
  "NetworkInterfaces",
];

/** Joins all files into one network. Never throws on what they hold. */
export function readDescribed(files: readonly JsonFile[]): { network: Network; troubles: Trouble[] } {
  const network = emptyNetwork();
  const troubles: Trouble[] = [];
  const each = (key: string, use: (item: unknown, place: { file: string; pointer: string }) => void): void => {
    for (const { file, value } of files) {
      for (const [i, item] of listAt(value, key).entries()) {
        const pointer = pointerTo(`/${key}`, i);
        if (isFields(item)) use(item, { file, pointer });
        else
          troubles.push({ file, pointer, message: "is no object", fix: "Give the file as the aws command wrote it." });
      }
    }
  };
  const prefix = (text: string | null, place: { file: string; pointer: string }): Cidr[] => {
    const cidr = text === null ? null : parseCidr(text);
    if (cidr !== null && !isCidrDefect(cidr)) return [cidr];
    troubles.push({
      ...place,
      message: "has a prefix that cannot be read",
      fix: "Give the file as the aws command wrote it.",
    });
    return [];
  };
  for (const { file, value } of files) {
    if (!understood.some((key) => own(value, key) !== undefined))
      troubles.push({
        file,
        pointer: "",
        message: "has no answer of aws ec2 describe-* that is understood",
        fix: `Give one with ${understood.slice(0, 3).join(", ")} or the like.`,
      });
    const next = textAt(value, "NextToken");
    if (next !== null)
      troubles.push({
        file,
        pointer: "/NextToken",
        message: "is one page of several",
        fix: "Ask without --no-paginate and --max-items.",
      });
    const dns = own(value, "EnableDnsSupport");
    const vpc = textAt(value, "VpcId");
    if (dns !== undefined && vpc !== null) {
      const before = network.vpcs.get(vpc);
      const place = { file, pointer: "/EnableDnsSupport" };
      network.vpcs.set(vpc, { id: vpc, cidrs: before?.cidrs ?? [], resolver: flagAt(dns, "Value"), place });
    }
    if (Array.isArray(own(value, "FirewallRuleGroupAssociations"))) network.dnsFirewalls ??= new Set();
  }

  each("Vpcs", (item, place) => {
    const id = textAt(item, "VpcId");
    if (id === null) return;
    const blocks = [
      textAt(item, "CidrBlock"),
      ...listAt(item, "CidrBlockAssociationSet").map((one) => textAt(one, "CidrBlock")),
      ...listAt(item, "Ipv6CidrBlockAssociationSet").map((one) => textAt(one, "Ipv6CidrBlock")),
    ];
    const cidrs = [...new Set(blocks)].flatMap((text) => (text === null ? [] : prefix(text, place)));
    network.vpcs.set(id, {
      id,
      cidrs,
      resolver: network.vpcs.get(id)?.resolver ?? null,
      place: network.vpcs.get(id)?.place ?? place,
    });
  });
  each("FirewallRuleGroupAssociations", (item) => {
    const vpc = textAt(item, "VpcId");
    if (vpc !== null && textAt(item, "Status") !== "DELETING") network.dnsFirewalls?.add(vpc);
  });
  each("Subnets", (item, place) => {
    const id = textAt(item, "SubnetId");
    if (id === null) return;
    const ipv6 = listAt(item, "Ipv6CidrBlockAssociationSet").flatMap((one) => textAt(one, "Ipv6CidrBlock") ?? []);
    const v4 = textAt(item, "CidrBlock");
    const cidrs = [...(v4 === null ? [] : [v4]), ...ipv6].flatMap((text) => prefix(text, place));
    const name = listAt(item, "Tags").find((tag) => textAt(tag, "Key") === "Name");
    network.subnets.set(id, {
      id,
      vpc: textAt(item, "VpcId"),
      cidrs,
      ipv6: ipv6.length > 0,
      publicAddresses: flagAt(item, "MapPublicIpOnLaunch"),
      name: textAt(name, "Value"),
      place,
    });
  });
  const firewallEndpoints = new Set<string>();
  each("VpcEndpoints", (item, place) => {
    const id = textAt(item, "VpcEndpointId");
    if (id === null) return;
    const type = textAt(item, "VpcEndpointType");
    const kind = type === "GatewayLoadBalancer" ? "firewall" : type === "Gateway" ? "gateway" : "interface";
    if (kind === "firewall") firewallEndpoints.add(id);
    network.endpoints.push({
      id,
      vpc: textAt(item, "VpcId"),
      kind,
      service: textAt(item, "ServiceName") ?? type ?? "service",
      policy: own(item, "PolicyDocument"),
      place,
    });
  });
  each("NatGateways", (item) => {
    const id = textAt(item, "NatGatewayId");
    if (id !== null) network.nats.set(id, textAt(item, "SubnetId"));
  });
  const lists = new Map<string, readonly Cidr[]>();
  each("PrefixLists", (item, place) => {
    const id = textAt(item, "PrefixListId");
    const cidrs = listAt(item, "Cidrs");
    if (id !== null && Array.isArray(own(item, "Cidrs")))
      lists.set(
        id,
        cidrs.flatMap((text) => prefix(typeof text === "string" ? text : null, place)),
      );
  });

  each("RouteTables", (item, place) => {
    const associations = listAt(item, "Associations");
    const routes = listAt(item, "Routes").map((route, i): Route => {
      const at = { file: place.file, pointer: `${place.pointer}/Routes/${i}` };
      const list = textAt(route, "DestinationPrefixListId");
      const block = textAt(route, "DestinationCidrBlock") ?? textAt(route, "DestinationIpv6CidrBlock");
      const cidrs = block === null ? (lists.get(list ?? "") ?? null) : prefix(block, at);
      const target = targetOf(route, firewallEndpoints);
      const propagated = textAt(route, "Origin") === "EnableVgwRoutePropagation";
      const rank = target.kind === "local" ? 0 : propagated ? 3 : list === null ? 1 : 2;
      return { cidrs, destination: block ?? list ?? "a destination that is not known", target, rank, place: at };
    });
    network.tables.push({
      id: textAt(item, "RouteTableId") ?? place.pointer,
      vpc: textAt(item, "VpcId"),
      subnets: associations.flatMap((one) => textAt(one, "SubnetId") ?? []),
      main: associations.some((one) => flagAt(one, "Main") === true),
      routes,
      partial: null,
      place,
    });
  });
  each("SecurityGroups", (item, place) => {
    const id = textAt(item, "GroupId");
    if (id === null) return;
    const known = Array.isArray(own(item, "IpPermissionsEgress"));
    const egress = listAt(item, "IpPermissionsEgress").map((rule, i): GroupRule => {
      const at = { file: place.file, pointer: `${place.pointer}/IpPermissionsEgress/${i}` };
      const ranges = [
        ...listAt(rule, "IpRanges").map((one) => textAt(one, "CidrIp")),
        ...listAt(rule, "Ipv6Ranges").map((one) => textAt(one, "CidrIpv6")),
      ];
      const named = listAt(rule, "PrefixListIds").map((one) => lists.get(textAt(one, "PrefixListId") ?? "") ?? null);
      const unknown = named.includes(null);
      const cidrs = [...ranges.flatMap((text) => prefix(text, at)), ...named.flatMap((one) => one ?? [])];
      return {
        ...trafficOf(rule, "IpProtocol", own(rule, "FromPort"), own(rule, "ToPort")),
        cidrs: unknown ? null : cidrs,
        toGroups: listAt(rule, "UserIdGroupPairs").length > 0,
        place: at,
      };
    });
    network.groups.set(id, { id, egress, partial: known ? null : "has no egress rules in the file", place });
  });
  each("NetworkAcls", (item, place) => {
    const entries = listAt(item, "Entries").flatMap((entry, i): AclEntry[] => {
      if (flagAt(entry, "Egress") !== true) return [];
      const range = own(entry, "PortRange");
      const allow = textAt(entry, "RuleAction") === "allow";
      // One type of ICMP refused leaves the others: as if it were not there.
      const type = numberAt(own(entry, "IcmpTypeCode"), "Type");
      if (!allow && type !== null && type !== -1) return [];
      if (!allow && !isExact(entry, "Protocol", own(range, "From"), own(range, "To"))) return [];
      const at = { file: place.file, pointer: `${place.pointer}/Entries/${i}` };
      const cidrs = prefix(textAt(entry, "CidrBlock") ?? textAt(entry, "Ipv6CidrBlock"), at);
      return cidrs.map((cidr) => ({
        ...trafficOf(entry, "Protocol", own(range, "From"), own(range, "To")),
        number: numberAt(entry, "RuleNumber") ?? 0,
        allow,
        cidr,
      }));
    });
    const acl: Acl = {
      id: textAt(item, "NetworkAclId") ?? place.pointer,
      vpc: textAt(item, "VpcId"),
      subnets: listAt(item, "Associations").flatMap((one) => textAt(one, "SubnetId") ?? []),
      isDefault: flagAt(item, "IsDefault") === true,
      entries,
      partial: Array.isArray(own(item, "Entries")) ? null : "has no entries in the file",
    };
    network.acls.push(acl);
  });
  const userData = userDataOf(files);
  each("Reservations", (item, place) => {
    for (const [i, instance] of listAt(item, "Instances").entries()) {
      const machine = machineOf(instance, { file: place.file, pointer: `${place.pointer}/Instances/${i}` }, userData);
      if (machine !== null) network.machines.push(machine);
    }
  });
  const newest = newestVersions(files);
  each("LaunchTemplateVersions", (item, place) => {
    const machine = templateOf(item, newest, place);
    if (machine !== null) network.machines.push(machine);
  });
  each("LaunchTemplates", (item, place) => {
    const id = textAt(item, "LaunchTemplateId");
    if (id !== null && !newest.has(id))
      troubles.push({
        ...place,
        message: `launch template ${id} is named without what is in it`,
        fix: "Give describe-launch-template-versions as well.",
      });
  });
  return { network, troubles };
}

const protocols = new Map([
  ["tcp", 6],
  ["udp", 17],
  ["icmp", 1],
  ["icmpv6", 58],
  ["sctp", 132],
]);

/** Ports that are not said are all; a protocol that is no protocol is all as well, because nothing may be closed by it. */
export function trafficOf(value: unknown, key: string, from: unknown, to: unknown): Traffic {
  const text = protocolAt(value, key);
  const protocol = protocols.get(text) ?? (/^\d{1,3}$/.test(text) ? Number(text) : null);
  const low = numberAt({ from }, "from") ?? 0;
  const high = numberAt({ to }, "to") ?? 65_535;
  return protocol === null || low < 0 || high < low
    ? { protocol, from: 0, to: 65_535 }
    : { protocol, from: low, to: Math.min(high, 65_535) };
}

/** The protocol's name or number in lower case; `-1` where none is said, "" where it is no text or number. */
export function protocolAt(value: unknown, key: string): string {
  const found = own(value, key);
  if (found === undefined || found === null) return "-1";
  return typeof found === "string" || typeof found === "number" ? String(found).toLowerCase() : "";
}

/** Whether {@link trafficOf} says exactly what is written: only then may an entry that refuses close anything. */
export function isExact(value: unknown, key: string, from: unknown, to: unknown): boolean {
  const text = protocolAt(value, key);
  if (text === "-1" || text === "all") return true;
  if (!protocols.has(text) && !/^\d{1,3}$/.test(text)) return false;
  const [low, high] = [from, to].map((each) => numberAt({ each }, "each"));
  if (from === undefined || from === null || to === undefined || to === null) return from === to;
  return low !== null && high !== null && low! >= 0 && low! <= high!;
}

const targetKeys: readonly (readonly [string, TargetKind])[] = [
  ["NatGatewayId", "nat"],
  ["TransitGatewayId", "transit"],
  ["VpcPeeringConnectionId", "peering"],
  ["EgressOnlyInternetGatewayId", "egress-only"],
  ["LocalGatewayId", "beside"],
  ["CarrierGatewayId", "internet"],
  ["CoreNetworkArn", "beside"],
  ["OdbNetworkArn", "beside"],
  ["InstanceId", "appliance"],
  ["NetworkInterfaceId", "appliance"],
];

function targetOf(route: unknown, firewalls: ReadonlySet<string>): Target {
  const id = targetKeys.flatMap(([key, kind]) =>
    textAt(route, key) === null ? [] : [{ kind, id: textAt(route, key)! }],
  );
  const gateway = textAt(route, "GatewayId");
  const both = textAt(route, "InstanceId") === null ? null : textAt(route, "NetworkInterfaceId");
  const named = id[0] === undefined || both === null ? id[0] : { ...id[0], also: both };
  const found: Target = named ?? (gateway === null ? { kind: "unknown", id: "" } : gatewayOf(gateway, firewalls));
  // A route whose target is gone drops what it matches, and still is the longest match.
  return textAt(route, "State") === "blackhole" ? { kind: "blackhole", id: found.id } : found;
}

/** What an id in a route's `GatewayId` is: AWS puts several kinds there. */
export function gatewayOf(id: string, firewalls: ReadonlySet<string>): Target {
  if (id === "local") return { kind: "local", id };
  if (id.startsWith("igw-")) return { kind: "internet", id };
  if (id.startsWith("eigw-")) return { kind: "egress-only", id };
  if (id.startsWith("vgw-")) return { kind: "vpn", id };
  if (id.startsWith("lgw-")) return { kind: "beside", id };
  if (id.startsWith("vpce-")) return { kind: firewalls.has(id) ? "firewall" : "endpoint", id };
  return { kind: "unknown", id };
}
