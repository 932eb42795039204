/**
 * What loads but deserves a look. Every warning is about what a rule opens or no longer does, in words that say what an
 * attacker or the passing of time makes of it. The clock is the caller's.
 */
import { cidrContains } from "../address/cidr.ts";
import { parseAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import { matchesPattern } from "../address/pattern.ts";
import type { Pattern } from "../address/pattern.ts";
import { isPublicSuffix } from "../address/suffix.ts";
import { appliesAt, modeAt } from "./model.ts";
import type { EchChoice, Endpoint, Policy, Rule } from "./model.ts";
import { Problems } from "./problem.ts";
import { entryFor, fronts, sinks } from "./sinks.ts";
import type { Problem, ProblemCode } from "./problem.ts";

const metadata: readonly Address[] = ["169.254.169.254", "169.254.170.2", "168.63.129.16", "fd00:ec2::254"].map(
  (text) => parseAddress(text)!,
);

/** The warnings for a policy as it stands at `now` (milliseconds since the epoch). */
export function lint(policy: Policy, now: number): Problem[] {
  const problems = new Problems(policy.file);
  for (const rule of policy.rules) lintRule(rule, now, problems);
  lintSources(policy, problems);
  return problems.list;
}

/** A source that no rule names was meant for something: most often a rule that says it differently. */
function lintSources(policy: Policy, problems: Problems): void {
  const used = new Set([...policy.default.enforceFor, ...policy.rules.flatMap((rule) => rule.from ?? [])]);
  for (const source of policy.sources) {
    if (!source.declared || used.has(source)) continue;
    const { line, column, name } = source;
    problems.add("unused", () => ({ line, column, text: name }), `no rule is from “${name}”`, "Use it, or remove it.");
  }
}

type Warn = (code: ProblemCode, message: string, fix: string) => void;

function lintRule(rule: Rule, now: number, problems: Problems): void {
  const warn: Warn = (code, message, fix) => {
    const { line, column, name } = rule;
    problems.add(code, () => ({ line, column, text: name }), `rule “${name}”: ${message}`, fix);
  };
  if (!appliesAt(rule, now)) {
    warn("expired", "it has expired and no longer applies", "Remove it, or give it a later date.");
    return;
  }
  lintProcesses(rule, warn);
  if (rule.action === "allow") lintExes(rule, warn);
  if (rule.mode !== modeAt(rule, now)) {
    warn("promoted", "its monitor time has passed: it now enforces", "Remove mode and monitor_until.");
  }
  if (rule.action === "deny") return;
  for (const { endpoint, services } of rule.targets) {
    const opaque = services.find((s) => s.protocol === "tcp" || s.protocol === "udp");
    if (endpoint.kind === "name" && opaque !== undefined) {
      warn(
        "opaque_name",
        `${endpoint.text} over ${opaque.protocol} is known by DNS alone; whatever else shares its addresses is open, too`,
        "Use tls, http, ssh or quic where the protocol allows it.",
      );
    }
    lintEndpoint(endpoint, rule.ech, warn);
  }
  if (rule.targets.some(({ endpoint }) => isWide(endpoint)) && rule.reason === null) {
    warn(
      "missing_reason",
      "it allows more than single hosts and does not say why",
      "Add reason: why nothing narrower will do.",
    );
  }
}

/** Folders where a job's own steps put files on a runner as people set it up. */
const writable = ["/tmp/", "/var/tmp/", "/dev/shm/", "/home/", "/run/user/", "/opt/hostedtoolcache/", "/github/"];

/** Where nothing but the path is asked, it must not be a job's to choose. */
function lintExes({ from }: Rule, warn: Warn): void {
  const terms = (from ?? []).flatMap(({ process }) => process ?? []);
  for (const { text, path } of terms.flatMap((term) =>
    (term.steps ?? term.actions) === null ? (term.exes ?? []) : [],
  )) {
    if (!writable.some((folder) => path.startsWith(folder))) continue;
    warn(
      "writable_exe",
      `a job can write to the folder of ${text}: whatever a step puts there is meant`,
      "Ask for the step, too, or for a program of the system's.",
    );
  }
}

/** What comes of a rule that asks for processes where nobody knows any. */
function lintProcesses({ from, action }: Rule, warn: Warn): void {
  const asking = from?.filter(({ process }) => process !== null) ?? [];
  if (asking.length === 0) return;
  const isAll = asking.length === from!.length;
  const names = asking.map(({ name }) => name).join(", ");
  const there =
    action === "deny" ? "it denies to every process" : isAll ? "it never matches" : `it never matches for ${names}`;
  warn(
    "needs_process",
    `it asks for a process, which only the job's own machine knows; on a gateway ${there}`,
    "Keep it for jobs that are enforced on their own machine, or say who by address.",
  );
}

function lintEndpoint(endpoint: Endpoint, ech: EchChoice, warn: Warn): void {
  if (endpoint.kind === "cidr") {
    const reached = metadata.some((address) => cidrContains(endpoint.cidr, address));
    if (!reached || endpoint.cidr.length === endpoint.cidr.address.length * 8) return;
    warn(
      "reaches_special",
      `${endpoint.text} includes a cloud's metadata service`,
      "Name the networks that are meant.",
    );
    return;
  }
  if (endpoint.text === "**") {
    warn("any_name", "it allows any name, an attacker's included", "Name the destinations.");
    return;
  }
  const suffix = wildcardSuffix(endpoint.pattern);
  const host = suffix ?? endpoint.text;
  const sink = entryFor(sinks, host) ?? entryBelow(sinks, endpoint.pattern, suffix);
  if (sink !== null) {
    warn(
      "exfiltration_host",
      `${endpoint.text}: ${sink}, so what a job sends there is out`,
      "Remove it, or give it to the one source that needs it.",
    );
  }
  const inside = entryFor(fronts, host);
  const front = inside ?? entryBelow(fronts, endpoint.pattern, suffix);
  if (front !== null) {
    warn(
      "frontable_host",
      `${endpoint.text} ${inside === null ? "takes in" : "is"} a front that ${front} customers share: the name shown in TLS need not be the customer reached`,
      "Name the service's own host, or keep it for sources that hold no secret.",
    );
  }
  if (front !== null && ech === "allow") {
    warn(
      "ech_allowed",
      `${endpoint.text}: behind ${front}'s front, Encrypted Client Hello hides which customer is reached`,
      "Remove ech: allow, unless the sources are browsers, which send it without meaning.",
    );
  }
  if (suffix === null || !isPublicSuffix(suffix)) return;
  warn(
    "public_suffix",
    `${endpoint.text}: anybody can register a name under ${suffix}`,
    "Name the hosts, or use a {0-9} range.",
  );
}

/** A network, or names at any depth: more than a reader can take in by looking at the rule. */
function isWide(endpoint: Endpoint): boolean {
  if (endpoint.kind === "name") return endpoint.pattern.deep;
  return endpoint.cidr.length < endpoint.cidr.address.length * 8;
}

/** The entry for a name that a wildcard takes in; null where it takes in none. */
function entryBelow<T>(list: ReadonlyMap<string, T>, pattern: Pattern, suffix: string | null): T | null {
  if (suffix === null) return null;
  for (const [name, what] of list) if (name.endsWith(`.${suffix}`) && matchesPattern(pattern, name)) return what;
  return null;
}

/** What follows the last star of a pattern; null where there is none. Ranges are finite, their names already chosen. */
function wildcardSuffix(pattern: Pattern): string | null {
  const last = pattern.labels.findLastIndex((label) => label.kind === "star");
  if (last < 0 && !pattern.deep) return null;
  return pattern.labels
    .slice(last + 1)
    .map((label) => (label.kind === "literal" ? label.text : "x"))
    .join(".");
}
