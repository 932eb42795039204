/**
 * Which settings `--fix` would set, and to what: those whose right value is no matter of taste, and for runner groups what somebody
 * named. What was not seen is not set. Pure.
 */
import { fieldsOf } from "../checks/settings.ts";
import type { Said } from "../checks/settings.ts";
import { groupPath, groupsOf } from "../groups.ts";
import { findingId } from "../finding.ts";
import type { Finding } from "../finding.ts";
import { adminWrites } from "../settings.ts";
import type { Setting } from "../settings.ts";
import type { OwnerRead } from "../sources/github.ts";
import { valueText } from "./change.ts";
import type { PlannedSetting, Reason, Values } from "./change.ts";

export interface GroupsWanted {
  /** Groups that are to be for selected repositories alone. */
  readonly select: ReadonlySet<string>;
  /** By the path of such a group, the repositories that it lists: those have its runners afterwards. */
  readonly listed: ReadonlyMap<string, Said>;
  /** By group: the workflows that alone may use it, each with its ref. */
  readonly restrict: ReadonlyMap<string, readonly string[]>;
}

export interface SettingsPlanned {
  readonly settings: readonly PlannedSetting[];
  readonly why: ReadonlyMap<string, string>;
}

/** `failing`: what fails and nobody accepted, by id. */
export function planSettings(
  owners: readonly OwnerRead[],
  failing: ReadonlyMap<string, Finding>,
  groups: GroupsWanted,
): SettingsPlanned {
  const why = new Map<string, string>();
  const settings = owners.flatMap((owner) => [
    ...owner.settings.flatMap(({ setting, said }) => planSetting(owner, setting, said.value, failing)),
    ...groupsOf(owner).flatMap((group) => planGroup(owner, group, failing, groups, why)),
  ]);
  return { settings, why };
}

function planSetting(
  { scope, name }: OwnerRead,
  setting: Setting,
  value: unknown,
  failing: ReadonlyMap<string, Finding>,
): PlannedSetting[] {
  const all = fieldsOf(value);
  const { sends } = setting;
  // A field that was not said cannot be sent as it is, nor put back.
  if (all === null || sends === undefined || sends.some((field) => all[field] === undefined)) return [];
  const to: Record<string, unknown> = Object.fromEntries(sends.map((field) => [field, all[field]]));
  const from = { ...to };
  const reasons = setting.fields.flatMap(({ rule, check, name: field, wanted }): Reason[] => {
    const id = findingId(rule, check, name);
    if (wanted === undefined || !failing.has(id)) return [];
    to[field] = wanted;
    return [{ rule, id, subject: name, text: changeText(field, from, to) }];
  });
  if (reasons.length === 0) return [];
  const path = `${scope === "org" ? "orgs" : "repos"}/${name}/${setting.path}`;
  const common = { kind: "setting", method: "PUT", path, scope, subject: name } as const;
  return [{ ...common, from, to, reasons, needs: adminWrites[scope] }];
}

function planGroup(
  { name: org }: OwnerRead,
  group: Values,
  failing: ReadonlyMap<string, Finding>,
  wanted: GroupsWanted,
  why: Map<string, string>,
): PlannedSetting[] {
  const { id: number, name } = group;
  if (typeof name !== "string" || typeof number !== "number") return [];
  const subject = `${org}: runner group ${name}`;
  const from: Record<string, unknown> = { name };
  const to: Record<string, unknown> = { name };
  const reasons: Reason[] = [];
  const set = (rule: Reason["rule"], field: string, value: unknown, no: string | null) => {
    const id = findingId(rule, field.replaceAll("_", "-"), subject);
    if (!failing.has(id)) return false;
    const reason = group["inherited"] === true ? "it is the enterprise's: set it there" : no;
    if (reason !== null) {
      why.set(id, reason);
      return false;
    }
    from[field] = group[field];
    to[field] = value;
    reasons.push({ rule, id, subject, text: changeText(field, from, to) });
    return true;
  };
  set("RG-02", "allows_public_repositories", false, null);
  const path = groupPath(org, number);
  const listed = wanted.listed.get(path) ?? null;
  const unselected = `where its list of repositories is right: --select-group ${JSON.stringify(name)}; others lose the runners`;
  const isSelected = set(
    "RG-03",
    "visibility",
    "selected",
    wanted.select.has(name) ? whyNotSelect(listed) : unselected,
  );
  const workflows = wanted.restrict.get(name);
  const unnamed =
    group["workflow_restrictions_read_only"] === true
      ? "the enterprise restricts it: set it there"
      : workflows === undefined
        ? `say which workflows: --restrict-group ${JSON.stringify(`${name}=OWNER/REPO/.github/workflows/FILE@refs/heads/main`)}`
        : null;
  if (set("RG-04", "restricted_to_workflows", true, unnamed)) {
    from["selected_workflows"] = Array.isArray(group["selected_workflows"]) ? group["selected_workflows"] : [];
    to["selected_workflows"] = workflows;
    // The list that is there is replaced, also where it was not in force.
    const id = findingId("RG-04", "restricted-to-workflows", subject);
    reasons.push({ rule: "RG-04", id, subject, text: changeText("selected_workflows", from, to) });
  }
  if (reasons.length === 0) return [];
  const needs = "admin:org, or Self-hosted runners: write";
  const before = from["visibility"] === "private" ? `every private repository of ${org}` : `every repository of ${org}`;
  const users = isSelected ? { users: { before, after: listed!.value as string[] } } : {};
  return [{ kind: "setting", method: "PATCH", path, scope: "org", subject, from, to, reasons, needs, ...users }];
}

/** Why a group is not made for its listed repositories alone; null: it is. */
function whyNotSelect(listed: Said | null): string | null {
  if (listed === null || !Array.isArray(listed.value))
    return `which repositories it lists was not seen: ${listed?.why ?? "it was not asked"}`;
  return listed.value.length > 0 ? null : "its list is empty, so nobody would have its runners: fill it first";
}

function changeText(field: string, from: Values, to: Values): string {
  return `${field}: ${valueText(from[field])} → ${valueText(to[field])}`;
}
