/** Posts the adoption as an issue, or replaces the text of the one there is: never a second one, as far as GitHub shows them. */
import { SallyportError } from "../../errors.ts";
import { isSameLogin, issueOfOtherBot, issuesOf, planIssue } from "../adoption/issue.ts";
import type { IssuePlan } from "../adoption/issue.ts";
import type { AdoptionReport } from "../adoption/markdown.ts";
import { fieldsOf } from "../checks/settings.ts";
import { isRefused } from "../sources/github-client.ts";
import { visibilityOf } from "../sources/github.ts";
import type { Answer, GithubClient, Refused } from "../sources/github-client.ts";

/**
 * Whose issues are ours. `named`: as somebody said (--issue-author), null: nobody did; `usual`: who it is where the token cannot say,
 * null: nobody knows. An app's token never can. Throws ISSUE_REFUSED.
 */
export async function authorOf(client: GithubClient, named: string | null, usual: string | null): Promise<string> {
  const said = await client.get("user");
  const login = isRefused(said) ? null : fieldsOf(said.value)?.["login"];
  if (typeof login === "string") {
    if (named === null || isSameLogin(login, named)) return login;
    throw new SallyportError("ISSUE_REFUSED", `the token is ${login}'s, and --issue-author says ${named}.`);
  }
  const author = named ?? usual;
  if (author !== null) return author;
  const why = isRefused(said) ? said.why : "it says no login";
  throw new SallyportError(
    "ISSUE_REFUSED",
    `whose the token is was not seen (${why}), so our issue cannot be told: say --issue-author, APP[bot] for an app's.`,
  );
}

/** Throws ISSUE_REFUSED where the list cannot be read whole: without it, a second issue might be made. */
async function listed(client: GithubClient, repository: string, author: string): Promise<unknown[]> {
  // How a list names an app as the creator is not written down; asked for so, it might be empty, and a second issue made.
  const query = { state: "all", ...(author.endsWith("[bot]") ? {} : { creator: author }) };
  return needed(await client.list(`repos/${repository}/issues`, null, query), repository) as unknown[];
}

/** What is to be done; changes nothing. Throws ISSUE_REFUSED. */
export async function issueToDo(
  client: GithubClient,
  repository: string,
  report: AdoptionReport,
  author: string,
): Promise<IssuePlan> {
  const list = await listed(client, repository, author);
  const plan = planIssue(issuesOf(list, report.marker, author), report);
  const other = plan.kind === "create" ? issueOfOtherBot(list, report.marker, author) : null;
  if (other === null) return plan;
  throw new SallyportError(
    "ISSUE_REFUSED",
    `${repository}#${other.number} has this report and is ${other.login}'s, not ${author}'s: say --issue-author ${other.login} where the token is its, else take the first line out of that issue.`,
  );
}

/**
 * Whether everybody may read the issue: of a public repository, and of one that does not say what it is. Throws ISSUE_REFUSED where
 * the repository cannot be seen.
 */
export async function isPublic(client: GithubClient, repository: string): Promise<boolean> {
  const fields = fieldsOf(needed(await client.get(`repos/${repository}`), repository));
  return (visibilityOf(fields) ?? "public") === "public";
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
  const { number, user } = fieldsOf(needed(await client.send("POST", path, { title, body }), repository)) ?? {};
  if (typeof number !== "number")
    throw new SallyportError("ISSUE_REFUSED", `GitHub took the issue for ${repository} and said no number.`);
  const close = { state: "closed", state_reason: "not_planned" };
  const login = fieldsOf(user)?.["login"];
  // An issue that the next run would not find would be made again by each: only now GitHub has said whose the token is.
  if (typeof login !== "string" || !isSameLogin(login, author)) {
    needed(await client.send("PATCH", `${path}/${number}`, close), repository);
    const who = typeof login === "string" ? login : "of nobody that is named";
    throw new SallyportError(
      "ISSUE_REFUSED",
      `the token is ${who}, not ${author}: the new ${repository}#${number} is closed. Say --issue-author ${who}, and reopen it.`,
    );
  }
  const all = issuesOf(await listed(client, repository, author), marker, author);
  const [first] = all;
  if (first === undefined || first.number === number || !all.some((each) => each.number === number)) return number;
  // Another run was there between our look and our post: its issue stays.
  needed(await client.send("PATCH", `${path}/${number}`, close), repository);
  needed(await client.send("PATCH", `${path}/${first.number}`, { title, body }), repository);
  return first.number;
}

function needed(answer: Answer | Refused, repository: string): unknown {
  if (!isRefused(answer)) return answer.value;
  throw new SallyportError("ISSUE_REFUSED", `issues of ${repository}: ${answer.endpoint}: ${answer.why}.`);
}
