/** Terraform plans in the shape of `terraform show -json`, from a short list of resources; for tests. */

export interface Planned {
  type: string;
  name: string;
  /** `[0]`. */
  index?: string;
  /** `module.net`. */
  module?: string;
  data?: boolean;
  values?: Record<string, unknown>;
  /** `after_unknown`. */
  unknown?: Record<string, unknown>;
  /** References by attribute, or whole expressions where the value is an object or an array. */
  refs?: Record<string, unknown>;
}

const ref = (value: unknown): unknown =>
  typeof value === "string" ? { references: [value, value.split(".").slice(0, 2).join(".")] } : value;

/** `calls`: the expressions that a module is called with, and its outputs' references. */
export function plan(
  resources: readonly Planned[],
  calls: Record<string, { expressions?: Record<string, string>; outputs?: Record<string, string> }> = {},
): unknown {
  const bare = ({ type, name, data }: Planned) => `${data === true ? "data." : ""}${type}.${name}`;
  const configured = (module: string | undefined) => {
    const own = new Map(resources.filter((each) => each.module === module).map((each) => [bare(each), each]));
    return [...own.values()].map((each) => ({
      address: bare(each),
      mode: each.data === true ? "data" : "managed",
      type: each.type,
      name: each.name,
      expressions: Object.fromEntries(Object.entries(each.refs ?? {}).map(([key, value]) => [key, ref(value)])),
    }));
  };
  return {
    format_version: "1.2",
    terraform_version: "1.11.4",
    planned_values: { root_module: {} },
    resource_changes: resources.map((each) => ({
      address: `${each.module === undefined ? "" : `${each.module}.`}${bare(each)}${each.index ?? ""}`,
      mode: each.data === true ? "data" : "managed",
      type: each.type,
      name: each.name,
      change: {
        actions: [each.data === true ? "read" : "create"],
        before: null,
        after: each.values ?? {},
        after_unknown: { id: true, arn: true, ...each.unknown },
      },
    })),
    configuration: {
      root_module: {
        resources: configured(undefined),
        module_calls: Object.fromEntries(
          Object.entries(calls).map(([name, { expressions = {}, outputs = {} }]) => [
            name,
            {
              expressions: Object.fromEntries(Object.entries(expressions).map(([key, value]) => [key, ref(value)])),
              module: {
                resources: configured(`module.${name}`),
                outputs: Object.fromEntries(
                  Object.entries(outputs).map(([key, value]) => [key, { expression: ref(value) }]),
                ),
              },
            },
          ]),
        ),
      },
    },
  };
}

const trust = (service: string) =>
  JSON.stringify({ Statement: [{ Effect: "Allow", Principal: { Service: service }, Action: "sts:AssumeRole" }] });

/** A runner in a subnet whose default route goes to `target`, an expression of `aws_route` and its reference. */
export function runner(
  target: [string, string, string],
  changes: { group?: Record<string, unknown>; machine?: Record<string, unknown>; vpc?: Record<string, unknown> } = {},
): Planned[] {
  const [key, type, name] = target;
  return [
    { type: "aws_vpc", name: "ci", values: { cidr_block: "10.0.0.0/16", enable_dns_support: false, ...changes.vpc } },
    {
      type: "aws_subnet",
      name: "runner",
      values: { cidr_block: "10.0.1.0/24", map_public_ip_on_launch: false },
      unknown: { vpc_id: true, ipv6_cidr_block_association_id: true },
      refs: { vpc_id: "aws_vpc.ci.id" },
    },
    { type, name, values: {}, refs: { vpc_id: "aws_vpc.ci.id" }, unknown: { vpc_id: true } },
    {
      type: "aws_route_table",
      name: "runner",
      values: {},
      unknown: { vpc_id: true, route: true },
      refs: { vpc_id: "aws_vpc.ci.id" },
    },
    {
      type: "aws_route",
      name: "default",
      values: { destination_cidr_block: "0.0.0.0/0" },
      unknown: { route_table_id: true, [key]: true },
      refs: {
        route_table_id: "aws_route_table.runner.id",
        destination_cidr_block: { constant_value: "0.0.0.0/0" },
        [key]: `${type}.${name}.id`,
      },
    },
    {
      type: "aws_route_table_association",
      name: "runner",
      unknown: { subnet_id: true, route_table_id: true },
      refs: { subnet_id: "aws_subnet.runner.id", route_table_id: "aws_route_table.runner.id" },
    },
    {
      type: "aws_security_group",
      name: "runner",
      values: {
        egress: [
          {
            protocol: "tcp",
            from_port: 443,
            to_port: 443,
            cidr_blocks: ["203.0.113.0/24"],
            ipv6_cidr_blocks: [],
            security_groups: [],
            prefix_list_ids: [],
            self: false,
          },
        ],
        ...changes.group,
      },
      unknown: { vpc_id: true },
      refs: { vpc_id: "aws_vpc.ci.id", egress: [{}] },
    },
    {
      type: "aws_instance",
      name: "runner",
      values: {
        metadata_options: [{ http_tokens: "required", http_put_response_hop_limit: 1, http_endpoint: "enabled" }],
        user_data: null,
        associate_public_ip_address: false,
        ...changes.machine,
      },
      unknown: { subnet_id: true, vpc_security_group_ids: true },
      refs: { subnet_id: "aws_subnet.runner.id", vpc_security_group_ids: "aws_security_group.runner.id" },
    },
  ];
}

/** A role that machines get, with further resources that name it. */
export function machineRole(more: readonly Planned[] = [], role: Record<string, unknown> = {}): Planned[] {
  return [
    {
      type: "aws_iam_role",
      name: "runner",
      values: { name: "runner", assume_role_policy: trust("ec2.amazonaws.com"), permissions_boundary: null, ...role },
    },
    {
      type: "aws_iam_instance_profile",
      name: "runner",
      values: { name: "runner", role: "runner" },
      refs: { role: "aws_iam_role.runner.name" },
    },
    ...more,
  ];
}
