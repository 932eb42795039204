/** Instances and launch templates out of `aws ec2 describe-instances`, `describe-launch-template-versions` and `describe-instance-attribute`. */
import type { Place } from "../cloud/evidence.ts";
import type { JsonFile } from "../cloud/json.ts";
import { flagAt, listAt, numberAt, own, textAt, textsAt } from "../cloud/value.ts";
import type { Machine } from "./model.ts";

/** User data by instance, of `describe-instance-attribute --attribute userData`. */
export function userDataOf(files: readonly JsonFile[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const { value } of files) {
    const id = textAt(value, "InstanceId");
    const data = textAt(own(value, "UserData"), "Value");
    if (id !== null && data !== null) found.set(id, decoded(data));
  }
  return found;
}

/** Null for one that is gone. */
export function machineOf(instance: unknown, place: Place, userData: ReadonlyMap<string, string>): Machine | null {
  const id = textAt(instance, "InstanceId");
  const state = textAt(own(instance, "State"), "Name");
  if (id === null || state === "terminated" || state === "shutting-down") return null;
  return {
    id,
    subnet: textAt(instance, "SubnetId"),
    groups: groupsOf(instance),
    publicAddress: textAt(instance, "PublicIpAddress") !== null,
    metadata: metadataOf(instance),
    // describe-instances does not say.
    userData: userData.get(id),
    place,
  };
}

/** The newest version of each launch template, by the template's id. */
export function newestVersions(files: readonly JsonFile[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const { value } of files) {
    for (const each of listAt(value, "LaunchTemplateVersions")) {
      const id = textAt(each, "LaunchTemplateId") ?? "";
      found.set(id, Math.max(found.get(id) ?? 0, numberAt(each, "VersionNumber") ?? 0));
    }
  }
  return found;
}

/** The versions that are started where nobody names another: the default one, and the newest. Null for others. */
export function templateOf(item: unknown, newest: ReadonlyMap<string, number>, place: Place): Machine | null {
  const id = textAt(item, "LaunchTemplateId");
  const isNewest = id !== null && (numberAt(item, "VersionNumber") ?? 0) === newest.get(id);
  if (id === null || (flagAt(item, "DefaultVersion") !== true && !isNewest)) return null;
  const data = own(item, "LaunchTemplateData");
  const interfaces = listAt(data, "NetworkInterfaces");
  const text = textAt(data, "UserData");
  const metadata = metadataOf(data);
  return {
    id: `${id} version ${numberAt(item, "VersionNumber") ?? "?"}`,
    subnet: interfaces.flatMap((one) => textAt(one, "SubnetId") ?? [])[0] ?? null,
    groups: groupsOf(data),
    publicAddress: interfaces.map((one) => flagAt(one, "AssociatePublicIpAddress")).find((one) => one !== null) ?? null,
    metadata,
    userData: text === null ? null : decoded(text),
    place,
  };
}

function metadataOf(value: unknown): Machine["metadata"] {
  const options = own(value, "MetadataOptions");
  if (options === undefined) return null;
  const tokens = textAt(options, "HttpTokens");
  const endpoint = textAt(options, "HttpEndpoint");
  return {
    enabled: endpoint === null ? null : endpoint !== "disabled",
    tokens: tokens === null ? null : tokens === "required",
    hops: numberAt(options, "HttpPutResponseHopLimit"),
  };
}

function groupsOf(value: unknown): string[] {
  const named = (list: readonly unknown[]) => list.flatMap((one) => textAt(one, "GroupId") ?? []);
  const interfaces = listAt(value, "NetworkInterfaces");
  return [
    ...named(listAt(value, "SecurityGroups")),
    ...textsAt(value, "SecurityGroupIds"),
    ...interfaces.flatMap((one) => [...textsAt(one, "Groups"), ...named(listAt(one, "Groups"))]),
  ];
}

const base64 = /^[A-Za-z0-9+/\s]+={0,2}\s*$/;
const mostText = 1_000_000;

/** User data is base64 in AWS's answers, and often still so in plans; what is no base64 is text already. */
export function decoded(text: string): string {
  const some = text.slice(0, mostText);
  if (!base64.test(some) || some.length < 8) return some;
  return Buffer.from(some, "base64").toString("utf8");
}
