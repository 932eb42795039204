/** Cases of checks that read GitHub's answers: values in its shapes. That it is asked for nothing else, `sources/survey.test.ts` holds. */
import { checkProtection } from "../checks/protection.ts";
import { checkGroups, checkJobsSeen, checkLog, checkRunners, checkVersion } from "../checks/runners.ts";
import { checkSetting } from "../checks/settings.ts";
import type { Said } from "../checks/settings.ts";
import { checkGithubRepository } from "../checks/github.ts";
import { settings } from "../settings.ts";
import { frame, now, repository, validate } from "./repository.ts";
import { ruleCase } from "./rule-cases.ts";
import type { Given, RuleCase } from "./rule-cases.ts";
import type { RuleId } from "../catalogue.ts";

const said = (value: unknown, why: string | null = null): Said => ({ endpoint: "GET /x", value, why });
const refused = said(null, "the token may not (403)");
const runners =
  (more: object, known: string[] = ["build-*"]) =>
  () =>
    checkRunners(said([{ id: 1, name: "build-1", ...more }]), "octo", known, "admin:org");
const noRunners = () => checkRunners(refused, "octo", [], "admin:org");
const groups = (more: object) => () =>
  checkGroups(
    said([
      {
        id: 1,
        name: "g",
        visibility: "selected",
        allows_public_repositories: false,
        restricted_to_workflows: true,
        ...more,
      },
    ]),
    "octo",
    "admin:org",
  );
const noGroups = () => checkGroups(refused, "octo", "admin:org");
const done = (id: number) => ({ id, runnerId: 7, runnerName: "build-1" });
const version = (end: string) => () =>
  checkVersion(said({ runtime_deprecates_at: end }), "octo", "2.330.0", ["build-1"], now);
const review = said([{ type: "pull_request", parameters: { require_code_owner_review: true } }]);
const unprotected = said(null, "404: Branch not protected");
const setting =
  (check: string, rule: RuleId, value: unknown): Given["make"] =>
  () =>
    settings.flatMap((each) =>
      each.fields
        .filter((field) => field.check === check && field.rule === rule)
        .flatMap(({ name }) => checkSetting(each, said({ [name]: value }), "octo", "admin")),
    );
const noFiles = (defaultBranch: boolean) => () =>
  checkGithubRepository(
    {
      ...{ scope: "repo", name: "octo/api", settings: [], runners: said([]), groups: null, versions: new Map() },
      ...{
        branch: "main",
        rules: said([]),
        protection: unprotected,
        jobs: [],
        jobsAt: "GET /x",
        logs: [],
        sources: [],
      },
      facts: defaultBranch
        ? repository({ "a.yml": "on: push\njobs: { a: { if: false, runs-on: x } }\n" }, { name: "octo/api" })
        : null,
    },
    { ...frame, knownRunners: [], runnerNeeds: { org: "", repo: "" } },
    validate,
  );

const field = (rule: RuleId, check: string, bad: unknown, good: unknown): RuleCase =>
  ruleCase(
    rule,
    check,
    [`the value ${JSON.stringify(bad)}`, setting(check, rule, bad)],
    [JSON.stringify(good), setting(check, rule, good)],
  );

export const apiCases: readonly RuleCase[] = [
  ruleCase(
    "RG-01",
    "ephemeral",
    [
      "two jobs with one runner id, whatever its flag",
      () => checkJobsSeen("GET /x", "octo", [done(1), done(2)], { ephemeral: new Map([[7, true]]), names: [] }),
    ],
    ["ephemeral: true", runners({ ephemeral: true })],
  ),
  ruleCase(
    "RG-01",
    "workspace",
    [
      "a log that cleans up a workspace",
      () => checkLog("GET /x", "octo", done(1), "2026 ##[group]Cleaning the repository\n"),
    ],
    ["ephemeral: true, and no such log", runners({ ephemeral: true })],
  ),
  ruleCase(
    "RG-01",
    "runners",
    ["a token that may not list runners", noRunners],
    ["a list", runners({ ephemeral: true })],
  ),
  ruleCase(
    "RG-02",
    "allows-public-repositories",
    ["allows_public_repositories: true", groups({ allows_public_repositories: true })],
    ["false", groups({})],
  ),
  ...(["RG-02", "RG-03", "RG-04"] as const).map((rule) =>
    ruleCase(rule, "groups", ["a token that may not list groups", noGroups], ["a list", groups({})]),
  ),
  ruleCase("RG-03", "visibility", ["visibility: all", groups({ visibility: "all" })], ["selected", groups({})]),
  ruleCase(
    "RG-04",
    "restricted-to-workflows",
    ["restricted_to_workflows: false", groups({ restricted_to_workflows: false })],
    ["true", groups({})],
  ),
  field("RG-05", "fork-approval", "first_time_contributors", "all_external_contributors"),
  field("RG-06", "fork-secrets", true, false),
  field("RG-06", "fork-write-token", true, false),
  field("RG-06", "fork-approval", false, true),
  field("RG-08", "default-token", "write", "read"),
  field("RG-08", "approves-reviews", true, false),
  field("RG-09", "allowed-actions", "all", "selected"),
  field("RG-09", "sha-pinning", false, true),
  ruleCase(
    "RG-10",
    "files",
    ["a repository whose files were not seen", noFiles(false)],
    ["one whose were", noFiles(true)],
  ),
  ruleCase(
    "RG-14",
    "review-required",
    ["neither a ruleset nor protection", () => [checkProtection("octo/api", "main", said([]), unprotected)]],
    ["a ruleset with code owners' review", () => [checkProtection("octo/api", "main", review, unprotected)]],
  ),
  ruleCase(
    "RG-15",
    "version",
    ["a version that ended", version("2026-01-01T00:00:00Z")],
    ["one that ends next year", version("2027-06-01T00:00:00Z")],
  ),
  ruleCase("RG-15", "runners", ["a token that may not list runners", noRunners], ["a list", runners({})]),
  ruleCase(
    "RG-16",
    "known",
    ["a name that fits no pattern", runners({ name: "stray" })],
    ["one that does", runners({})],
  ),
  field("RG-16", "who-registers", "all", "selected"),
  ruleCase("RG-16", "runners", ["a token that may not list runners", noRunners], ["a list", runners({})]),
  field("RG-23", "agent-firewall", false, true),
  field("RG-23", "agent-list", ["*.com"], ["pypi.org"]),
];
