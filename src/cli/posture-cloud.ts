/** The cloud around runners in `sallyport posture`: files of AWS's answers and of plans, judged here and asked of nobody. */
import { isCidrDefect, parseCidr } from "../address/cidr.ts";
import { writeAtomically } from "../baseline/write.ts";
import { SallyportError } from "../errors.ts";
import { checkCloud } from "../posture/cloud/check.ts";
import { subnetPicture } from "../posture/cloud/picture.ts";
import type { Finding } from "../posture/finding.ts";
import type { SourceSeen } from "../posture/report/report.ts";
import { readCloudFiles } from "../posture/sources/cloud-files.ts";
import { loadIamCatalogue } from "../posture/sources/iam-catalogue.ts";
import type { CloudFlags } from "./posture-cloud-options.ts";

/** Findings about the files, and what was looked at. Throws CLOUD_UNREADABLE and FILE_UNWRITABLE. */
export async function judgeCloud(
  flags: CloudFlags & { readonly apiUrl?: string },
): Promise<{ findings: Finding[]; sources: SourceSeen[]; target: string | null }> {
  const {
    iam = [],
    network = [],
    plan = [],
    scp = [],
    subnet = [],
    role = [],
    account = [],
    firewall = [],
    reach = [],
  } = flags;
  const named = [...iam, ...network, ...plan];
  if (named.length === 0) {
    const idle = {
      scp,
      subnet,
      role,
      account,
      firewall,
      reach,
      picture: flags.picture === undefined ? [] : [flags.picture],
    };
    const given = Object.entries(idle).find(([, values]) => values.length > 0);
    if (given !== undefined)
      throw new SallyportError("USAGE", `--${given[0]} says nothing without --iam, --network or --plan.`);
    return { findings: [], sources: [], target: null };
  }
  for (const each of account)
    if (!/^\d{12}$/.test(each)) throw new SallyportError("CLOUD_UNREADABLE", `--account ${each} is not twelve digits.`);
  for (const each of reach) {
    const cidr = parseCidr(each);
    if (isCidrDefect(cidr)) throw new SallyportError("CLOUD_UNREADABLE", `--reach: ${cidr.message}. ${cidr.fix}`);
  }
  const files = {
    iam: readCloudFiles(iam),
    network: readCloudFiles(network),
    plan: readCloudFiles(plan),
    controls: readCloudFiles(scp),
  };
  // A plan has roles as well.
  const catalogue = iam.length + plan.length > 0 ? await loadIamCatalogue() : null;
  // Whose jobs these are is whose API is named; github.com's own issuer needs no name.
  const servers = [URL.parse(flags.apiUrl ?? "")?.hostname ?? ""].filter(
    (host) => host !== "" && host !== "api.github.com",
  );
  const lists = { servers, subnets: subnet, roles: role, accounts: account, firewalls: firewall, destinations: reach };
  const { findings, subnets, leftOut, roles, resources, controls } = checkCloud({ ...files, ...lists, catalogue });
  if (flags.picture !== undefined) drawFirst(flags.picture, subnets, lists);
  const more = leftOut === 0 ? "" : `; ${leftOut} roles and users that CI cannot get are left out (--role names them)`;
  const text = `${subnets.length === 0 ? "no subnet" : subnets.map((each) => each.subnet.id).join(", ")}${more}`;
  return {
    findings,
    sources: [
      { name: `cloud files ${[...named, ...scp].join(", ")}`, seen: true, text },
      // They can only take away, and only add: what was found stands, and is not known to be all.
      ...(roles > 0 && scp.length === 0 ? [controlsSeen(controls)] : []),
      ...(roles > 0 && resources === 0
        ? [
            {
              name: "policies of resources",
              seen: false,
              text: "none was given (--iam takes them): one may give a role more",
            },
          ]
        : []),
    ],
    target: named.join(", "),
  };
}

/** What is known of control policies where nobody gave any: seen where each in the plans, and of each role, has its place. */
function controlsSeen({ planned, over, without }: ReturnType<typeof checkCloud>["controls"]): SourceSeen {
  const name = "control policies";
  if (planned === 0) return { name, seen: false, text: "none was given (--scp): one may refuse what is found" };
  const more = [
    ...(over < planned ? ["that one is over the others' accounts the plan does not show"] : []),
    ...(without > 0 ? [`over ${without} of the roles none is shown to stand, and one may`] : []),
  ];
  const rest = more.length === 0 ? "" : `; ${more.join("; ")}: --scp takes a plan, too, for all that are`;
  return { name, seen: more.length === 0, text: `${over} of ${planned} in plans deny something to a role${rest}` };
}

function drawFirst(
  path: string,
  [first]: ReturnType<typeof checkCloud>["subnets"],
  { firewalls, destinations }: { firewalls: readonly string[]; destinations: readonly string[] },
): void {
  if (first === undefined)
    throw new SallyportError("CLOUD_UNREADABLE", "--picture: no subnet to draw; name it with --subnet.");
  const prefixes = destinations.map(parseCidr).flatMap((each) => (isCidrDefect(each) ? [] : [each]));
  writeAtomically(path, subnetPicture(first, { firewalls, destinations: prefixes }));
}
