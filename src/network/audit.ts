/** One subnet's network judged, from the model to evidence; and what a picture of it needs. */
import { bounded } from "../cloud/json.ts";
import type { Trouble } from "../cloud/json.ts";
import { shown } from "../cloud/value.ts";
import { sayer } from "./finding.ts";
import type { NetworkEvidence } from "./finding.ts";
import { judgeReaches } from "./judge.ts";
import type { Reviewed } from "./judge.ts";
import type { Network, RouteTable, SecurityGroup, Subnet } from "./model.ts";
import { mostRules, Permits } from "./permits.ts";
import { aclOf, reachOf, tableOf } from "./reach.ts";
import type { Reach } from "./reach.ts";
import { judgeEndpoints, judgeMachine, judgeResolver } from "./services.ts";

export interface SubnetAudit {
  readonly subnet: Subnet;
  readonly table: RouteTable | null;
  readonly reaches: readonly Reach[];
  /** What is said of ways that no route decides: the resolver, service endpoints, the metadata of its machines. */
  readonly beside: readonly NetworkEvidence[];
}

export interface NetworkAudit {
  readonly evidence: NetworkEvidence[];
  readonly subnets: SubnetAudit[];
}

/** Routes of one table that are judged: AWS allows a thousand. */
const mostRoutes = 5000;

/**
 * Judges the runners' subnets. `wanted` are ids or addresses; empty: the subnets that machines stand in, or the only one there is.
 * Which those are is never guessed among several: then it is said.
 */
export function auditNetwork(
  network: Network,
  troubles: readonly Trouble[],
  wanted: readonly string[],
  reviewed: Reviewed,
): NetworkAudit {
  const evidence: NetworkEvidence[] = [];
  const say = sayer(evidence);
  for (const { file, pointer, message, fix } of bounded(troubles))
    say("unreadable", file, { file, pointer }, shown(message, 300), fix, { outcome: "unknown" });
  const chosen = chooseSubnets(network, wanted, say);
  const subnets = chosen.map((subnet): SubnetAudit => {
    const table = tableOf(network, subnet.id);
    const machines = network.machines.filter(
      (each) => each.subnet === subnet.id || (each.subnet === null && chosen.length === 1),
    );
    const groups = groupsOf(
      network,
      machines.flatMap((each) => each.groups),
    );
    const acl = aclOf(network, subnet.id);
    const vpc = subnet.vpc === null ? undefined : network.vpcs.get(subnet.vpc);
    const local =
      vpc?.cidrs ?? table?.routes.flatMap(({ target, cidrs }) => (target.kind === "local" ? (cidrs ?? []) : [])) ?? [];
    const rules = (groups ?? []).reduce((sum, { egress }) => sum + egress.length, 0) + (acl?.entries.length ?? 0);
    const tooMany = rules > mostRules || (table?.routes.length ?? 0) > mostRoutes;
    const reaches = tooMany ? null : reachOf(network, subnet, new Permits(groups, acl, local));
    if (tooMany)
      say(
        "unreadable",
        subnet.id,
        subnet.place,
        "has more rules or routes than AWS allows",
        "Give the files as AWS answered.",
        { outcome: "unknown" },
      );
    else if (table === null || reaches === null)
      say(
        "way-out-unknown",
        subnet.id,
        subnet.place,
        "no route table is known for the subnet",
        "Give describe-route-tables with the VPC's main table.",
        { outcome: "unknown" },
      );
    else {
      const before = evidence.length;
      judgeReaches(network, subnet, table, reaches, reviewed, say);
      const said = new Set(evidence.slice(before).map(({ check }) => check));
      if (!said.has("internal-route") && !said.has("internal-neighbours") && !said.has("way-out-unknown"))
        say("internal-route", subnet.id, table.place, "no route leads to internal networks", "", { outcome: "pass" });
      if (!said.has("way-out") && !said.has("way-out-ipv6") && !said.has("way-out-unknown"))
        say("way-out", subnet.id, table.place, "no route leads out but to the firewall", "", { outcome: "pass" });
    }
    const routed = evidence.length;
    judgeResolver(network, subnet, say);
    judgeEndpoints(network, subnet, say);
    for (const machine of machines) judgeMachine(machine, say);
    return { subnet, table, reaches: reaches ?? [], beside: evidence.slice(routed) };
  });
  // A template that says no subnet, beside several subnets: which it is used in is not known, its own settings are.
  if (chosen.length !== 1)
    for (const machine of network.machines) if (machine.subnet === null) judgeMachine(machine, say);
  return { evidence, subnets };
}

/** Null: none is known, or one that is named is not, so that nothing is known to be closed. */
function groupsOf(network: Network, ids: readonly string[]): SecurityGroup[] | null {
  const found = [...new Set(ids)].map((id) => network.groups.get(id));
  return found.length === 0 || !found.every((group) => group !== undefined) ? null : found;
}

function chooseSubnets(network: Network, wanted: readonly string[], say: ReturnType<typeof sayer>): Subnet[] {
  const all = [...network.subnets.values()];
  const nowhere = { file: all[0]?.place.file ?? network.tables[0]?.place.file ?? "", pointer: "" };
  if (wanted.length > 0) {
    return wanted.flatMap((id) => {
      const found = all.filter(
        (subnet) => subnet.id === id || subnet.name === id || subnet.id.replaceAll(/\[[^\]]*\]/g, "") === id,
      );
      if (found.length === 0)
        say(
          "no-subnet",
          shown(id),
          nowhere,
          "is a subnet that no file has",
          "Check the id, and give describe-subnets.",
          { outcome: "unknown" },
        );
      return found;
    });
  }
  const used = new Set(network.machines.flatMap(({ subnet }) => subnet ?? []));
  const withMachines = all.filter(({ id }) => used.has(id));
  if (withMachines.length > 0) return withMachines;
  if (all.length === 1) return all;
  if (all.length > 0 || network.tables.length > 0)
    say(
      "no-subnet",
      "network",
      nowhere,
      `which of ${all.length} subnets the runners stand in is not known`,
      "Name it with --subnet.",
      { outcome: "unknown" },
    );
  return [];
}
