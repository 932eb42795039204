/** Security groups and network ACLs of a Terraform plan, with the rules that are written inside and beside them. */
import type { Cidr } from "../address/cidr.ts";
import { pointerTo } from "../cloud/json.ts";
import type { Plan, PlanResource } from "../cloud/plan.ts";
import { flagAt, isUnknownAt, listAt, numberAt, own, textAt, textsAt, UNKNOWN } from "../cloud/value.ts";
import { isExact, protocolAt, trafficOf } from "./described.ts";
import type { Acl, AclEntry, GroupRule, SecurityGroup } from "./model.ts";
import type { Ids } from "./planned-ids.ts";

type Prefix = (resource: { file: string; pointer: string }, text: string | null) => Cidr[];

/** All security groups, outbound rules only. */
export function groupsOf(plan: Plan, ids: Ids, prefix: Prefix): SecurityGroup[] {
  const classic = plan.of("aws_security_group_rule").filter(({ values }) => textAt(values, "type") === "egress");
  const beside = [
    ...classic.map((each) => ({
      owner: ids.of(each, "security_group_id"),
      rule: ruleOf(each, each.values, "protocol", prefix),
    })),
    ...plan
      .of("aws_vpc_security_group_egress_rule")
      .map((each) => ({ owner: ids.of(each, "security_group_id"), rule: newRuleOf(each, prefix) })),
  ];
  const homeless = beside.some(({ owner }) => owner === null);
  return plan.of("aws_security_group", "aws_default_security_group").map((group) => {
    const within = listAt(group.values, "egress").map((value, i) =>
      ruleOf(
        { file: group.file, pointer: pointerTo(pointerTo(group.pointer, "egress"), i) },
        value,
        "protocol",
        prefix,
      ),
    );
    // Unknown where nobody wrote a rule inside: Terraform takes AWS's own open rule out and leaves what stands beside.
    const configured = own(group.expressions, "egress") !== undefined;
    const unknown = own(group.values, "egress") === UNKNOWN && configured;
    return {
      id: group.address,
      egress: [...within, ...beside.flatMap(({ owner, rule }) => (owner === group.address ? [rule] : []))],
      partial: unknown
        ? "has rules that are known only after apply"
        : homeless
          ? "may have rules beside it that are not known"
          : null,
      place: { file: group.file, pointer: group.pointer },
    };
  });
}

function ruleOf(
  { file, pointer }: { file: string; pointer: string },
  value: unknown,
  key: string,
  prefix: Prefix,
): GroupRule {
  const place = { file, pointer };
  const texts = [...textsAt(value, "cidr_blocks"), ...textsAt(value, "ipv6_cidr_blocks")];
  const lists = listAt(value, "prefix_list_ids").length > 0;
  const unknown =
    value === UNKNOWN ||
    ["cidr_blocks", "ipv6_cidr_blocks", "prefix_list_ids", key].some((name) => isUnknownAt(value, name));
  const groups = ["security_groups", "source_security_group_id"].some(
    (name) => isUnknownAt(value, name) || textsAt(value, name).length > 0,
  );
  return {
    ...trafficOf(value, key, own(value, "from_port"), own(value, "to_port")),
    cidrs: unknown || lists ? null : texts.flatMap((text) => prefix(place, text)),
    toGroups: groups || flagAt(value, "self") === true,
    place,
  };
}

function newRuleOf(resource: PlanResource, prefix: Prefix): GroupRule {
  const { values, file, pointer } = resource;
  const texts = [textAt(values, "cidr_ipv4"), textAt(values, "cidr_ipv6")];
  const unknown = ["cidr_ipv4", "cidr_ipv6", "prefix_list_id", "ip_protocol"].some((key) => isUnknownAt(values, key));
  const group = "referenced_security_group_id";
  return {
    ...trafficOf(values, "ip_protocol", own(values, "from_port"), own(values, "to_port")),
    cidrs:
      unknown || textAt(values, "prefix_list_id") !== null ? null : texts.flatMap((text) => prefix(resource, text)),
    toGroups: isUnknownAt(values, group) || textAt(values, group) !== null,
    place: { file, pointer },
  };
}

/** All network ACLs, outbound entries only. */
export function aclsOf(plan: Plan, ids: Ids, prefix: Prefix): Acl[] {
  const rules = plan.of("aws_network_acl_rule").map((each) => ({ each, owner: ids.of(each, "network_acl_id") }));
  const associations = plan.of("aws_network_acl_association");
  return plan.of("aws_network_acl", "aws_default_network_acl").map((acl) => {
    const within = listAt(acl.values, "egress").flatMap((value, i) =>
      entryOf(
        { file: acl.file, pointer: pointerTo(pointerTo(acl.pointer, "egress"), i) },
        value,
        ["rule_no", "action"],
        prefix,
      ),
    );
    const beside = rules.flatMap(({ each, owner }) =>
      owner === acl.address && flagAt(each.values, "egress") === true
        ? entryOf(each, each.values, ["rule_number", "rule_action"], prefix)
        : [],
    );
    const subnets = [
      ...(ids.all(acl, acl.values, "subnet_ids") ?? []),
      ...associations.flatMap((each) =>
        ids.of(each, "network_acl_id") === acl.address ? (ids.of(each, "subnet_id") ?? []) : [],
      ),
    ];
    const configured = own(acl.expressions, "egress") !== undefined;
    const unknown = own(acl.values, "egress") === UNKNOWN && configured;
    return {
      id: acl.address,
      vpc: ids.of(acl, "vpc_id") ?? ids.of(acl, "default_network_acl_id"),
      subnets,
      isDefault: acl.type === "aws_default_network_acl",
      entries: [...within, ...beside],
      partial:
        unknown || rules.some(({ owner }) => owner === null) ? "has entries that are known only after apply" : null,
    };
  });
}

function entryOf(
  place: { file: string; pointer: string },
  value: unknown,
  [number, action]: readonly [string, string],
  prefix: Prefix,
): AclEntry[] {
  const allow = textAt(value, action)?.toLowerCase() === "allow";
  const type = numberAt(value, "icmp_type");
  const protocol = protocolAt(value, "protocol");
  // One type of ICMP refused leaves the others: as if it were not there. Zero is what Terraform writes where nobody said a type.
  if (!allow && ["icmp", "1", "icmpv6", "58"].includes(protocol) && type !== null && type !== -1) return [];
  if (!allow && !isExact(value, "protocol", own(value, "from_port"), own(value, "to_port"))) return [];
  const cidrs = [...prefix(place, textAt(value, "cidr_block")), ...prefix(place, textAt(value, "ipv6_cidr_block"))];
  return cidrs.map((cidr) => ({
    ...trafficOf(value, "protocol", own(value, "from_port"), own(value, "to_port")),
    number: numberAt(value, number) ?? 0,
    allow,
    cidr,
  }));
}
