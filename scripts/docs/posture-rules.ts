/** `docs/posture-rules.md`: the runner policy's rules, and what a token needs, from the tables that the checks use. */
import { catalogue, clauses, frameworks, ruleIds } from "../../src/posture/catalogue.ts";
import type { Controls, Rule } from "../../src/posture/catalogue.ts";
import { allChecks } from "../../src/posture/check-catalogue.ts";
import { settings } from "../../src/posture/settings.ts";
import { runnerNeeds } from "../../src/posture/sources/github.ts";
import { allCases } from "../../src/posture/testing/all-cases.ts";

/** The checks of a rule, each with what fires it and what does not. */
function checksTable(id: string): string {
  const rows = allChecks
    .filter(({ rule }) => rule === id)
    .map(({ check, source, worst }) => {
      const { fires, quiet } = allCases.find((each) => each.rule === id && each.check === check)!;
      const says = { fail: "fails", unknown: "is unknown", pass: "holds" }[worst];
      return `| \`${check}\` | ${source} | ${says}: ${plain(fires.text)} | ${plain(quiet.text)} |`;
    });
  return ["| check | looks at | tested: it says | and not |", "|---|---|---|---|", ...rows].join("\n");
}

/** Nothing in it is markup of a table. */
function plain(text: string): string {
  return text.replaceAll(/[|*_<>[\]]/g, (mark) => `\\${mark}`);
}

/** The whole page. */
export function postureRulesPage(): string {
  const rules = ruleIds.map((id) => {
    const { title, clause, severity, why, incident, fix, controls }: Rule = catalogue[id];
    const list = (Object.keys(frameworks) as (keyof Controls)[]).flatMap((name) =>
      controls[name] === undefined ? [] : [`${frameworks[name]}: ${controls[name].join(", ")}`],
    );
    return [
      `## ${id}: ${title}`,
      `*${clauses[clause]}* Severity: ${severity}, unless a check says otherwise.`,
      `${why}${incident === null ? "" : ` ${incident}`}`,
      `**Fix:** ${fix}`,
      `**Evidence for:** ${list.join("; ")}.`,
      checksTable(id),
    ].join("\n\n");
  });
  const rights = settings.flatMap(({ path, scopes, needs, server }) =>
    scopes.map((scope) => {
      const base = scope === "org" ? "/orgs/ORG/" : "/repos/OWNER/NAME/";
      return `| \`GET ${base}${path}\` | ${needs[scope]} | ${server ?? "no"} |`;
    }),
  );
  return `${[
    "# Rules of `sallyport posture`",
    "Made from the code by `npm run docs`. Ids are never given to another rule. A finding is one piece of evidence for a control, and no framework is met by these alone; PCI DSS and HIPAA count only where runners can reach cardholder data or ePHI. Each check is fired and left quiet by `src/posture/rules.test.ts`, as its table says; what else holds of it is tested beside it.",
    ...rules,
    "## The least a token needs",
    "Each right is used for the lines beside it; without it they are unknown, and the rest of the report is made.",
    [
      "| asked | classic token, or fine-grained permission | Enterprise Server from |",
      "|---|---|---|",
      ...rights,
      `| \`GET /orgs/ORG/actions/runners\`, \`runner-groups\`, \`hosted-runners\` | ${runnerNeeds.org} | 3.17, but for hosted-runners |`,
      `| \`GET /repos/OWNER/NAME/actions/runners\` | ${runnerNeeds.repo} | 3.17 |`,
      "| `GET /repos/OWNER/NAME/actions/runs`, jobs and logs | repo, or Actions: read | 3.17 |",
      "| `GET /repos/OWNER/NAME/git/trees`, `git/blobs` | repo, or Contents: read | 3.17 |",
      "| `GET /repos/OWNER/NAME/rules/branches/…` | repo, or Metadata: read | 3.17 |",
      "| `GET /repos/OWNER/NAME/branches/…/protection` | repo (as an administrator), or Administration: read | 3.17 |",
    ].join("\n"),
  ].join("\n\n")}\n`;
}
