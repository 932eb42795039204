/** What runner groups list, asked before a plan is made: a group must not be closed to everybody unseen. */
import { fieldsOf } from "../checks/settings.ts";
import type { Said } from "../checks/settings.ts";
import { groupPath, groupsOf } from "../groups.ts";
import type { GroupOwner } from "../groups.ts";
import { isRefused } from "./github-client.ts";
import type { GithubClient } from "./github-client.ts";

/**
 * The names of the repositories that each named group lists, by the group's path; it is asked only for groups that are not for their
 * listed repositories alone already. Never throws for what GitHub answers.
 */
export async function readListed(
  client: GithubClient,
  owners: readonly GroupOwner[],
  names: ReadonlySet<string>,
): Promise<Map<string, Said>> {
  const found = new Map<string, Said>();
  for (const owner of owners)
    for (const { id, name, visibility } of groupsOf(owner)) {
      if (typeof id !== "number" || !names.has(String(name)) || visibility === "selected") continue;
      const path = groupPath(owner.name, id);
      const answer = await client.list(`${path}/repositories`, "repositories");
      found.set(path, saidOf(answer));
    }
  return found;
}

function saidOf(answer: Awaited<ReturnType<GithubClient["list"]>>): Said {
  const { endpoint } = answer;
  if (isRefused(answer)) return { endpoint, value: null, why: answer.why };
  const list = (answer.value as unknown[]).map((each) => fieldsOf(each)?.["full_name"]);
  const isWhole = list.every((each) => typeof each === "string");
  return isWhole
    ? { endpoint, value: list.toSorted(), why: null }
    : { endpoint, value: null, why: "the answer has repositories without a name" };
}
