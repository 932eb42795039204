/** Where a planned route leads: by the attribute that is set, and by the type of what it refers to. */
import type { Plan, PlanResource } from "../cloud/plan.ts";
import { isUnknownAt, own, textAt } from "../cloud/value.ts";
import { gatewayOf } from "./described.ts";
import type { Target, TargetKind } from "./model.ts";
import type { Ids } from "./planned-ids.ts";

/** A route's attributes for targets, and what each of them can be; `gateway_id` holds several kinds. */
export const routeTargetKeys: readonly (readonly [string, TargetKind])[] = [
  ["nat_gateway_id", "nat"],
  ["transit_gateway_id", "transit"],
  ["vpc_peering_connection_id", "peering"],
  ["egress_only_gateway_id", "egress-only"],
  ["local_gateway_id", "beside"],
  ["carrier_gateway_id", "internet"],
  ["core_network_arn", "beside"],
  ["odb_network_arn", "beside"],
  ["vpc_endpoint_id", "endpoint"],
  ["network_interface_id", "appliance"],
  ["instance_id", "appliance"],
  ["gateway_id", "unknown"],
];

const kindOfType: ReadonlyMap<string, TargetKind> = new Map([
  ["aws_internet_gateway", "internet"],
  ["aws_egress_only_internet_gateway", "egress-only"],
  ["aws_nat_gateway", "nat"],
  ["aws_vpn_gateway", "vpn"],
  ["aws_ec2_transit_gateway", "transit"],
  ["aws_ec2_transit_gateway_vpc_attachment", "transit"],
  ["aws_vpc_peering_connection", "peering"],
  ["aws_networkfirewall_firewall", "firewall"],
  ["aws_instance", "appliance"],
  ["aws_network_interface", "appliance"],
]);

/** The target of a route's values; `at` is its index among a table's blocks, null for a resource of its own. */
export function plannedTarget(
  plan: Plan,
  ids: Ids,
  resource: PlanResource,
  value: unknown,
  at: number | null,
  keys: typeof routeTargetKeys,
): Target {
  for (const [key, kind] of keys) {
    const known = textAt(value, key);
    if (known !== null) {
      const id = ids.named(known);
      const made = plan.resources.find(({ address }) => address === id);
      if (made !== undefined) return ofResource(made, kind);
      if (key === "gateway_id") return gatewayOf(known, new Set());
      // An endpoint that is not in the plan may be a firewall's: what it is is not known.
      return { kind: kind === "endpoint" ? "unknown" : kind, id };
    }
    if (!isUnknownAt(value, key)) continue;
    const referred = referredBy(plan, resource, value, at, key).filter(
      ({ type }) => kindOfType.has(type) || type === "aws_vpc_endpoint",
    );
    const kinds = new Set(referred.map((each) => ofResource(each, kind).kind));
    if (kinds.size === 1) return ofResource(referred[0]!, kind);
    return { kind: kind === "endpoint" ? "unknown" : kind, id: `${resource.address}: ${key}` };
  }
  return { kind: "unknown", id: "" };
}

function ofResource(resource: PlanResource, otherwise: TargetKind): Target {
  const id = resource.address;
  if (resource.type !== "aws_vpc_endpoint") return { kind: kindOfType.get(resource.type) ?? otherwise, id };
  return { kind: textAt(resource.values, "vpc_endpoint_type") === "GatewayLoadBalancer" ? "firewall" : "endpoint", id };
}

/**
 * A block's references: of the configuration's block for the same prefix where it lists blocks (values are a set, so their order is not
 * the file's), else of the whole attribute, of which only the types that the key can hold are taken.
 */
function referredBy(
  plan: Plan,
  resource: PlanResource,
  value: unknown,
  at: number | null,
  key: string,
): PlanResource[] {
  if (at === null) return plan.referred(resource, key) ?? [];
  const blocks = own(resource.expressions, "route");
  if (!Array.isArray(blocks)) return (plan.referred(resource, "route") ?? []).filter(({ type }) => fits(type, key));
  const list: readonly unknown[] = blocks;
  const block = textAt(value, "cidr_block") ?? textAt(value, "ipv6_cidr_block");
  const same = (each: unknown) =>
    ["cidr_block", "ipv6_cidr_block"].some((name) => textAt(own(each, name), "constant_value") === block);
  const found = block === null ? -1 : list.findIndex(same);
  if (found >= 0) return plan.referred(resource, "route", found, key) ?? [];
  return list.flatMap((_, i) => plan.referred(resource, "route", i, key) ?? []);
}

function fits(type: string, key: string): boolean {
  if (key === "vpc_endpoint_id") return type === "aws_vpc_endpoint" || type === "aws_networkfirewall_firewall";
  if (key === "gateway_id") return type === "aws_internet_gateway" || type === "aws_vpn_gateway";
  return kindOfType.get(type) === routeTargetKeys.find(([name]) => name === key)?.[1];
}
