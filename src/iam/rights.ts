/**
 * What a principal may do that a runner's role must not: everything, more than it was given, other roles' rights, secrets. Asked of the
 * evaluator and not of the text, so that `i?m:*`, `NotAction` and a deny that covers too little come out as what they are.
 */
import type { Severity } from "../cloud/evidence.ts";
import { shown } from "../cloud/value.ts";
import type { Context } from "./condition.ts";
import { credentialActions, escalations, iamProbes, otherProbes } from "./escalations.ts";
import type { Escalation } from "./escalations.ts";
import type { Layer } from "./evaluate.ts";
import type { Say } from "./finding.ts";
import { grantOf } from "./grant.ts";
import type { Grant } from "./grant.ts";
import type { Principal } from "./principal.ts";

/** What every request of a job's has: a role's session over TLS, made by no person and no service. */
export const session: Context = new Map([
  ["aws:multifactorauthpresent", []],
  ["aws:multifactorauthage", []],
  ["aws:securetransport", ["true"]],
  ["aws:viaawsservice", ["false"]],
  ["aws:principalisawsservice", ["false"]],
  ["aws:principaltype", ["AssumedRole"]],
]);

/** Managed policies of AWS that are too much by name alone, whether or not their documents are at hand. */
const tooMuch: ReadonlyMap<string, "administrator" | "all-but-iam"> = new Map([
  ["AdministratorAccess", "administrator"],
  ["IAMFullAccess", "administrator"],
  ["AdministratorAccess-Amplify", "all-but-iam"],
  ["PowerUserAccess", "all-but-iam"],
  ["SystemAdministrator", "all-but-iam"],
]);

const narrow = "Allow the actions its jobs use, on the resources they use them on, and nothing else.";

/** What limits the principal: its own policies, its boundary where it has one, its organisation's control policies where they were given. */
export function layersOf({ policies, boundary, guardrails }: Principal): Layer[] {
  return [policies, ...(boundary === null ? [] : [[boundary]]), ...(guardrails === undefined ? [] : [guardrails])];
}

/** What is known of a request of the principal's: control policies except roles by their ARN. */
export function contextOf({ name, account }: Principal): Context {
  if (!name.startsWith("arn:") || account === null) return session;
  return new Map([...session, ["aws:principalarn", [name]], ["aws:principalaccount", [account]]]);
}

/** Judges a principal's permissions; true where it may do everything, so that there is no more to say. */
export function judgeRights(principal: Principal, say: Say): boolean {
  const layers = layersOf(principal);
  for (const { arn, known, place } of principal.attached) {
    const name = /^arn:aws[\w-]*:iam::aws:policy\/(?:job-function\/)?([\w-]+)$/.exec(arn)?.[1];
    const check = name === undefined ? undefined : tooMuch.get(name);
    if (check !== undefined) {
      const limits = [
        ...(principal.boundary === null ? [] : ["its permissions boundary"]),
        ...(principal.guardrails === undefined ? [] : ["its organisation's control policies"]),
      ];
      const severity: Severity | undefined = limits.length === 0 ? undefined : "high";
      const bounded = limits.length === 0 ? "" : `, within ${limits.join(" and ")}`;
      say(check, `has the managed policy ${name}${bounded}`, narrow, {
        place,
        about: name!,
        ...(severity === undefined ? {} : { severity }),
      });
    } else if (!known && !isHarmless(name)) {
      const fix = "Give the policy's document too: get-account-authorization-details without --filter has it.";
      say("policy-unknown", `has the policy ${shown(arn)}, whose document is not known`, fix, {
        outcome: "unknown",
        about: arn,
        place,
      });
    }
  }
  for (const { name, partial, place } of principal.policies)
    if (partial !== null)
      say("policy-unknown", `policy ${shown(name)} ${partial}`, "Give the whole document.", {
        outcome: "unknown",
        about: name,
        place,
      });
  const boundary = principal.boundary;
  if (boundary !== null && boundary.partial !== null) {
    const fix = "Give the boundary's document too.";
    say("policy-unknown", `its permissions boundary ${shown(boundary.name)} ${boundary.partial}`, fix, {
      outcome: "unknown",
      place: boundary.place,
    });
  }
  const known = contextOf(principal);
  const grants = new Map<string, Grant | null>();
  const grant = (action: string, passedTo?: string): Grant | null => {
    const key = `${action}\0${passedTo ?? ""}`;
    let found = grants.get(key);
    if (found === undefined) {
      const context = passedTo === undefined ? known : new Map([...known, ["iam:passedtoservice", [passedTo]]]);
      grants.set(key, (found = grantOf(layers, action, context)));
    }
    return found;
  };
  const broadly = (action: string) => {
    const found = grant(action);
    return found !== null && found.broad ? found : null;
  };
  const iam = iamProbes.map(broadly);
  const others = otherProbes.map(broadly);
  if (iam.every((each) => each !== null)) {
    const what = others.every((each) => each !== null)
      ? "may do everything"
      : "may do everything to users, roles and policies, and so everything";
    sayGrant(say, "administrator", what, iam);
    return true;
  }
  if (others.every((each) => each !== null))
    sayGrant(say, "all-but-iam", "may do nearly everything outside of IAM", others);
  judgeEscalations(grant, say);
  const passing = broadly("iam:PassRole");
  if (passing !== null && grant("iam:PassRole", "service.of.nobody.example") !== null)
    sayGrant(
      say,
      "pass-role",
      "may hand any role to any service",
      [passing],
      "Name the role in Resource, and the service in iam:PassedToService.",
    );
  const assuming = grant("sts:AssumeRole");
  if (assuming !== null) {
    const account = /^arn:[^:]*:iam::(\d{12}):/.exec(assuming.witness)?.[1];
    const foreign = account !== undefined && principal.account !== null && account !== principal.account;
    if (assuming.broad || foreign) {
      const what = assuming.broad
        ? "may become every role that trusts its account"
        : `may become a role of account ${account}`;
      sayGrant(
        say,
        "assume-role",
        what,
        [assuming],
        "Name the roles it has to become in Resource, and no other account's.",
      );
    }
  }
  const secrets = credentialActions.filter((action) => action !== "sts:AssumeRole" && broadly(action) !== null);
  if (secrets.length > 0)
    sayGrant(
      say,
      "credentials",
      `may read credentials or secrets of any name: ${secrets.join(", ")}`,
      secrets.map(broadly),
      "Name the secrets and parameters in Resource.",
    );
  return false;
}

