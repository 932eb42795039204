/**
 * Who may become a role, by its trust policy: everybody, other accounts, services beyond the machines it is for, and workflows of
 * GitHub's. A denying statement is not weighed against an allowing one here: a trust policy that needs one to be safe is said to be open.
 */
import { shown } from "../cloud/value.ts";
import { operatorOf } from "./condition.ts";
import type { Condition, Statement } from "./document.ts";
import type { Say } from "./finding.ts";
import { isGitHub, isLookalike, issuerOf, isUnnamedServer, judgeGitHub } from "./github-trust.ts";
import { accountOf } from "./principal.ts";
import type { Principal } from "./principal.ts";

export interface TrustOptions {
  /** Accounts that may be trusted, besides the role's own. */
  readonly accounts: ReadonlySet<string>;
  /** Hosts of the GitHub Enterprise Servers that are one's own, in lower case. */
  readonly servers: ReadonlySet<string>;
}

/** Keys that tie a call to somebody; a condition on one of them limits even `*`. */
const tying = new Set([
  "aws:principalorgid",
  "aws:principalorgpaths",
  "aws:principalarn",
  "aws:principalaccount",
  "aws:sourceaccount",
  "aws:sourcearn",
  "aws:sourceorgid",
  "aws:sourceorgpaths",
  "sts:externalid",
  "aws:userid",
]);

/** Services that give a role to what runs inside the account itself; the others act for whoever asks them. */
const compute =
  /^(?:ec2|ecs-tasks|lambda|edgelambda|pods\.eks|eks|codebuild|ssm|tasks\.apprunner|build\.apprunner)\.amazonaws\.com(?:\.cn)?$/;

/** Judges a role's trust policy. */
export function judgeTrust(principal: Principal, options: TrustOptions, say: Say): void {
  const { trust } = principal;
  if (trust === null) return;
  if (trust.partial !== null)
    say(
      "trust-unknown",
      `its trust policy ${trust.partial}`,
      "Judge it again from get-account-authorization-details, after apply.",
      { outcome: "unknown", place: trust.place },
    );
  for (const statement of trust.statements) {
    if (statement.effect !== "Allow") continue;
    const place = { place: statement.place };
    if (statement.principals === null) {
      say("trust-unknown", "a statement of its trust policy has no Principal", "Name who may become the role.", {
        outcome: "unknown",
        ...place,
      });
      continue;
    }
    const { not, byType, partial } = statement.principals;
    const tied = statement.conditions.some(isTying);
    if (not) {
      say(
        "trust-public",
        "trusts everybody but those it names (NotPrincipal)",
        "Name who may become the role in Principal.",
        place,
      );
      continue;
    }
    const federated = byType.get("Federated") ?? [];
    const isOurs = (each: string) => isGitHub(each, options.servers);
    // Who the unknown principal is, its conditions tell: a role for GitHub's jobs asks for GitHub's claims.
    const forGitHub =
      federated.some(isOurs) ||
      (partial && statement.conditions.some(({ key }) => key.startsWith("token.actions.githubusercontent.com")));
    if (forGitHub) judgeGitHub(statement, federated.find(isOurs) ?? null, say);
    for (const each of federated.filter((arn) => isUnnamedServer(arn, options.servers)))
      say(
        "oidc-issuer",
        `trusts tokens of ${shown(issuerOf(each))}, which is a GitHub Enterprise Server by its path, and whose is not known`,
        "Say that it is yours (--api-url https://HOST/api/v3), or take the provider out.",
        { ...place, about: issuerOf(each), outcome: "unknown" },
      );
    if (partial && !forGitHub)
      say("trust-unknown", "whom its trust policy names is known only after apply", "Judge it again after apply.", {
        outcome: "unknown",
        ...place,
      });
    judgeAccounts(byType.get("AWS") ?? [], principal, options, tied, statement, say);
    judgeServices(byType.get("Service") ?? [], principal, tied, statement, say);
    const strangers = federated.filter(
      (each) => !isOurs(each) && !/:(?:oidc-provider\/oidc\.eks\.|saml-provider\/)/.test(each),
    );
    if (strangers.length > 0 && statement.conditions.length === 0)
      say(
        "trust-public",
        `trusts every user of ${shown(strangers.join(", "))}`,
        "Add conditions on its audience and subject.",
        place,
      );
    judgeIssuers(strangers, statement, options, say);
  }
}

