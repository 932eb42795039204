/**
 * A network out of a Terraform plan. Ids are unknown until it is applied, so an id here is a resource's address, and who belongs to whom
 * is told by references; an id of something that stands already is the id. What neither says is `partial` or `unknown`. AWS's own
 * defaults that a plan does not show are added: the local route of every table, and the main table of a VPC that is new.
 */
import { isCidrDefect, parseCidr } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import type { Trouble } from "../cloud/json.ts";
import { pointerTo } from "../cloud/json.ts";
import type { Plan, PlanResource } from "../cloud/plan.ts";
import { flagAt, isFields, isUnknownAt, listAt, own, textAt, textsAt, UNKNOWN } from "../cloud/value.ts";
import type { Network, Route, RouteTable } from "./model.ts";
import { Ids } from "./planned-ids.ts";
import { aclsOf, groupsOf } from "./planned-filters.ts";
import { machinesOf } from "./planned-machines.ts";
import { plannedTarget, routeTargetKeys } from "./planned-targets.ts";

/** Adds what the plan makes to `network`. Never throws on what it holds. */
export function addPlan(network: Network, plan: Plan): Trouble[] {
  const troubles: Trouble[] = [];
  const ids = new Ids(plan);
  const prefix = (resource: { file: string; pointer: string }, text: string | null): Cidr[] => {
    if (text === null) return [];
    const cidr = parseCidr(text);
    if (!isCidrDefect(cidr)) return [cidr];
    troubles.push({
      file: resource.file,
      pointer: resource.pointer,
      message: "has a prefix that cannot be read",
      fix: "Give the plan as terraform show -json wrote it.",
    });
    return [];
  };
  const placeOf = ({ file, pointer }: PlanResource) => ({ file, pointer });

  for (const vpc of plan.of("aws_vpc", "aws_default_vpc")) {
    const cidrs = [
      ...prefix(vpc, textAt(vpc.values, "cidr_block")),
      ...prefix(vpc, textAt(vpc.values, "ipv6_cidr_block")),
    ];
    const place = { file: vpc.file, pointer: pointerTo(vpc.pointer, "enable_dns_support") };
    network.vpcs.set(vpc.address, {
      id: vpc.address,
      cidrs,
      resolver: flagAt(vpc.values, "enable_dns_support"),
      place,
    });
  }
  for (const more of plan.of("aws_vpc_ipv4_cidr_block_association")) {
    const vpc = network.vpcs.get(ids.of(more, "vpc_id") ?? "");
    if (vpc !== undefined)
      network.vpcs.set(vpc.id, { ...vpc, cidrs: [...vpc.cidrs, ...prefix(more, textAt(more.values, "cidr_block"))] });
  }
  for (const subnet of plan.of("aws_subnet", "aws_default_subnet")) {
    const v6 = textAt(subnet.values, "ipv6_cidr_block");
    const cidrs = [...prefix(subnet, textAt(subnet.values, "cidr_block")), ...prefix(subnet, v6)];
    const wants =
      flagAt(subnet.values, "assign_ipv6_address_on_creation") === true ||
      flagAt(subnet.values, "ipv6_native") === true;
    // A prefix that is cut out of the VPC's own is unknown because it will be there; where nobody asks for one, it is unknown as well.
    const asked = isFields(subnet.expressions) && own(subnet.expressions, "ipv6_cidr_block") !== undefined;
    network.subnets.set(subnet.address, {
      id: subnet.address,
      vpc: ids.of(subnet, "vpc_id"),
      cidrs,
      ipv6: v6 !== null || wants || asked,
      publicAddresses: flagAt(subnet.values, "map_public_ip_on_launch"),
      name: textAt(own(subnet.values, "tags"), "Name"),
      place: placeOf(subnet),
    });
  }
  for (const nat of plan.of("aws_nat_gateway")) network.nats.set(nat.address, ids.of(nat, "subnet_id"));
  for (const endpoint of plan.of("aws_vpc_endpoint")) {
    const type = textAt(endpoint.values, "vpc_endpoint_type") ?? "Gateway";
    const beside = plan
      .of("aws_vpc_endpoint_policy")
      .find((each) => ids.of(each, "vpc_endpoint_id") === endpoint.address);
    const from = beside ?? endpoint;
    const written = own(from.values, "policy");
    // Terraform knows a policy only after apply both where nobody wrote one and where it is made of other resources.
    const configured =
      beside !== undefined || (isFields(endpoint.expressions) && own(endpoint.expressions, "policy") !== undefined);
    network.endpoints.push({
      id: endpoint.address,
      vpc: ids.of(endpoint, "vpc_id"),
      kind: type === "GatewayLoadBalancer" ? "firewall" : type === "Gateway" ? "gateway" : "interface",
      service: textAt(endpoint.values, "service_name") ?? type,
      policy: typeof written === "string" ? written : configured ? undefined : null,
      place: { file: from.file, pointer: pointerTo(from.pointer, "policy") },
    });
  }
  network.dnsFirewalls ??= new Set();
  for (const each of plan.of("aws_route53_resolver_firewall_rule_group_association")) {
    const vpc = ids.of(each, "vpc_id");
    if (vpc !== null) network.dnsFirewalls.add(vpc);
  }
  addTables(network, plan, ids, prefix);
  for (const group of groupsOf(plan, ids, prefix)) network.groups.set(group.id, group);
  for (const acl of aclsOf(plan, ids, prefix)) network.acls.push(acl);
  for (const machine of machinesOf(plan, ids)) network.machines.push(machine);
  return troubles;
}

