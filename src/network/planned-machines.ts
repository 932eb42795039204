/** Instances and launch templates of a Terraform plan; a template stands in the subnets of the groups that start it. */
import type { Plan, PlanResource } from "../cloud/plan.ts";
import { flagAt, isUnknownAt, listAt, numberAt, own, textAt, UNKNOWN } from "../cloud/value.ts";
import { decoded } from "./described-machine.ts";
import type { Machine } from "./model.ts";
import type { Ids } from "./planned-ids.ts";

export function machinesOf(plan: Plan, ids: Ids): Machine[] {
  const instances = plan.of("aws_instance", "aws_spot_instance_request").map((each) => {
    const interfaces = plan
      .of("aws_network_interface")
      .filter((one) => (plan.referred(each, "network_interface") ?? []).includes(one));
    const groups = [
      ...(ids.all(each, each.values, "vpc_security_group_ids") ?? [`${each.address}: groups that are not known`]),
      ...interfaces.flatMap((one) => ids.all(one, one.values, "security_groups") ?? []),
    ];
    const subnet =
      ids.of(each, "subnet_id") ??
      interfaces.map((one) => ids.of(one, "subnet_id")).find((one) => one !== null) ??
      null;
    return machine(each, subnet, groups, flagAt(each.values, "associate_public_ip_address"));
  });
  const templates = plan.of("aws_launch_template").flatMap((each) => {
    const blocks = listAt(each.values, "network_interfaces");
    const groups = [
      ...(ids.all(each, each.values, "vpc_security_group_ids") ?? [`${each.address}: groups that are not known`]),
      ...blocks.flatMap(
        (block, i) =>
          ids.all(each, block, "network_interfaces", i, "security_groups") ?? [
            `${each.address}: groups that are not known`,
          ],
      ),
    ];
    const own = blocks.flatMap((block, i) => ids.all(each, block, "network_interfaces", i, "subnet_id") ?? []);
    const starting = plan
      .of("aws_autoscaling_group")
      .filter((group) => names(plan, group, each))
      .flatMap((group) => ids.all(group, group.values, "vpc_zone_identifier") ?? []);
    const publicAddress = blocks.map((block) => publicOf(block)).find((one) => one !== null) ?? null;
    const subnets = [...new Set([...own, ...starting])];
    return (subnets.length === 0 ? [null] : subnets).map((subnet) => machine(each, subnet, groups, publicAddress));
  });
  return [...instances, ...templates];
}

function publicOf(block: unknown): boolean | null {
  const value = own(block, "associate_public_ip_address");
  return value === true || value === "true" ? true : value === false || value === "false" ? false : null;
}

function names(plan: Plan, group: PlanResource, template: PlanResource): boolean {
  const blocks = own(group.expressions, "launch_template");
  const count = Array.isArray(blocks) ? blocks.length : 0;
  return Array.from({ length: Math.min(count, 16) }, (_, i) =>
    ["id", "name"].some((key) => plan.referred(group, "launch_template", i, key)?.includes(template)),
  ).includes(true);
}

function machine(
  resource: PlanResource,
  subnet: string | null,
  groups: readonly string[],
  publicAddress: boolean | null,
): Machine {
  const { values, file, pointer, address } = resource;
  const written = own(values, "metadata_options");
  const block = listAt(values, "metadata_options")[0];
  const unknown = written === UNKNOWN || block === undefined;
  const tokens = textAt(block, "http_tokens");
  const endpoint = textAt(block, "http_endpoint");
  return {
    id: address,
    subnet,
    groups,
    publicAddress,
    metadata: unknown
      ? null
      : {
          enabled: endpoint === null ? (isUnknownAt(block, "http_endpoint") ? null : true) : endpoint !== "disabled",
          tokens: tokens === null ? null : tokens === "required",
          hops: numberAt(block, "http_put_response_hop_limit"),
        },
    userData: userDataOf(resource),
    place: { file, pointer },
  };
}

/** Older providers plan the SHA-1 of the text: then what the configuration says, where it says a constant. */
function userDataOf({ values, expressions }: PlanResource): string | null | undefined {
  const keys = ["user_data", "user_data_base64"];
  const text = keys.map((key) => textAt(values, key)).find((each) => each !== null) ?? null;
  if (text !== null && !/^[0-9a-f]{40}$/.test(text)) return decoded(text);
  const constant = keys.map((key) => textAt(own(expressions, key), "constant_value")).find((each) => each !== null);
  if (constant !== undefined) return decoded(constant);
  return text !== null || keys.some((key) => isUnknownAt(values, key)) ? undefined : null;
}