/** Providers whose tokens' claims are not known here: one that looks like GitHub's is a trap, the others are in question. */
function judgeIssuers(
  strangers: readonly string[],
  { conditions, place }: Statement,
  { servers }: TrustOptions,
  say: Say,
): void {
  for (const each of strangers) {
    const issuer = issuerOf(each);
    if (isLookalike(each, servers))
      say(
        "oidc-issuer",
        `trusts tokens of ${shown(issuer)}, which looks like GitHub's issuer and is somebody else's`,
        "Use token.actions.githubusercontent.com.",
        { place, about: issuer },
      );
    else if (conditions.length > 0)
      say(
        "oidc-issuer",
        `trusts tokens of ${shown(issuer)}, whose claims are not judged here`,
        "See that its audience and subject are required in full.",
        { place, about: issuer, outcome: "unknown", severity: "medium" },
      );
  }
}

function judgeAccounts(
  names: readonly string[],
  { account }: Principal,
  { accounts }: TrustOptions,
  tied: boolean,
  { conditions, place }: Statement,
  say: Say,
): void {
  if (names.some((name) => /^[*?]+$/.test(name) || /^arn:[^:]*:(?:iam|sts)::\*/.test(name))) {
    const message = tied
      ? "trusts everybody who meets a condition"
      : conditions.length > 0
        ? "trusts everybody, under conditions that tie it to nobody"
        : "trusts everybody";
    say("trust-public", message, "Name the accounts or roles in Principal.", {
      place,
      severity: tied ? "medium" : "critical",
    });
  }
  const foreign = new Set(
    names.flatMap((name) => {
      const theirs = /^\d{12}$/.test(name) ? name : accountOf(name);
      return theirs === null || theirs === account || accounts.has(theirs) ? [] : [theirs];
    }),
  );
  if (foreign.size === 0) return;
  const list = [...foreign].join(", ");
  const external = conditions.some(({ key }) => key === "sts:externalid");
  // Whose the role is is not known in a plan or a single document: an account that is named is then in question, not wrong.
  if (account === null)
    say(
      "trust-account",
      `trusts account ${list}, and whose account the role is in is not known`,
      "Say which accounts are yours.",
      { outcome: "unknown", place },
    );
  else {
    const under = external ? " by an external id" : tied ? " under a condition" : " without an external id";
    say(
      "trust-account",
      `trusts account ${list}${under}`,
      "Take the account out, or say that it is yours; for a supplier's require sts:ExternalId.",
      {
        place,
        severity: external || tied ? "low" : "medium",
      },
    );
  }
}

function judgeServices(
  names: readonly string[],
  { onMachines }: Principal,
  tied: boolean,
  { place }: Statement,
  say: Say,
): void {
  if (names.some((name) => name.includes("*")))
    say("trust-public", "trusts every service", "Name the service.", { place });
  const beyond = names.filter((name) => !name.startsWith("ec2.amazonaws.com"));
  if (onMachines && beyond.length > 0)
    say(
      "trust-services",
      `is a machine's role, and trusts ${shown(beyond.join(", "))} as well`,
      "Trust ec2.amazonaws.com alone.",
      { place },
    );
  const deputies = names.filter((name) => !compute.test(name) && !name.includes("*"));
  if (deputies.length > 0 && !tied)
    say(
      "trust-deputy",
      `trusts ${shown(deputies.join(", "))} on behalf of whom it may be`,
      "Require aws:SourceAccount or aws:SourceArn.",
      { place },
    );
}

function isTying({ operator, key, values }: Condition): boolean {
  const { base, quantifier, ifExists } = operatorOf(operator);
  const asks = ["stringequals", "stringlike", "stringequalsignorecase", "arnequals", "arnlike"].includes(base);
  return (
    asks &&
    !ifExists &&
    quantifier !== "ForAllValues" &&
    tying.has(key) &&
    values.every((value) => !/^[*?]+$/.test(value))
  );
}
