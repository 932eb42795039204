/**
 * Every check by its rule: where its evidence comes from, and the worst that it can say. A check that is not in the table cannot be
 * written (the type of a finding's check comes from here), and one that nothing makes cannot stay (`rules.test.ts` fires each).
 */
import type { IamCheck } from "../iam/finding.ts";
import type { NetworkCheck } from "../network/finding.ts";
import { ruleIds } from "./catalogue.ts";
import type { RuleId } from "./catalogue.ts";
import { ruleOfIam } from "./cloud/iam-checks.ts";
import { ruleOfNetwork } from "./cloud/network-checks.ts";

export interface CheckFacts {
  /** For people: which files, or which endpoint. */
  readonly source: string;
  /** `unknown`: it only says that something was not seen; `pass`: it is the check's place for what holds. */
  readonly worst: "fail" | "unknown" | "pass";
}

const fails = (source: string): CheckFacts => ({ source, worst: "fail" });
const asks = (source: string): CheckFacts => ({ source, worst: "unknown" });
const holds = (source: string): CheckFacts => ({ source, worst: "pass" });

const workflows = "workflow files";
const policies = "policy files";
const native = "`.github/egress-firewall.yaml`";
const code = "scripts and Terraform";
const manifests = "Kubernetes manifests";
const runners = "API: `actions/runners`";
const groups = "API: `actions/runner-groups`";
const permissions = "API: `actions/permissions`";
const forks = `${permissions.slice(0, -1)}/fork-pr-workflows-private-repos\``;
const token = `${permissions.slice(0, -1)}/workflow\``;
const agent = "API: `copilot/cloud-agent/configuration`";

/** Checks of workflows, settings and code. Those of clouds are beside their rooms' own lists. */
export const checks = {
  "RG-01": {
    ephemeral: fails("API: `actions/runners` (the flag), then `runner_id` over recent jobs"),
    workspace: fails("API: logs of recent jobs"),
    manifest: fails(manifests),
    "registered-to-stay": fails(code),
    "kept-as-service": fails(code),
    "terraform-ephemeral": fails(code),
    "registered-for-one-job": holds(code),
    runners: asks(runners),
  },
  "RG-02": { "allows-public-repositories": fails(groups), groups: asks(groups) },
  "RG-03": { visibility: fails(groups), groups: asks(groups) },
  "RG-04": { "restricted-to-workflows": fails(groups), groups: asks(groups) },
  "RG-05": { "fork-approval": fails(`${permissions.slice(0, -1)}/fork-pr-contributor-approval\``) },
  "RG-06": { "fork-secrets": fails(forks), "fork-write-token": fails(forks), "fork-approval": fails(forks) },
  "RG-07": { "fork-reach": fails(workflows) },
  "RG-08": { "default-token": fails(token), "approves-reviews": fails(token), permissions: fails(workflows) },
  "RG-09": {
    "allowed-actions": fails(permissions),
    "sha-pinning": fails(permissions),
    unpinned: fails(`${workflows}, \`actions.lock\``),
    pins: holds(`${workflows}, \`actions.lock\``),
    "action-image": fails("`action.yml` of the repository's own actions"),
    "action-unread": asks(`${workflows}, \`action.yml\``),
    "action-elsewhere": asks(workflows),
    "call-unread": asks(`${workflows}, and those elsewhere by the API`),
  },
  "RG-10": {
    control: fails(`${workflows}, ${native}`),
    "native-file": fails(native),
    "native-file-name": fails("names of files"),
    unreadable: asks(workflows),
    "refused-by-github": asks(`${workflows}, GitHub's parser`),
    files: asks("API: `git/trees`"),
  },
  "RG-11": { "mode-PRODUCT": fails(`${workflows}, git's history`), "mode-native": fails(`${native}, git's history`) },
  "RG-12": { version: fails(workflows) },
  "RG-13": {
    "open-hosts": fails(`${policies}, ${native}, lists in steps`),
    unjustified: fails(policies),
    expired: fails(policies),
    "policy-loads": asks(policies),
  },
  "RG-14": {
    "code-owner": fails("CODEOWNERS"),
    "review-required": fails("API: `rules/branches`, `branches/…/protection`"),
  },
  "RG-15": { version: fails("API: `actions/runners/deprecations`"), runners: asks(runners) },
  "RG-16": {
    known: fails(`${runners}, --known-runners`),
    "who-registers": fails(`${permissions.slice(0, -1)}/self-hosted-runners\``),
    runners: asks(runners),
  },
  "RG-17": {},
  "RG-18": {},
  "RG-19": { "network-policy": fails(manifests) },
  "RG-20": {},
  "RG-21": {
    record: fails("--evidence: `sallyport logs verify --json`"),
    "kept-for": fails("`sallyport.config.yaml`"),
    signed: asks("`sallyport.config.yaml`"),
  },
  "RG-22": { simulation: fails("--evidence: `sallyport simulate --json`"), scheduled: asks(workflows) },
  "RG-23": { "agent-firewall": fails(agent), "agent-list": fails(agent) },
  "RG-24": { "native-drift": fails(`${policies}, ${native}`), "step-drift": fails(`${policies}, lists in steps`) },
} as const satisfies Record<RuleId, Readonly<Record<string, CheckFacts>>>;

type OwnCheck = { [Rule in keyof typeof checks]: keyof (typeof checks)[Rule] }[keyof typeof checks];

/** Every name that a finding's check can have. */
export type CheckId = Exclude<OwnCheck, "mode-PRODUCT"> | `mode-${string}` | IamCheck | NetworkCheck;

/** What the cloud's checks read. */
const iamFiles = "--iam, --plan";
const networkFiles = "--network, --plan";
const neverFails: ReadonlySet<string> = new Set([
  "unreadable",
  "policy-unknown",
  "trust-unknown",
  "no-subnet",
  "way-out-unknown",
]);

export interface CheckRow extends CheckFacts {
  readonly rule: RuleId;
  readonly check: string;
}

/** Every check there is, in the order of the rules. */
export const allChecks: readonly CheckRow[] = ruleIds.flatMap((rule) => [
  ...Object.entries<CheckFacts>(checks[rule]).map(([check, facts]) => ({ rule, check, ...facts })),
  ...cloudRows(rule, ruleOfIam, iamFiles),
  ...cloudRows(rule, ruleOfNetwork, networkFiles),
]);

function cloudRows(rule: RuleId, rules: Readonly<Record<string, RuleId>>, source: string): CheckRow[] {
  return Object.entries(rules).flatMap(([check, of]) =>
    of === rule ? [{ rule, check, ...(neverFails.has(check) ? asks(source) : fails(source)) }] : [],
  );
}

/** The table's name of a finding's check. */
export function rowOf(check: string): string {
  return check.startsWith("mode-") && check !== "mode-native" ? "mode-PRODUCT" : check;
}
