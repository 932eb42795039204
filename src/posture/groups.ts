/**
 * Runner groups that somebody named, and those that there are: a name written wrongly must not come to a plan that does nothing in
 * silence. Pure.
 */
import { SallyportError } from "../errors.ts";
import { fieldsOf } from "./checks/settings.ts";
import type { Said } from "./checks/settings.ts";

/** Whose groups were read; null: it can have none. */
export interface GroupOwner {
  readonly name: string;
  readonly groups: Said | null;
}

/** `orgs/octo/actions/runner-groups/7`. */
export function groupPath(org: string, id: number): string {
  return `orgs/${org}/actions/runner-groups/${id}`;
}

/** An owner's groups as the API lists them; none where it has none or they were not read. */
export function groupsOf({ groups }: GroupOwner): Readonly<Record<string, unknown>>[] {
  const list: unknown[] = Array.isArray(groups?.value) ? groups.value : [];
  return list.map(fieldsOf).filter((each) => each !== null);
}

/** Throws GROUP_UNKNOWN where one of the names is no group's that was read. `option`: who named them. */
export function mustBeGroups(owners: readonly GroupOwner[], option: string, names: readonly string[]): void {
  const orgs = owners.filter(({ groups }) => groups !== null);
  const known = new Set(orgs.flatMap(groupsOf).map(({ name }) => name));
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length === 0) return;
  const said = orgs.map((org) => {
    if (org.groups!.why !== null) return `the groups of ${org.name} were not read: ${org.groups!.why}`;
    const own = groupsOf(org).map(({ name }) => JSON.stringify(name));
    return `${org.name} has ${own.slice(0, 20).join(", ") || "no group"}${own.length > 20 ? ", …" : ""}`;
  });
  const there = said.length === 0 ? "no organisation was looked at, and only those have groups" : said.join("; ");
  throw new SallyportError(
    "GROUP_UNKNOWN",
    `${option} ${unknown.map((name) => JSON.stringify(name)).join(", ")}: there is no such runner group: ${there}.`,
  );
}
