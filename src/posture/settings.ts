/**
 * Settings of an organisation or a repository: which endpoint says them, what holds, what the API takes to set them right, and
 * which right a token needs. One table, read by the checks and by `--fix`.
 */
import type { RuleId } from "./catalogue.ts";
import type { CheckId } from "./check-catalogue.ts";
import type { Severity } from "./finding.ts";

export type Scope = "org" | "repo";

export interface Field {
  readonly rule: RuleId;
  readonly check: CheckId;
  readonly name: string;
  /** Null: the value is none that GitHub documents. */
  readonly holds: (value: unknown, all: Readonly<Record<string, unknown>>) => boolean | null;
  readonly severity?: Severity;
  readonly fix?: string;
  /** What `--fix` sets; left out: a person must decide. */
  readonly wanted?: unknown;
}

export interface Setting {
  /** Behind `orgs/ORG/` or `repos/OWNER/NAME/`. */
  readonly path: string;
  readonly scopes: readonly Scope[];
  /** The least right, for a classic token and for a fine-grained one. */
  readonly needs: Readonly<Record<Scope, string>>;
  /** The first GitHub Enterprise Server with it; null: github.com alone. */
  readonly server: string | null;
  readonly fields: readonly Field[];
  /** The fields of which a PUT to the same path consists, all of them in each; left out: `--fix` leaves the setting alone. */
  readonly sends?: readonly string[];
  /** The setting holds whatever its other fields say. */
  readonly moot?: (all: Readonly<Record<string, unknown>>) => string | null;
}

const bool = (wanted: boolean) => (value: unknown) => (typeof value === "boolean" ? value === wanted : null);
const oneOf =
  (good: readonly string[], bad: readonly string[]) =>
  (value: unknown): boolean | null =>
    good.includes(value as string) ? true : bad.includes(value as string) ? false : null;

const admin = {
  org: "admin:org, or Organization administration: read",
  repo: "repo (as an administrator), or Administration: read",
};

/** What setting one takes. */
export const adminWrites: Readonly<Record<Scope, string>> = {
  org: "admin:org, or Organization administration: write",
  repo: "repo (as an administrator), or Administration: write",
};

export const settings: readonly Setting[] = [
  {
    path: "actions/permissions",
    scopes: ["org", "repo"],
    needs: admin,
    server: "3.17",
    moot: (all) => (all["enabled"] === false ? "GitHub Actions is switched off" : null),
    fields: [
      {
        rule: "RG-09",
        check: "allowed-actions",
        name: "allowed_actions",
        holds: oneOf(["local_only", "selected"], ["all"]),
        fix: "Set allowed_actions to selected, and list what is used.",
      },
      {
        rule: "RG-09",
        check: "sha-pinning",
        name: "sha_pinning_required",
        holds: bool(true),
        fix: "Set sha_pinning_required to true, once every workflow is pinned.",
      },
    ],
  },
  {
    path: "actions/permissions/workflow",
    scopes: ["org", "repo"],
    needs: admin,
    server: "3.17",
    sends: ["default_workflow_permissions", "can_approve_pull_request_reviews"],
    fields: [
      {
        rule: "RG-08",
        check: "default-token",
        name: "default_workflow_permissions",
        holds: oneOf(["read"], ["write"]),
        severity: "high",
        wanted: "read",
      },
      {
        rule: "RG-08",
        check: "approves-reviews",
        name: "can_approve_pull_request_reviews",
        holds: bool(false),
        wanted: false,
      },
    ],
  },
  {
    path: "actions/permissions/fork-pr-contributor-approval",
    scopes: ["org", "repo"],
    needs: admin,
    server: "3.19",
    sends: ["approval_policy"],
    fields: [
      {
        rule: "RG-05",
        check: "fork-approval",
        name: "approval_policy",
        holds: oneOf(
          ["all_external_contributors"],
          ["first_time_contributors", "first_time_contributors_new_to_github"],
        ),
        wanted: "all_external_contributors",
      },
    ],
  },
  {
    path: "actions/permissions/fork-pr-workflows-private-repos",
    scopes: ["org", "repo"],
    needs: admin,
    server: "3.19",
    sends: [
      "run_workflows_from_fork_pull_requests",
      "send_write_tokens_to_workflows",
      "send_secrets_and_variables",
      "require_approval_for_fork_pr_workflows",
    ],
    moot: (all) =>
      all["run_workflows_from_fork_pull_requests"] === false ? "forks of private repositories run nothing" : null,
    fields: [
      { rule: "RG-06", check: "fork-secrets", name: "send_secrets_and_variables", holds: bool(false), wanted: false },
      {
        rule: "RG-06",
        check: "fork-write-token",
        name: "send_write_tokens_to_workflows",
        holds: bool(false),
        wanted: false,
      },
      {
        rule: "RG-06",
        check: "fork-approval",
        name: "require_approval_for_fork_pr_workflows",
        holds: bool(true),
        wanted: true,
      },
    ],
  },
  {
    path: "actions/permissions/self-hosted-runners",
    scopes: ["org"],
    needs: admin,
    server: null,
    fields: [
      {
        rule: "RG-16",
        check: "who-registers",
        name: "enabled_repositories",
        holds: oneOf(["none", "selected"], ["all"]),
        severity: "medium",
        fix: "Let no repository, or selected ones, register runners of its own.",
      },
    ],
  },
  {
    path: "copilot/cloud-agent/configuration",
    scopes: ["repo"],
    needs: { org: "", repo: "repo, or Copilot agent settings: read" },
    server: null,
    fields: [
      { rule: "RG-23", check: "agent-firewall", name: "is_firewall_enabled", holds: bool(true) },
      {
        rule: "RG-23",
        check: "agent-list",
        name: "custom_allowlist",
        holds: (value) =>
          Array.isArray(value) && value.every((each) => typeof each === "string")
            ? !value.some((each: string) => /^(?:https?:\/\/)?\*\.?[^.]*$/.test(each) || each.includes("*.com"))
            : null,
        fix: "Take wildcards over whole domains out of the agent's list.",
      },
    ],
  },
];
