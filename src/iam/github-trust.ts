/**
 * Which workflows of GitHub's a trust policy lets in. A subject is `repo:OWNER/REPO:…`, or with numbers behind the names
 * (`repo:OWNER@ID/REPO@ID:…`, the default of repositories made since July 2026): names can be given to others when they become free,
 * numbers never. AWS also takes `repository_id` and other claims as keys of their own. Patterns are asked, not read: whether they let
 * in a subject that nobody meant.
 * https://docs.github.com/en/actions/reference/security/oidc
 */
import { shown } from "../cloud/value.ts";
import { operatorOf } from "./condition.ts";
import type { Condition, Statement } from "./document.ts";
import type { Say } from "./finding.ts";
import { globMatches, globOf } from "./glob.ts";

const issuer = "token.actions.githubusercontent.com";

/** The issuer of a provider's ARN, or of what stands for one: `token.actions.githubusercontent.com/octo`. */
export function issuerOf(arn: string): string {
  return arn.replace(/^arn:[^:]*:iam::[^:]*:oidc-provider\//, "");
}

/**
 * True for the ARN of GitHub's provider: the public issuer, also one with an enterprise's name behind it; of an enterprise with data
 * residency (ghe.com); of an Enterprise Server (`HOST/_services/token`). `servers`: hosts of such that somebody named, in lower case.
 * Anybody can have such a path: a host that nobody named is `isUnnamedServer`, and one that is made to be read as GitHub's own
 * (`github.com.evil.example`) is none.
 */
export function isGitHub(arn: string, servers: ReadonlySet<string>): boolean {
  const text = issuerOf(arn);
  const host = serverOf(text);
  return isIssuer(text) && (host === null || servers.has(host) || !/github(?:\.com|usercontent\.com)/.test(host));
}

/** True for an Enterprise Server's provider whose host nobody named: whose it is is not known. */
export function isUnnamedServer(arn: string, servers: ReadonlySet<string>): boolean {
  const host = serverOf(issuerOf(arn));
  return host !== null && !servers.has(host) && isGitHub(arn, servers);
}

/** The host of an issuer that has an Enterprise Server's path, in lower case; else null. */
function serverOf(issuerText: string): string | null {
  return /^([\w.-]+)\/_services\/token(?:\/[\w-]+)?$/i.exec(issuerText)?.[1]?.toLowerCase() ?? null;
}

function isIssuer(text: string): boolean {
  return /^(?:token\.actions\.githubusercontent\.com|token\.actions\.[\w-]+\.ghe\.com|[\w.-]+\/_services\/token)(?:\/[\w-]+)?$/i.test(
    text,
  );
}

/** True where a provider's name makes people think of GitHub's and it is another's. */
export function isLookalike(arn: string, servers: ReadonlySet<string>): boolean {
  return !isGitHub(arn, servers) && /github/i.test(issuerOf(arn));
}

/** Claims that say which repository, by themselves. */
const repositoryClaims = new Set(["repository", "repository_id", "job_workflow_ref"]);
const ownerClaims = new Set(["repository_owner_id", "repository_owner", "enterprise_id", "enterprise"]);
/** First claims of a customised subject that anybody's workflow can have. */
const anybodys = ["workflow", "environment", "ref", "context", "head_ref", "base_ref", "actor", "event_name"];

interface Asked extends Condition {
  readonly claim: string;
  /** Patterns, or texts in which a wildcard is a character. */
  readonly like: boolean;
}

/** Judges one allowing statement for GitHub's provider. */
export function judgeGitHub(statement: Statement, arn: string | null, say: Say): void {
  const { conditions, place } = statement;
  const at = { place };
  const asked = conditions.flatMap((condition) => asksFor(condition));
  for (const condition of conditions) {
    const { quantifier, ifExists } = operatorOf(condition.operator);
    if (claimOf(condition.key) === null || (quantifier !== "ForAllValues" && !ifExists)) continue;
    const fix = "Use StringEquals or StringLike without ForAllValues and IfExists.";
    say(
      "oidc-absent-claims",
      `${shown(condition.operator)} on ${shown(condition.key)} holds also where the claim is missing`,
      fix,
      { ...at, about: condition.key },
    );
  }
  judgeIssuer(conditions, arn, say, at);
  const audience = asked.filter(({ claim }) => claim === "aud");
  if (audience.length === 0)
    say("oidc-audience", "asks for no audience", `Require ${issuer}:aud to be sts.amazonaws.com.`, at);
  else if (audience.some(({ values, like }) => values.some((value) => like && /[*?]/.test(value))))
    say(
      "oidc-audience",
      "takes a token for any audience that a pattern matches",
      `Require ${issuer}:aud to be sts.amazonaws.com.`,
      at,
    );

  const subjects = asked.filter(({ claim }) => claim === "sub");
  const repositories = asked.filter(({ claim }) => repositoryClaims.has(claim));
  const owners = asked.filter(({ claim }) => ownerClaims.has(claim));
  const partial = [...subjects, ...repositories].some((each) => each.partial);
  if (partial)
    say("oidc-subject", "which workflows it lets in is known only after apply", "Judge it again after apply.", {
      outcome: "unknown",
      ...at,
    });
  if (subjects.length === 0 && repositories.length === 0 && !partial) {
    if (owners.length === 0) {
      const whose =
        arn !== null && /githubusercontent\.com\/./.test(arn) ? "of its enterprise" : "of GitHub, anybody's";
      say(
        "oidc-subject",
        `lets in every workflow ${whose}`,
        `Require ${issuer}:sub, or repository_id, of the repository.`,
        at,
      );
    } else
      say("oidc-organisation", "lets in every repository of an owner", `Require ${issuer}:sub or repository_id.`, at);
  }
  for (const { claim, values, like } of repositories)
    for (const value of values)
      if (claim === "repository_id" ? like && /[*?]/.test(value) : like && isOpenOwner(value))
        say(
          "oidc-wildcard",
          `${claim} ${shown(value)} lets in repositories of anybody`,
          "Write the repository in full.",
          at,
        );
  // A repository's claim beside it limits what the subject leaves open.
  const limited = repositories.some(({ values, like }) => values.every((value) => !like || !/[*?]/.test(value)));
  const limitedOwner =
    limited ||
    owners.some(({ values, like }) => values.length > 0 && values.every((value) => !like || !/[*?]/.test(value)));
  for (const { values, like } of subjects)
    for (const value of values) judgeSubject(value, like, limited, limitedOwner, statement, asked, say);
  // Without a subject nothing tells a pull request's run from a push's; an environment or a ref does.
  const eventual = asked.some(
    ({ claim }) => claim === "environment" || claim === "ref" || claim === "job_workflow_ref",
  );
  if (subjects.length === 0 && repositories.length > 0 && !eventual)
    say(
      "oidc-pull-request",
      "lets in every run of the repository, pull requests' too",
      "Require a branch or an environment as well.",
      at,
    );
}

/** A key belongs to one issuer: a condition on another's is about a token that never comes. */
function judgeIssuer(
  conditions: readonly Condition[],
  arn: string | null,
  say: Say,
  at: { place: Statement["place"] },
): void {
  if (arn === null) return;
  const ours = issuerOf(arn);
  for (const { key, operator } of conditions) {
    const theirs = issuerIn(key);
    if (theirs === null || theirs === ours.toLowerCase()) continue;
    const { base, quantifier, ifExists } = operatorOf(operator);
    const holds = ifExists || quantifier === "ForAllValues" || base.includes("not") || base === "null";
    say(
      "oidc-issuer",
      holds
        ? `asks ${shown(key)} of tokens of ${shown(ours)}, which never have it, and ${shown(operator)} holds without it`
        : `asks ${shown(key)} of tokens of ${shown(ours)}, which never have it, so nobody gets in`,
      `Write the key as ${ours}:${key.slice(key.lastIndexOf(":") + 1)}.`,
      { ...at, about: key, severity: holds ? "high" : "low" },
    );
  }
}

function judgeSubject(
  value: string,
  like: boolean,
  limited: boolean,
  limitedOwner: boolean,
  { place }: Statement,
  asked: readonly Asked[],
  say: Say,
): void {
  const at = { place, about: value };
  const quoted = shown(value);
  if (!like && /[*?]/.test(value)) {
    // With StringEquals a star is a star, and no token has one.
    say(
      "oidc-wildcard",
      `StringEquals compares with ${quoted} letter by letter, so nobody gets in`,
      "Write the subject in full.",
      { ...at, severity: "low" },
    );
    return;
  }
  const glob = globOf(value, !like);
  const letsIn = (subject: string) => globMatches(glob, subject) !== "no";
  const first = value.split(":")[0]!;
  if (
    like &&
    (letsIn("repo:somebody-elses/anything:pull_request") ||
      letsIn("repo:somebody@987654/anything@123987:ref:refs/heads/main") ||
      isOpenRepo(value))
  ) {
    if (!limitedOwner)
      say(
        "oidc-wildcard",
        `subject ${quoted} lets in repositories of anybody`,
        "Write owner and repository in full.",
        at,
      );
    else if (!limited)
      say("oidc-organisation", `subject ${quoted} lets in every repository of an owner`, "Name the repository.", at);
    return;
  }
  if (first !== "repo" && !limited && anybodys.includes(first)) {
    const severity = limitedOwner ? "medium" : "high";
    say(
      "oidc-claim",
      `subject ${quoted} begins with ${first}, which anybody's workflow can have`,
      "Begin the subject with repo, or require repository_id.",
      { ...at, severity },
    );
    return;
  }
  if (first !== "repo") return;
  const [owner, repository] = ownerAndRepository(value);
  if (like && repository !== null && /^[*?]+(?:@[*?]*)?$/.test(repository) && !limited)
    say(
      "oidc-organisation",
      `subject ${quoted} lets in every repository of ${shown(owner)}`,
      "Name the repository.",
      at,
    );
  else if (like && repository !== null && /[*?]/.test(repository.split("@")[0]!) && !limited)
    say(
      "oidc-organisation",
      `subject ${quoted} lets in repositories of ${shown(owner)} that anybody there may yet make`,
      "Name the repository.",
      at,
    );
  const rest = value.slice(value.indexOf(":", 5) + 1);
  // A reusable workflow's ref says nothing of the run that calls it; an environment is given by rules of the repository.
  const guarded = asked.some(({ claim, values }) => (claim === "environment" || claim === "ref") && values.length > 0);
  if (!guarded && (value.endsWith(":pull_request") || (like && globMatches(globOf(rest), "pull_request") === "yes")))
    say(
      "oidc-pull-request",
      `subject ${quoted} lets in runs of pull requests`,
      "Require a branch (ref:refs/heads/main) or an environment.",
      at,
    );
  else if (!guarded && like && letsIn(`repo:${owner}/${repository ?? ""}:ref:refs/heads/anything-anybody-pushed`))
    say(
      "oidc-pull-request",
      `subject ${quoted} lets in every branch that somebody pushes`,
      "Name the branch, or an environment.",
      { ...at, severity: "medium" },
    );
  const byId = limited && asked.some(({ claim }) => claim === "repository_id");
  if (!byId && !/^[^/]*@\d+\/[^:]*@\d+/.test(value.slice(5))) {
    const fix =
      "Require repository_id as well, or the subject with ids (repo:OWNER@ID/REPO@ID:…), which new repositories have by default.";
    say("oidc-names", `subject ${quoted} names the repository by names that can become somebody else's`, fix, at);
  }
}

/** `octo@1/app@2` of `repo:octo@1/app@2:ref:…`. */
function ownerAndRepository(value: string): [string, string | null] {
  const whole = value.slice(5).split(":")[0]!;
  const slash = whole.indexOf("/");
  return slash < 0 ? [whole, null] : [whole.slice(0, slash), whole.slice(slash + 1)];
}

/** `repo:octo*`: an owner that begins like it can be made by anybody. */
function isOpenRepo(value: string): boolean {
  return value.startsWith("repo:") && isOpenOwner(value.slice(5));
}

function isOpenOwner(value: string): boolean {
  const owner = value.split("/")[0]!;
  // `octo@*`: the number alone is open, and names are owned by one at a time.
  return /[*?]/.test(owner) && !/^[\w-]+@\*$/.test(owner);
}

/** The claim of a key, or null where it is not GitHub's. */
function claimOf(key: string): string | null {
  return issuerIn(key) === null ? null : key.slice(key.lastIndexOf(":") + 1);
}

/** The issuer in a condition's key, in lower case; null where it is not GitHub's. */
function issuerIn(key: string): string | null {
  const colon = key.lastIndexOf(":");
  const text = key.slice(0, Math.max(0, colon)).toLowerCase();
  return isIssuer(text) ? text : null;
}

/** What a condition requires of a claim: only where a missing claim, or another value, refuses. */
function asksFor(condition: Condition): Asked[] {
  const claim = claimOf(condition.key);
  const { base, quantifier, ifExists } = operatorOf(condition.operator);
  const like = base === "stringlike" || base === "arnlike";
  if (claim === null || ifExists || quantifier === "ForAllValues") return [];
  if (!like && !["stringequals", "stringequalsignorecase", "arnequals"].includes(base)) return [];
  return [{ ...condition, claim, like }];
}
