/**
 * Ways around a route table that AWS itself keeps open: its resolver (VPC+2, 169.254.169.253, fd00:ec2::253), which no security group,
 * ACL or route closes; service endpoints, whose policies allow every account's buckets unless somebody wrote one; the metadata service
 * of machines, and what stands in their user data.
 */
import { isFields, listAt, own, shown, textAt, textsAt } from "../cloud/value.ts";
import type { Say } from "./finding.ts";
import type { Endpoint, Machine, Network, Subnet } from "./model.ts";
import { secretIn } from "./secret.ts";

/** Judges Amazon's resolver in the subnet's VPC. */
export function judgeResolver(network: Network, subnet: Subnet, say: Say): void {
  const vpc = subnet.vpc === null ? undefined : network.vpcs.get(subnet.vpc);
  const place = vpc?.place ?? subnet.place;
  if (vpc?.resolver === false) {
    say("resolver", subnet.id, place, "Amazon's resolver is switched off in the VPC", "", { outcome: "pass" });
    return;
  }
  const where = "Amazon's resolver (VPC+2, 169.254.169.253) answers any name";
  const fix =
    "Switch it off (enableDnsSupport) and use the gateway's, or put a Route 53 Resolver DNS Firewall that blocks by default before it.";
  if (network.dnsFirewalls === null)
    say(
      "resolver",
      subnet.id,
      place,
      `${where}, past routes, security groups and ACLs, unless a DNS Firewall does not; none was given`,
      `${fix} To judge one, give aws route53resolver list-firewall-rule-group-associations.`,
      { outcome: "unknown" },
    );
  else if (subnet.vpc === null || !network.dnsFirewalls.has(subnet.vpc))
    say("resolver", subnet.id, place, `${where}, past routes, security groups and ACLs: data leaves in names`, fix);
  else
    say(
      "resolver",
      subnet.id,
      place,
      "a DNS Firewall stands before Amazon's resolver; whether it refuses all but the allowlist is in its domain lists",
      "See that its last rule blocks *.",
      { outcome: "unknown", severity: "low" },
    );
}

/** Judges the endpoints of the subnet's VPC. */
export function judgeEndpoints(network: Network, subnet: Subnet, say: Say): void {
  for (const endpoint of network.endpoints) {
    if (endpoint.kind === "firewall" || endpoint.vpc === null || endpoint.vpc !== subnet.vpc) continue;
    const name = `${shown(endpoint.service)} endpoint ${shown(endpoint.id)}`;
    const fix = "Give it a policy that allows your own resources alone (aws:ResourceAccount or aws:ResourceOrgID).";
    const open = openness(endpoint);
    if (open === "unknown")
      say(
        "endpoint-policy",
        endpoint.id,
        endpoint.place,
        `the policy of the ${name} is not known`,
        "Give describe-vpc-endpoints, after apply.",
        { outcome: "unknown" },
      );
    else if (open === "closed")
      say("endpoint-policy", endpoint.id, endpoint.place, `the ${name} allows named resources`, "", {
        outcome: "pass",
      });
    else
      say(
        "endpoint-policy",
        endpoint.id,
        endpoint.place,
        `the ${name} allows everybody's resources, past the firewall: data leaves into another account's`,
        fix,
      );
  }
}

/** Keys that say whose resource it is. */
const owning = /^(?:aws:resourceaccount|aws:resourceorgid|aws:resourceorgpaths|s3:resourceaccount)$/i;

function openness({ policy }: Endpoint): "open" | "closed" | "unknown" {
  if (policy === null) return "open";
  let document: unknown = policy;
  if (typeof document === "string") {
    try {
      document = JSON.parse(document) as unknown;
    } catch {
      return "unknown";
    }
  }
  const written = own(document, "Statement");
  if (!isFields(document) || written === undefined) return "unknown";
  const statements: readonly unknown[] = Array.isArray(written) ? written : [written];
  const allowing = statements.filter((each) => textAt(each, "Effect") === "Allow");
  return allowing.some(isOpen) ? "open" : "closed";
}

/** An allowing statement for resources that nobody's account or name limits. */
function isOpen(statement: unknown): boolean {
  if (own(statement, "NotResource") !== undefined) return true;
  const wide = textsAt(statement, "Resource").some((resource) =>
    /^(?:arn:[^:]*:[^:]*:[^:]*:[^:]*:)?[*?]+(?:\/[*?]*)?$/.test(resource),
  );
  const conditions = own(statement, "Condition");
  const limited =
    isFields(conditions) &&
    Object.entries(conditions).some(
      ([operator, keys]) =>
        /^(?:ForAnyValue:)?(?:String(?:Equals|Like)|StringEqualsIgnoreCase)$/i.test(operator) &&
        isFields(keys) &&
        Object.keys(keys).some(
          (key) =>
            owning.test(key) &&
            !textsAt(keys, key).some((value) => /^[*?]+$/.test(value)) &&
            (listAt(keys, key).length > 0 || textAt(keys, key) !== null),
        ),
    );
  return wide && !limited;
}

/** Judges one machine or template: its metadata service, and secrets in its user data. */
export function judgeMachine(machine: Machine, say: Say): void {
  const { id, metadata, place, userData } = machine;
  if (userData === undefined)
    say(
      "user-data",
      id,
      place,
      "what is in its user data is not known",
      "Give aws ec2 describe-instance-attribute --attribute userData, or the launch template's version.",
      { outcome: "unknown", severity: "medium" },
    );
  const secret = userData === null || userData === undefined ? null : secretIn(userData);
  if (secret === null && userData !== undefined)
    say("user-data", id, place, "its user data has no secret of a known kind", "", { outcome: "pass" });
  if (secret !== null)
    say(
      "user-data",
      id,
      place,
      `user data has ${secret}, which every job reads from the metadata service`,
      "Fetch a registration by the machine's role when it starts, for one job (a JIT configuration), and give the job none of it.",
    );
  if (metadata === null || metadata.enabled === null) {
    if (metadata === null || metadata.tokens === null)
      say(
        "metadata-tokens",
        id,
        place,
        "how its metadata service is set is not known: the account's or the image's default decides",
        "Set http_tokens to required and the hop limit to 1.",
        { outcome: "unknown" },
      );
  }
  if (metadata === null) return;
  if (metadata.enabled === false) {
    say("metadata-tokens", id, place, "its metadata service is off", "", { outcome: "pass" });
    return;
  }
  if (metadata.tokens === false)
    say(
      "metadata-tokens",
      id,
      place,
      "its metadata service answers without a token (IMDSv1): one request forgery reads the role's credentials",
      "Set http_tokens to required.",
    );
  else if (metadata.tokens === true)
    say("metadata-tokens", id, place, "its metadata service asks for a token", "", { outcome: "pass" });
  if (metadata.hops === null)
    say(
      "metadata-hops",
      id,
      place,
      "the hop limit of its metadata service is not known",
      "Set http_put_response_hop_limit to 1.",
      { outcome: "unknown" },
    );
  else if (metadata.hops > 1)
    say(
      "metadata-hops",
      id,
      place,
      `its metadata service answers over ${metadata.hops} hops, so to containers of jobs as well`,
      "Set http_put_response_hop_limit to 1.",
    );
  else say("metadata-hops", id, place, "its metadata service answers the machine alone", "", { outcome: "pass" });
}
