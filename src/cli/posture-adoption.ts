/** `sallyport posture --adoption-issue`: the adoption of GitHub's firewall as Markdown, and with `--apply` as one issue. */
import { SallyportError } from "../errors.ts";
import { adoptionOf } from "../posture/adoption/adoption.ts";
import { adoptionReport } from "../posture/adoption/markdown.ts";
import { authorOf, isPublic, issueToDo, postIssue } from "../posture/change/issue.ts";
import { checkoutName } from "../posture/sources/checkout.ts";
import { version } from "../version.ts";
import { clientOf, look, mustHaveSeen } from "./posture-look.ts";
import type { PostureFlags } from "./posture.ts";
import { say } from "./policy-file.ts";

/**
 * A folder's repository, so that two checkouts never share an issue nor two folders of one another's. Throws USAGE where nobody says
 * which it is.
 */
function nameOfFolder(folder: string): string {
  const name = checkoutName(folder, process.env);
  if (name !== null) return name;
  throw new SallyportError(
    "USAGE",
    `which repository ${folder} is, git does not say (no origin with OWNER/REPO): git remote add origin URL, or --no-repository --github OWNER/REPO.`,
  );
}

/** Prints the text, and on stderr what is done with it. */
export async function adoptionIssue(flags: PostureFlags, repository: string): Promise<void> {
  if (flags.format !== "text" || flags.json === true)
    throw new SallyportError("USAGE", "--adoption-issue is Markdown: leave --format and --json out.");
  const here = flags.repository === false ? null : nameOfFolder(flags.repository);
  const seen = await look(flags);
  mustHaveSeen(seen);
  const { folder, github, sources } = seen;
  // What the issue is about, wherever a checkout of it lies; evidence and cloud files say nothing of it.
  const targets = [...(here === null ? [] : [here]), ...flags.github];
  const all = [
    ...(folder === null ? [] : [adoptionOf(here!, folder.facts, folder.findings)]),
    ...(github?.seen.repositories ?? []).map(({ read, findings }) => adoptionOf(read.name, read.facts, findings)),
  ];
  const isAbout = (name: string) => /\/(?:git\/trees|rules\/branches|repos)\b|^GET \/repos\/[^/]+\/[^/]+$/.test(name);
  const unseen = sources.filter((each) => !each.seen && isAbout(each.name)).map(({ name, text }) => `${name}: ${text}`);
  const report = adoptionReport(all, targets, unseen, version);
  say(report.body.trimEnd());
  if (report.leftOut > 0) console.error(`sallyport: ${report.leftOut} repositories did not fit into an issue`);
  const client = github?.client ?? clientOf(flags);
  const known = [folder?.facts, ...(github?.seen.repositories ?? []).map(({ read }) => read.facts)].filter(
    (facts) => facts !== undefined,
  );
  // A folder does not say whether its repository is public, nor does what was not seen.
  const isSecret = unseen.length > 0 || known.some((facts) => facts?.visibility !== "public");
  if (isSecret && flags.publicIssue !== true && (await isPublic(client, repository))) {
    const why = `everybody may read ${repository}, and the report is of repositories that are not known to be public`;
    if (flags.apply === true)
      throw new SallyportError("ISSUE_REFUSED", `${why}: name a private one, or say --public-issue.`);
    console.error(`sallyport: ${why}; --apply posts it only with --public-issue`);
  }
  const usual = process.env["GITHUB_ACTIONS"] === "true" ? "github-actions[bot]" : null;
  const author = await authorOf(client, flags.issueAuthor ?? null, usual);
  const plan = await issueToDo(client, repository, report, author);
  const others =
    plan.kind === "create" || plan.others.length === 0 ? "" : `; also ours, and left: #${plan.others.join(", #")}`;
  const closed = plan.kind !== "create" && !plan.isOpen ? " (closed, and left so)" : "";
  const what = plan.kind === "create" ? "a new issue" : `issue #${plan.number}${closed}`;
  if (flags.apply !== true) {
    const would = plan.kind === "same" ? "says this already" : "would say this; --apply posts it";
    console.error(`sallyport: ${repository}: ${what} ${would}${others}`);
    return;
  }
  const number = await postIssue(client, repository, report, author, plan);
  const how = plan.kind === "same" ? "says this already" : plan.kind === "create" ? "is posted" : "says this now";
  console.error(`sallyport: ${repository}: issue #${number}${closed} ${how}${others}`);
}
