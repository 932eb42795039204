/** Posts the adoption as an issue, or replaces the text of the one there is: never a second one, as far as GitHub shows them. */
import { SallyportError } from "../../errors.ts";
import { issuesOf, planIssue } from "../adoption/issue.ts";
import type { IssuePlan, IssueSeen } from "../adoption/issue.ts";
import type { AdoptionReport } from "../adoption/markdown.ts";
import { fieldsOf } from "../checks/settings.ts";
import { isRefused } from "../sources/github-client.ts";
import type { Answer, GithubClient, Refused } from "../sources/github-client.ts";

/** `author`: whose issues are ours, where the token cannot say who it is; null: nobody knows. Throws ISSUE_REFUSED. */
export async function authorOf(client: GithubClient, author: string | null): Promise<string> {
  const said = await client.get("user");
  const login = isRefused(said) ? null : fieldsOf(said.value)?.["login"];
  if (typeof login === "string") return login;
  if (author !== null) return author;
  const why = isRefused(said) ? said.why : "it says no login";
  throw new SallyportError("ISSUE_REFUSED", `whose the token is was not seen (${why}), so our issue cannot be told.`);
}

/** Throws ISSUE_REFUSED where the list cannot be read whole: without it, a second issue might be made. */
async function found(client: GithubClient, repository: string, marker: string, author: string): Promise<IssueSeen[]> {
  // How a list names an app as the creator is not written down; asked for so, it might be empty, and a second issue made.
  const query = { state: "all", ...(author.endsWith("[bot]") ? {} : { creator: author }) };
  const list = needed(await client.list(`repos/${repository}/issues`, null, query), repository);
  return issuesOf(list as unknown[], marker, author);
}

/** What is to be done; changes nothing. Throws ISSUE_REFUSED. */
export async function issueToDo(
  client: GithubClient,
  repository: string,
  report: AdoptionReport,
  author: string,
): Promise<IssuePlan> {
  return planIssue(await found(client, repository, report.marker, author), report);
}

/** Does it; the issue's number. Throws ISSUE_REFUSED. */
export async function postIssue(
  client: GithubClient,
  repository: string,
  report: AdoptionReport,
  author: string,
  plan: IssuePlan,
): Promise<number> {
  const { title, body, marker } = report;
  const path = `repos/${repository}/issues`;
  if (plan.kind === "same") return plan.number;
  if (plan.kind === "update") {
    needed(await client.send("PATCH", `${path}/${plan.number}`, { title, body }), repository);
    return plan.number;
  }
  const number = fieldsOf(needed(await client.send("POST", path, { title, body }), repository))?.["number"];
  if (typeof number !== "number")
    throw new SallyportError("ISSUE_REFUSED", `GitHub took the issue for ${repository} and said no number.`);
  const all = await found(client, repository, marker, author);
  const [first] = all;
  if (first === undefined || first.number === number || !all.some((each) => each.number === number)) return number;
  // Another run was there between our look and our post: its issue stays.
  needed(await client.send("PATCH", `${path}/${number}`, { state: "closed", state_reason: "not_planned" }), repository);
  needed(await client.send("PATCH", `${path}/${first.number}`, { title, body }), repository);
  return first.number;
}

function needed(answer: Answer | Refused, repository: string): unknown {
  if (!isRefused(answer)) return answer.value;
  throw new SallyportError("ISSUE_REFUSED", `issues of ${repository}: ${answer.endpoint}: ${answer.why}.`);
}
