/**
 * What the runner says about the job: which repository at which commit, and, for work that somebody proposed, which ref is the
 * trusted one. A policy is never read from a ref that whoever opened the pull request can write (threat R8).
 */
import { readFileSync } from "node:fs";
import { SallyportError } from "../errors.ts";

/** A file's place in a repository on GitHub. */
export interface Ref {
  /** `owner/name`. */
  repository: string;
  /** A branch as `refs/heads/…`, or a commit. */
  ref: string;
}

export interface JobContext {
  repository: string;
  workflow: string;
  /** Path of the workflow's file, where it is one of this repository; null otherwise. */
  workflowFile: string | null;
  job: string;
  runId: string;
  runAttempt: string;
  event: string;
  /** Whose policy counts. */
  trusted: Ref;
  /** Where a pull request's own policy is; null where nothing is proposed. */
  proposed: Ref | null;
  /** Base address of the REST interface. */
  api: string;
  runner: string;
}

/** Reads what the runner put into the environment. Throws ACTION_ENVIRONMENT where this is no job of GitHub Actions. */
export function readContext(env: NodeJS.ProcessEnv): JobContext {
  const need = (name: string): string => {
    const value = env[name];
    if (value !== undefined && value !== "") return value;
    throw new SallyportError("ACTION_ENVIRONMENT", `${name} is not set: this is no job of GitHub Actions.`);
  };
  const repository = need("GITHUB_REPOSITORY");
  const event = need("GITHUB_EVENT_NAME");
  const payload = readPayload(env["GITHUB_EVENT_PATH"]);
  const { trusted, proposed } = refsOf(event, payload, repository, need("GITHUB_SHA"));
  return {
    repository,
    workflow: env["GITHUB_WORKFLOW"] ?? "",
    workflowFile: workflowFile(env["GITHUB_WORKFLOW_REF"], repository),
    job: need("GITHUB_JOB"),
    runId: env["GITHUB_RUN_ID"] ?? "",
    runAttempt: env["GITHUB_RUN_ATTEMPT"] ?? "",
    event,
    trusted,
    proposed,
    api: env["GITHUB_API_URL"] ?? "https://api.github.com",
    runner: env["RUNNER_NAME"] ?? "",
  };
}

/** `owner/name/.github/workflows/file.yml@ref` (docs.github.com, "Variables reference"). */
function workflowFile(ref: string | undefined, repository: string): string | null {
  const prefix = `${repository}/`;
  if (ref === undefined || !ref.startsWith(prefix)) return null;
  const path = ref.slice(prefix.length).replace(/@.*$/s, "");
  return /^\.github\/workflows\/[^/]+\.ya?ml$/.test(path) ? path : null;
}

interface Payload {
  pull_request?: { base?: { ref?: unknown }; head?: { sha?: unknown; repo?: { full_name?: unknown } | null } };
  merge_group?: { base_ref?: unknown; head_sha?: unknown };
}

function refsOf(
  event: string,
  payload: Payload,
  repository: string,
  sha: string,
): Pick<JobContext, "trusted" | "proposed"> {
  const { pull_request: pull, merge_group: merge } = payload;
  if (pull !== undefined) {
    const base = pull.base?.ref;
    if (typeof base !== "string" || base === "") throw unusual(event, "the base branch of the pull request");
    const { head } = pull;
    const from = head?.repo?.full_name;
    const proposed =
      typeof head?.sha === "string" && typeof from === "string" ? { repository: from, ref: head.sha } : null;
    return { trusted: { repository, ref: `refs/heads/${base}` }, proposed };
  }
  if (merge !== undefined) {
    if (typeof merge.base_ref !== "string" || merge.base_ref === "")
      throw unusual(event, "the base of the merge group");
    return { trusted: { repository, ref: merge.base_ref }, proposed: { repository, ref: sha } };
  }
  // Whoever can push to a branch of this repository writes its workflows as well.
  if (event.startsWith("pull_request") || event === "merge_group") throw unusual(event, "a base");
  return { trusted: { repository, ref: sha }, proposed: null };
}

function unusual(event: string, what: string): SallyportError {
  return new SallyportError(
    "ACTION_ENVIRONMENT",
    `The event ${event} does not name ${what}, so no ref can be trusted.`,
  );
}

function readPayload(path: string | undefined): Payload {
  if (path === undefined || path === "") return {};
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, "utf8"));
    return typeof parsed === "object" && parsed !== null ? parsed : {};
  } catch (error) {
    throw new SallyportError(
      "ACTION_ENVIRONMENT",
      `${path}, the event's payload, cannot be read: ${(error as Error).message}.`,
    );
  }
}