type Prefix = (resource: { file: string; pointer: string }, text: string | null) => Cidr[];

function addTables(network: Network, plan: Plan, ids: Ids, prefix: Prefix): void {
  const associations = plan
    .of("aws_route_table_association")
    .map((each) => ({ subnet: ids.of(each, "subnet_id"), table: ids.of(each, "route_table_id") }));
  const mains = plan.of("aws_main_route_table_association").map((each) => ids.of(each, "route_table_id"));
  const apart = plan.of("aws_route").map((each) => ({ each, table: ids.of(each, "route_table_id") }));
  const homeless = apart.some(({ table }) => table === null);
  for (const table of plan.of("aws_route_table", "aws_default_route_table")) {
    const routes: Route[] = [];
    const within = own(table.values, "route");
    for (const [i, value] of listAt(table.values, "route").entries()) {
      const pointer = pointerTo(pointerTo(table.pointer, "route"), i);
      routes.push(
        routeOf(
          plan,
          ids,
          prefix,
          table,
          value,
          { file: table.file, pointer },
          ["cidr_block", "ipv6_cidr_block", "destination_prefix_list_id"],
          i,
        ),
      );
    }
    for (const { each, table: owner } of apart)
      if (owner === table.address)
        routes.push(
          routeOf(
            plan,
            ids,
            prefix,
            each,
            each.values,
            each,
            ["destination_cidr_block", "destination_ipv6_cidr_block", "destination_prefix_list_id"],
            null,
          ),
        );
    const vpc = table.type === "aws_route_table" ? ids.of(table, "vpc_id") : ids.of(table, "default_route_table_id");
    const configured = isFields(table.expressions) && own(table.expressions, "route") !== undefined;
    const partial =
      within === UNKNOWN && configured
        ? "has routes that are known only after apply"
        : homeless
          ? "may have a route of a table that is not known"
          : null;
    const made: RouteTable = {
      id: table.address,
      vpc,
      subnets: associations.flatMap((one) => (one.table === table.address && one.subnet !== null ? [one.subnet] : [])),
      main: table.type === "aws_default_route_table" || mains.includes(table.address),
      routes: [...localOf(network, vpc, table), ...routes],
      partial,
      place: { file: table.file, pointer: table.pointer },
    };
    network.tables.push(made);
  }
  // A subnet whose association names a table that is not known: its routes are in doubt, not the main table's.
  for (const { subnet, table } of associations) {
    if (subnet === null || (table !== null && network.tables.some(({ id }) => id === table))) continue;
    const place = network.subnets.get(subnet)?.place ?? { file: plan.file, pointer: "" };
    network.tables.push({
      id: table ?? "a table that is not known",
      vpc: null,
      subnets: [subnet],
      main: false,
      routes: [],
      partial: "is not in the plan",
      place,
    });
  }
  const strays = associations.some(({ subnet }) => subnet === null);
  for (const vpc of plan.of("aws_vpc")) {
    if (network.tables.some((table) => table.main && table.vpc === vpc.address)) continue;
    const partial = strays ? "may not be the one: an association names subnets that are not known" : null;
    network.tables.push({
      id: `${vpc.address} (main)`,
      vpc: vpc.address,
      subnets: [],
      main: true,
      routes: localOf(network, vpc.address, vpc),
      partial,
      place: { file: vpc.file, pointer: vpc.pointer },
    });
  }
}

function localOf(network: Network, vpc: string | null, { file, pointer }: PlanResource): Route[] {
  const cidrs = vpc === null ? undefined : network.vpcs.get(vpc)?.cidrs;
  if (cidrs === undefined || cidrs.length === 0) return [];
  return [
    {
      cidrs,
      destination: "the VPC's own prefixes",
      target: { kind: "local", id: "local" },
      rank: 0,
      place: { file, pointer },
    },
  ];
}

/** `at`: the index of a block inside a table; null: a resource of its own. */
function routeOf(
  plan: Plan,
  ids: Ids,
  prefix: Prefix,
  resource: PlanResource,
  value: unknown,
  { file, pointer }: { file: string; pointer: string },
  [v4, v6, list]: readonly [string, string, string],
  at: number | null,
): Route {
  const place = { file, pointer };
  const block = textAt(value, v4) ?? textAt(value, v6);
  const unknown = isUnknownAt(value, v4) || isUnknownAt(value, v6);
  const named = textsAt(value, list).find((text) => text !== "");
  const cidrs = block === null || unknown ? null : prefix(place, block);
  return {
    cidrs,
    destination: block ?? named ?? "a destination that is known only after apply",
    target: plannedTarget(plan, ids, resource, value, at, routeTargetKeys),
    rank: block === null ? 2 : 1,
    place,
  };
}
