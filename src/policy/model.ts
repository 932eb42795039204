/**
 * A policy after loading: every name resolved, every endpoint parsed, rules in the order of evaluation. Plain data that
 * both evaluators, the lint and the reports read. Times are milliseconds since the epoch; nothing here knows the clock.
 */
import { cidrContains } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import type { Address } from "../address/ip.ts";
import type { Pattern } from "../address/pattern.ts";
import type { Mode, ProcessFacts, Protocol, Tier } from "./decision.ts";
import { meetsProcess } from "./process.ts";
import type { ProcessTerm } from "./process.ts";

/**
 * Who: a declared source, or an inline CIDR or process of a rule (then `declared` is false). One object per distinct source. Its
 * address and its process must both fit.
 */
export interface Source {
  readonly name: string;
  readonly declared: boolean;
  /** Null: every address. Then it asks for a process. */
  readonly subnets: readonly Cidr[] | null;
  /** Null: whatever the process. */
  readonly process: ProcessTerm | null;
  readonly line: number;
  readonly column: number;
}

/** Where to, without ports. */
export type Endpoint =
  | { readonly kind: "name"; readonly pattern: Pattern; readonly text: string }
  | { readonly kind: "cidr"; readonly cidr: Cidr; readonly text: string };

/** A port (null: every port) and the protocol spoken there. For icmp the port is null. */
export interface Service {
  readonly port: number | null;
  readonly protocol: Protocol;
}

/** One endpoint of a rule with what may be spoken to it. */
export interface Target {
  readonly endpoint: Endpoint;
  readonly services: readonly Service[];
}

/** What is written of `ech`; null: nothing. */
export type EchChoice = "allow" | "deny" | null;

/** One rule as written, resolved. */
export interface Rule {
  readonly name: string;
  readonly tier: Tier;
  readonly action: "allow" | "deny";
  /** As declared; see {@link modeAt}. */
  readonly mode: Mode;
  readonly monitorUntil: number | null;
  readonly expires: number | null;
  /** What an allow rule makes of Encrypted Client Hello; null: by the name shown, see `ech.ts`. */
  readonly ech: EchChoice;
  /** Bytes that one source may send under an allow rule in an hour; null: any number. */
  readonly uploadLimit: number | null;
  readonly reason: string | null;
  readonly owner: string | null;
  /** Null: every source. */
  readonly from: readonly Source[] | null;
  readonly targets: readonly Target[];
  readonly line: number;
  readonly column: number;
}

/** A loaded policy. `rules` holds tier 1, then tier 2, in order. */
export interface Policy {
  readonly hash: string;
  readonly file: string;
  readonly sources: readonly Source[];
  readonly rules: readonly Rule[];
  readonly default: { readonly mode: Mode; readonly enforceFor: readonly Source[] };
}

/** The mode a rule has at a time: monitor turns into enforce when `monitor_until` passes. */
export function modeAt(rule: Rule, now: number): Mode {
  return rule.mode === "monitor" && rule.monitorUntil !== null && rule.monitorUntil <= now ? "enforce" : rule.mode;
}

/** False once `expires` has passed. */
export function appliesAt(rule: Rule, now: number): boolean {
  return rule.expires === null || rule.expires > now;
}

/** True where the source has the address, for some process at least. */
export function holdsAddress({ subnets }: Source, address: Address): boolean {
  return subnets === null || subnets.some((subnet) => cidrContains(subnet, address));
}

/** True where a rule is for a process at an address. */
export function isFrom({ from, action }: Rule, address: Address, process: ProcessFacts | null): boolean {
  if (from === null) return true;
  const isAllow = action === "allow";
  return from.some(
    (s) => holdsAddress(s, address) && (s.process === null || meetsProcess(s.process, isAllow, process)),
  );
}

/** The rule for whatever process, where some process could meet it; null: a denial of some processes only. */
export function withoutProcesses(rule: Rule): Rule | null {
  if (rule.from === null) return rule;
  const from = rule.from.flatMap((s) =>
    s.process === null || rule.action === "allow" ? [{ ...s, process: null }] : [],
  );
  return from.length === 0 ? null : { ...rule, from };
}

/** True where some rule that applies at a time asks for a process. */
export function asksProcessAt({ rules }: Policy, now: number): boolean {
  return rules.some((rule) => appliesAt(rule, now) && rule.from?.some(({ process }) => process !== null));
}

/** Whether the policy refuses to some address what it may let pass from another. */
export function enforcesAt(policy: Policy, now: number): boolean {
  const { mode, enforceFor } = policy.default;
  if (mode === "enforce" || enforceFor.length > 0) return true;
  return policy.rules.some(
    (rule) =>
      rule.action === "deny" &&
      rule.from?.some(({ subnets }) => subnets !== null) &&
      modeAt(rule, now) === "enforce" &&
      appliesAt(rule, now),
  );
}

/** The next time after `now` at which some rule changes its mode or stops applying; null when never. */
export function nextChange(policy: Policy, now: number): Date | null {
  let next = Infinity;
  for (const { expires, monitorUntil, mode } of policy.rules) {
    if (expires !== null && expires > now && expires < next) next = expires;
    if (mode === "monitor" && monitorUntil !== null && monitorUntil > now && monitorUntil < next) next = monitorUntil;
  }
  return next === Infinity ? null : new Date(next);
}