/** Every way whose permissions are all there; a way that needs more than another found one is not said again. */
function judgeEscalations(grant: (action: string, passedTo?: string) => Grant | null, say: Say): void {
  const open: Escalation[] = [];
  for (const escalation of escalations.toSorted((a, b) => a.needs.length - b.needs.length)) {
    const { gains, needs, passedTo } = escalation;
    if (open.some((other) => other.needs.every((need) => needs.includes(need)))) continue;
    const grants = needs.map((action) => grant(action, action === "iam:PassRole" ? passedTo : undefined));
    if (!grants.every((each) => each !== null)) continue;
    open.push(escalation);
    const all = grants.every((each) => each.broad);
    const narrowest = grants.find((each) => !each.broad);
    const where = narrowest === undefined ? "" : ` of ${shown(narrowest.witness)} and such`;
    const severity = all ? "critical" : "high";
    sayGrant(
      say,
      "escalation",
      `may ${gains}${where} (${needs.join(" + ")})`,
      grants,
      "Take out one of these actions, or limit it to resources without more rights.",
      severity,
      needs.join(" + "),
    );
  }
}

/** Conditions that nobody here can judge lower what is said, and are named; they do not make it a pass. */
function sayGrant(
  say: Say,
  check: Parameters<Say>[0],
  what: string,
  grants: readonly (Grant | null)[],
  fix = narrow,
  severity?: Severity,
  about?: string,
): void {
  const list = grants.filter((each) => each !== null);
  const conditional = list.filter(({ truth }) => truth === "maybe");
  const keys = [...new Set(conditional.flatMap(({ by }) => by.conditions.map(({ key }) => key)))].filter(
    (key) => key !== "",
  );
  const unless =
    conditional.length === 0
      ? ""
      : keys.length === 0
        ? ", as far as is known"
        : `, under conditions on ${shown(keys.join(", "))}`;
  const lowered: Severity | undefined = conditional.length === 0 ? severity : "medium";
  const place = list.find(({ by }) => by.conditions.length > 0)?.by.place ?? list[0]!.by.place;
  say(check, what + unless, fix, {
    place,
    ...(lowered === undefined ? {} : { severity: lowered }),
    ...(about === undefined ? {} : { about }),
  });
}

/** Managed policies of AWS that a runner may well have and that open no way; their documents need not be at hand. */
function isHarmless(name: string | undefined): boolean {
  return (
    name !== undefined &&
    ["AWSXRayDaemonWriteAccess", "AmazonEC2ContainerRegistryReadOnly", "AmazonEC2ContainerRegistryPullOnly"].includes(
      name,
    )
  );
}
