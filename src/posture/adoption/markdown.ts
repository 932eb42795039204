/**
 * The adoption as Markdown for an issue: text out of repositories is only ever code, so that it mentions nobody, links nowhere and
 * is no HTML, and what does not fit into an issue is counted. Pure.
 */
import { createHash } from "node:crypto";
import { oneLine } from "../finding.ts";
import { code } from "../report/markdown.ts";
import { stages } from "./adoption.ts";
import type { Adoption, Stage } from "./adoption.ts";

/** GitHub takes 65 536 characters; by bytes, so that it fits however they are counted. */
export const mostOfIssue = 65_536;
/** Kept for the line about what was left out. */
const reserve = 400;
const mostListed = 10;

const titles: Readonly<Record<Stage, string>> = {
  enforced: "enforced, and guarded by code owners",
  unprotected: "enforced, and not guarded",
  partial: "enforced for some jobs, and not for others",
  logging: "only logging",
  incomplete: "incomplete: the label without a policy that is read, or the other way round",
  "not-used": "not used",
  unknown: "not seen",
};

export interface AdoptionReport {
  readonly title: string;
  /** Its first line says, hidden, whose report it is. */
  readonly body: string;
  readonly marker: string;
  /** Repositories that the body has no room for. */
  readonly leftOut: number;
}

/** `targets`: what was looked at; `unseen`: what could not be, in lines. */
export function adoptionReport(
  all: readonly Adoption[],
  targets: readonly string[],
  unseen: readonly string[],
  version: string,
): AdoptionReport {
  const marker = markerOf(targets);
  const count = (stage: Stage) => all.filter((each) => each.stage === stage).length;
  const jobs = all.reduce((sum, each) => sum + each.jobs.length, 0);
  const others = all.reduce((sum, each) => sum + each.others, 0);
  const head = [
    marker,
    "## Adoption of GitHub's egress firewall",
    `Of ${text(targets.join(", "), 300)}. ${jobs} of ${jobs + others} jobs run on a label with the firewall. Written by Sallyport ${version} (\`sallyport posture --adoption-issue\`); each run replaces this text, so write in comments.`,
    `| repositories | |\n|---:|---|\n${stages.map((stage) => `| ${count(stage)} | ${titles[stage]} |`).join("\n")}`,
    ...(unseen.length === 0 ? [] : [`### What could not be read\n\n${listed(unseen)}`]),
  ].join("\n\n");
  let body = head;
  let bytes = Buffer.byteLength(body);
  let leftOut = 0;
  for (const stage of stages.toReversed()) {
    const here = all.filter((each) => each.stage === stage).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    let isFirst = true;
    for (const each of here) {
      const part = `${isFirst ? `\n\n### ${upper(titles[stage])}\n\n` : "\n"}${repositoryText(each)}`;
      if (leftOut > 0 || bytes + Buffer.byteLength(part) > mostOfIssue - reserve) {
        leftOut++;
        continue;
      }
      body += part;
      bytes += Buffer.byteLength(part);
      isFirst = false;
    }
  }
  if (leftOut > 0)
    body += `\n\n**${leftOut} of ${all.length} repositories are left out: an issue has no more room.** The counts above are of all; \`sallyport posture --format json\` has every one.`;
  return {
    title: `Adoption of GitHub's egress firewall: ${oneLine(targets.join(", "), 150)}`,
    body: `${body}\n`,
    marker,
    leftOut,
  };
}

/** Hidden in the text, and the same from run to run for the same targets. */
export function markerOf(targets: readonly string[]): string {
  const digest = createHash("sha256").update(JSON.stringify(targets.map((each) => each.toLowerCase()).toSorted()));
  return `<!-- sallyport:egress-firewall-adoption:${digest.digest("hex").slice(0, 16)} -->`;
}

function repositoryText(each: Adoption): string {
  const facts = [
    `policy ${each.file}${each.mode === null ? "" : `, mode ${each.mode}, ${each.hosts} host${each.hosts === 1 ? "" : "s"}${each.hasDefaults === true ? " and GitHub's own" : ""}`}`,
    `jobs on the label: ${each.jobs.length} of ${each.jobs.length + each.others}`,
    ...(each.owners === null ? [] : [`owned by ${text(each.owners.join(" "), 100)}`]),
  ];
  return [
    `- ${text(each.name, 150)}: ${facts.join("; ")}`,
    ...cut(each.lacks).map((lack) => `  - ${lack}`),
    ...(each.stage === "incomplete" ? cut(each.jobs).map((job) => `  - on the label: ${job}`) : []),
  ].join("\n");
}

function upper(title: string): string {
  return title[0]!.toUpperCase() + title.slice(1);
}

function listed(lines: readonly string[]): string {
  return cut(lines)
    .map((line) => `- ${line}`)
    .join("\n");
}

/** As code, and the number of what is not shown. */
function cut(lines: readonly string[]): string[] {
  const more = lines.length > mostListed ? [`and ${lines.length - mostListed} more`] : [];
  return [...lines.slice(0, mostListed).map((line) => text(line, 300)), ...more];
}

/** Nothing in code is a mention, a link, a reference or HTML. */
function text(foreign: string, most: number): string {
  const line = oneLine(foreign, most);
  // What keeps a bar in a table's cell is not needed here.
  return line === "" ? "–" : code(line).replaceAll("\\|", "|");
}
